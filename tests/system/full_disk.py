"""A writer whose disk gets full: run as a process of its own, which prints what came.

Arguments: a folder; "limit" (the process may not write longer files) or "space" (the
folder's file system has no more room); how many bytes are left.
"""

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import h5py

from srx_service.acquisitions import Acquisition
from tests.service.writing import DATASET, GROUP, Desk, image, images

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class Disk:
    """Gets full, and empty again."""

    def __init__(self, folder: Path, how: str, left_bytes: int) -> None:
        self._ballast = folder / "ballast"
        self._how = how
        self._left_bytes = left_bytes

    def fill(self) -> None:
        if self._how == "limit":
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            limits = (self._left_bytes, resource.RLIM_INFINITY)
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            return
        found = os.statvfs(self._ballast.parent)
        free = found.f_bavail * found.f_frsize
        self._ballast.write_bytes(bytes(max(0, free - self._left_bytes)))

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, UNLIMITED)
        self._ballast.unlink(missing_ok=True)


def write_until_full(desk: Desk, flush_each: int) -> Acquisition:
    """Write frames until the acquisition fails, and some more that come too late."""
    made = desk.begin()
    extras = b'{"exposure": 1.5, "text": "abc"}'
    for frame in range(100_000):
        desk.write(made, image(frame, extras=extras, shape=(60, 80)))
        if frame % flush_each == 0:
            desk.flush()
        if made.error is not None:
            break
    desk.lose(made, 2)
    desk.write(made, *images(0, 1, 2, shape=(60, 80)))
    return desk.end(made)


def durable(path: Path, **how: Any) -> list[int]:
    """The frames of a file, as far as pixels and numbers agree."""
    with h5py.File(path, **how) as file:
        numbers = file[f"{GROUP}/sequence_number"][:]
        firsts = file[DATASET][: len(numbers), 0, 0]
    pairs = zip(numbers.tolist(), firsts.tolist(), strict=True)
    return [number for number, first in pairs if first == 100 * number]


def main(folder: Path, how: str, left_bytes: int) -> dict[str, Any]:
    disk = Disk(folder, how, left_bytes)
    desk = Desk(folder)
    first = desk.series(image(0), file=folder / "before.h5")
    disk.fill()
    made = write_until_full(desk, flush_each=3)
    told = {"state": made.state, "error": made.error, "rows": made.rows}
    told |= {"counts": made.counts.as_dict(), "first": first.state}
    told["kept"] = durable(desk.file, swmr=True) if desk.file.exists() else []
    open_files = h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE)
    told["open"] = open_files
    disk.free()
    told["other"] = desk.series(image(0), file=folder / "other.h5").state
    again = desk.series(*images(7, 8, shape=(60, 80)))
    told |= {"again": again.state, "all": durable(desk.file)}
    desk.close()
    return told


if __name__ == "__main__":
    came = main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    sys.stdout.write(json.dumps(came))
