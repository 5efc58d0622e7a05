"""`python -m benchmarks.writebehind`: what giving files to the disk early is good for.

Writes a file as the service's writer does, flushes and the fsync at the end included,
with `write_behind` off and on in turn; no sockets: it is the disk that is measured. The
longest time that one call took is for how long the line's buffers had to take what
comes. Files have to be larger than what the kernel lets pass, a fifth of the memory.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from srx_service.acquisitions import Acquisition, ArmRequest
from srx_service.config import DetectorConfig
from srx_service.config_types import parse_size, size_text
from srx_service.h5file import AcquisitionFile, FileOptions
from srx_service.ledger import Ledger
from srx_service.messages import Image
from srx_service.openfiles import OpenFiles
from srx_service.writebehind import WriteBehind

SHAPE = (2000, 4000)
FRAME_BYTES = 2 * SHAPE[0] * SHAPE[1]
DIFFERENT = 8
"""Frames, again and again; more than the processor's caches hold."""
FLUSH_INTERVAL_S = 0.5
DEFAULT = size_text(DetectorConfig.model_fields["write_behind"].default)


class Run(NamedTuple):
    """What one file showed."""

    mb_per_s: float
    """From the first frame to the file closed and synced."""
    write_s: float
    """The longest write of a frame."""
    flush_s: float
    """The longest flush."""
    close_s: float
    """For the last flush, the fsync, and the file to be closed."""

    @property
    def stall_s(self) -> float:
        """For how long the writer took nothing."""
        return max(self.write_s, self.flush_s, self.close_s)


def main() -> None:
    """Print a line for each file, then the figures of both ways."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.writebehind")
    parser.add_argument("--target", type=Path, default=Path.cwd(), help="on the disk")
    parser.add_argument("--size", default="8 GB", help="of each file")
    parser.add_argument("--step", default=str(DEFAULT), help="write_behind, when on")
    parser.add_argument("--rate", type=float, help="in MB/s; none: as fast as it goes")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    step, size = parse_size(options.step), parse_size(options.size)
    assert isinstance(step, int)
    assert isinstance(size, int)
    ways: dict[str, int | None] = {"off": None, f"{size_text(step)}": step}
    found: dict[str, list[Run]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory(dir=options.target) as folder:
        for _ in range(options.repeat):
            for way, step_bytes in ways.items():
                run = measure(Path(folder), size, step_bytes, options.rate)
                found[way].append(run)
                print(f"write_behind {way}: {told(run)}", flush=True)
    for way, runs in found.items():
        best = max(run.mb_per_s for run in runs)
        stalls = ", ".join(f"{1e3 * run.stall_s:.0f}" for run in runs)
        print(f"{way}: at best {best:.0f} MB/s, longest stalls {stalls} ms")


def told(run: Run) -> str:
    """Return a run as text."""
    return (
        f"{run.mb_per_s:.0f} MB/s, longest write {1e3 * run.write_s:.0f} ms, "
        f"flush {1e3 * run.flush_s:.0f} ms, close {run.close_s:.2f} s"
    )


def measure(
    folder: Path, size_bytes: int, step_bytes: int | None, rate: float | None
) -> Run:
    """Write one file and remove it."""
    path = folder / "frames.h5"
    os.sync()  # what an earlier one left is not this one's
    try:
        with opened(path, step_bytes) as file:
            return fill(file, size_bytes // FRAME_BYTES, rate)
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def opened(path: Path, step_bytes: int | None) -> Iterator["Timed"]:
    """Make a file that a thread follows; it is closed by who writes it."""
    behind = WriteBehind(step_bytes)
    thread = threading.Thread(target=behind.run)
    thread.start()
    listed = OpenFiles(path.parent / "state", "benchmark")
    try:
        yield Timed(path, FileOptions(write_behind=behind), listed)
    finally:
        listed.close()
        behind.stop()
        thread.join()


class Timed:
    """An acquisition's file, and how long its calls took."""

    def __init__(self, path: Path, options: FileOptions, listed: OpenFiles) -> None:
        made = Acquisition(
            ArmRequest(),
            origin="stream",
            dataset="/entry/data/data",
            skip_missing=False,
        )
        made.file = str(path)
        self._file = AcquisitionFile(made, options, listed, append=True)
        self._counts = Ledger(made).row()
        self._flushed_s = time.monotonic()
        self.write_s = self.flush_s = self.close_s = 0.0

    def write(self, image: Image) -> None:
        """Write a frame, and flush where that is due."""
        begun_s = time.monotonic()
        self._file.rows([image], [0.0])
        written_s = time.monotonic()
        self.write_s = max(self.write_s, written_s - begun_s)
        if written_s - self._flushed_s < FLUSH_INTERVAL_S:
            return
        self._file.flush(self._counts)
        self._flushed_s = time.monotonic()
        self.flush_s = max(self.flush_s, self._flushed_s - written_s)

    def close(self) -> None:
        """Close and sync it."""
        begun_s = time.monotonic()
        self._file.close(self._counts)
        self.close_s = time.monotonic() - begun_s


def fill(file: Timed, frames: int, rate: float | None) -> Run:
    """Write frames at a rate in MB/s, or as fast as it goes, and close."""
    rng = np.random.default_rng(1)
    blobs = [rng.bytes(FRAME_BYTES) for _ in range(DIFFERENT)]
    begun_s = time.monotonic()
    for frame in range(frames):
        if rate is not None:
            due_s = begun_s + frame * FRAME_BYTES / (rate * 1e6)
            time.sleep(max(0.0, due_s - time.monotonic()))
        blob = blobs[frame % DIFFERENT]
        kind = {"shape": SHAPE, "dtype": "uint16", "encoding": "none"}
        file.write(Image(number=frame, frame=frame, blobs=(blob,), **kind))
    file.close()
    mb_per_s = frames * FRAME_BYTES / (time.monotonic() - begun_s) / 1e6
    return Run(mb_per_s, file.write_s, file.flush_s, file.close_s)


if __name__ == "__main__":
    main()
