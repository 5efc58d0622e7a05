"""Which file system a folder is on, how much is free there, and whether it is still it.

A folder that a disk was mounted on is there without the disk, too: what is written then
goes to another disk, and is hidden when the right one is back.
"""

import os
from collections import deque
from pathlib import Path

import msgspec

from srx_service.errors import WriteError

KEPT = 100
"""Mount points that are remembered; more only where they come and go."""

UNTOLD = 1 << 60
"""Free bytes of a file system that tells no size at all, as some in user space do."""


class Room(msgspec.Struct, frozen=True):
    """What a look at a folder found."""

    folder: Path
    """The one asked for, or the nearest above it that there is."""
    mount: Path
    """Where its file system is mounted."""
    free_bytes: int
    """For users without privileges."""


def look(folder: Path) -> Room:
    """Return what room there is; waits for ever where a mount's server is gone.

    Raises:
        OSError: The folder may not be looked into.
    """
    folder = Path(os.path.realpath(folder))
    while True:
        try:
            found = os.statvfs(folder)
            break
        except (FileNotFoundError, NotADirectoryError):
            folder = folder.parent
    free_bytes = found.f_bavail * found.f_frsize if found.f_blocks else UNTOLD
    return Room(folder, _mount_of(folder), free_bytes)


def _mount_of(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.is_mount())


class Mounts:
    """Mount points that were written to."""

    def __init__(self) -> None:
        self._known: deque[Path] = deque(maxlen=KEPT)

    def add(self, room: Room) -> None:
        """Remember where a folder's file system is mounted."""
        if room.mount not in self._known:
            self._known.append(room.mount)

    def must_be_there(self, path: Path, room: Room) -> None:
        """Refuse a file that would go to the disk below the one that is meant.

        Raises:
            WriteError: A mount point above it has no file system any more.
        """
        real = Path(os.path.realpath(path.parent))
        for mount in list(self._known):
            is_below = mount != room.mount and mount.is_relative_to(room.mount)
            if is_below and real.is_relative_to(mount):
                raise WriteError(
                    f"cannot write to {path}: {mount} is not mounted any more, and the "
                    "file would go to another disk: mount it again; if that is meant, "
                    "restart the service"
                ) from OSError(f"{mount} is not mounted")
