"""A writer whose disk gets full, read-only, vanishes: in a mount namespace of its own.

Arguments: a folder; a mount point in it with a small file system.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from srx_service.acquisitions import Acquisition
from srx_service.space import Space
from tests.service.writing import DATASET, Desk, acquisition, image, images, pixels

KEEP = 2 << 20
BIG = (256, 512)
"""A quarter of a MiB of uint16."""


def mount(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True)


def check(file: Path, rows: int, shape: tuple[int, ...] = BIG) -> None:
    with h5py.File(file) as opened:
        stored = opened[DATASET][:]
    assert len(stored) == rows
    for row in range(rows):
        assert np.array_equal(stored[row], pixels(row, shape)), row


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def write_on(desk: Desk, made: Acquisition, after: Callable[[], None]) -> int:
    """Write frames until it fails; return how many were given."""
    for frame in range(100):
        desk.write(made, image(frame, shape=BIG))
        if made.error is not None:
            break
        if frame == 3:
            desk.flush()
            after()
    return frame + 1


def fills_up(desk: Desk, disk: Path) -> None:
    """The guard stops before the disk is full; the file is whole."""
    made = desk.begin(acquisition(disk / "full.h5"))
    given = write_on(desk, made, lambda: None)
    desk.end(made)
    assert made.state == "failed"
    assert "keep_free" in str(made.error), made.error
    assert made.rows == given, (made.rows, given)
    assert KEEP - (1 << 20) < free_bytes(disk) <= KEEP
    check(disk / "full.h5", given)
    (disk / "full.h5").unlink()
    assert desk.series(image(0), file=disk / "next.h5").state == "done"


def turns_read_only(desk: Desk, disk: Path) -> None:
    """What cannot be made is told; the next is clean."""
    mount("mount", "-o", "remount,ro", disk)
    made = desk.series(image(0), file=disk / "ro.h5")
    assert "Read-only file system" in str(made.error), made.error
    mount("mount", "-o", "remount,rw", disk)
    assert desk.series(image(0), file=disk / "ro.h5").state == "done"


def vanishes(desk: Desk, disk: Path, space: Space, other: Path) -> None:
    """What is written is where the disk is; nothing goes below the mount point."""

    def unmount() -> None:
        mount("umount", "--lazy", disk)
        space._look()

    made = desk.begin(acquisition(disk / "gone.h5"))
    given = write_on(desk, made, unmount)
    desk.end(made)
    assert made.state == "failed"
    assert "is not there any more" in str(made.error), made.error
    refused = desk.series(image(0), file=disk / "b.h5")
    assert "is not mounted any more" in str(refused.error), refused.error
    assert (refused.counts.unsaved, list(disk.iterdir())) == (1, [])
    mount("mount", "--bind", other, disk)
    check(disk / "gone.h5", given)
    assert made.rows == given
    again = desk.series(*images(0, 1, shape=BIG), file=disk / "b.h5")
    assert again.state == "done", again.error
    check(disk / "b.h5", 2)


def main(folder: Path, disk: Path) -> None:
    other = folder / "other"
    other.mkdir()
    mount("mount", "--bind", disk, other)
    space = Space(KEEP, disk)
    desk = Desk(folder, space=space)
    fills_up(desk, disk)
    turns_read_only(desk, disk)
    vanishes(desk, disk, space, other)
    desk.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.write("null")
