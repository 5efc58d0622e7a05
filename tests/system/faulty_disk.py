"""A writer whose disk fails at each of its calls in turn: run as a process of its own.

Arguments: a folder; the file that tells `faults.c`, which is put before this program,
what fails; the calls, the error number, how many of them fail (see there); how many
frames share a chunk; 1 for checksums, else 0; every how manieth call is the first to
fail, 1 for each of them. Prints how many calls there are.
"""

import itertools
import json
import os
import sys
from pathlib import Path

import h5py
import numpy as np

from srx_service.acquisitions import Acquisition
from tests.service.writing import DATASET, Desk, acquisition, image, images, pixels
from tests.system.shims import Faults

FRAMES = 9
LOST = 4
"""The frame that never comes."""


def write_series(desk: Desk, path: Path) -> Acquisition:
    """Write frames with a hole between, flushed now and then."""
    made = desk.begin(acquisition(path))
    for frame in range(FRAMES):
        if frame == LOST:
            desk.lose(made, 1)
            continue
        desk.write(made, image(frame, extras=b'{"text": "abc"}'))
        if frame % 3 == 2:
            desk.flush()
    return desk.end(made)


def check_rows(path: Path, rows: int) -> None:
    """See that the rows are there, for any reader, each with its own frame."""
    if rows == 0 and not path.exists():
        return
    with h5py.File(path) as file:
        stored = file[DATASET][:rows] if rows else np.empty(0)
    assert len(stored) == rows, f"{len(stored)} of {rows} rows"
    for row in range(rows):
        there = np.array_equal(stored[row], pixels(row))
        assert there or row == LOST, f"row {row} holds something else"


def check_failure(made: Acquisition, number: int) -> None:
    """See that the failure is told, and every frame counted."""
    assert made.state == "failed", f"{made.state}: {made.counts.as_dict()}"
    assert os.strerror(number) in str(made.error), made.error
    counts = made.counts
    assert counts.received == counts.written + counts.unsaved, counts.as_dict()
    holes = int(made.rows > LOST)
    assert counts.written == made.rows - holes, (made.rows, counts.as_dict())


def check_next(desk: Desk, path: Path, rows: int) -> None:
    """See that the next series are clean: into another file, and into the same."""
    other = desk.series(*images(0, 1, 2), file=path.with_name("other.h5"))
    assert (other.state, other.rows) == ("done", 3), other.error
    check_rows(path, rows)  # mended by now
    same = desk.series(*images(*range(rows, rows + 2)), file=path)
    assert (same.state, same.rows) == ("done", 2), same.error
    check_rows(path, rows + 2)


def main(folder: Path, gate: Path, calls: str, numbers: list[int]) -> int:
    number, times, chunk, checksum, step = numbers
    options = {"frames_per_chunk": chunk, "checksum": bool(checksum)}
    faults, desk = Faults(gate), Desk(folder, **options)
    for after in itertools.count(0, step):
        path = folder / str(after) / "a.h5"
        faults.begin(calls, number, after, times)
        made = write_series(desk, path)
        faults.end()
        try:
            if not faults.was_hit:
                assert (made.state, made.rows) == ("done", FRAMES), made.error
                break
            check_failure(made, number)
            check_next(desk, path, made.rows)
        except Exception as error:
            error.add_note(f"call {after} of {calls} failed {times} times")
            raise
    desk.close()
    return after


if __name__ == "__main__":
    first, second, third, *rest = sys.argv[1:]
    calls = main(Path(first), Path(second), third, [*map(int, rest)])
    sys.stdout.write(json.dumps(calls))
