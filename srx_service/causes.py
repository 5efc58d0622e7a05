"""Why a file could not be made or written, in words that say what to do."""

import errno
import os
import re
from pathlib import Path
from types import TracebackType

from srx_service.errors import WriteError
from srx_service.pixels import H5_ERRORS

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
BROKEN = (errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ETIMEDOUT)


class Refused(WriteError):
    """The file is not one that these frames may go into: they are rejected."""


class told:  # noqa: N801 - it reads as a verb: `with told("cannot flush", path):`
    """Makes a WriteError with path and cause of what HDF5 and the system raise.

    Args:
        what: Could not be done.
        path: Of the file.
        refused: True where it is the file's fault: what is in it, not the storage.
    """

    def __init__(self, what: str, path: Path, *, refused: bool = False) -> None:
        self._what = what
        self._path = path
        self._refused = refused

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, H5_ERRORS):
            is_refused = self._refused and _errno(error) is None
            text = f"{self._what} {self._path}: {_cause(error, self._path)}"
            raise (Refused if is_refused else WriteError)(text) from error


def _errno(error: BaseException) -> int | None:
    """Return the system's error number; HDF5 tells it in its text, at times."""
    number = getattr(error, "errno", None)
    if number is None and (found := re.search(r"errno = (\d+)", str(error))):
        number = int(found[1])
    return number


def _cause(error: BaseException, path: Path) -> str:
    number = _errno(error)
    if number == errno.EEXIST:
        return "the file exists and is never overwritten; choose another name"
    if number in FULL:
        return f"{os.strerror(number)}: free space and start the next acquisition"
    if number in FORBIDDEN:
        return f"{os.strerror(number)}: the service's user may not write there"
    if re.search("is already open for (write|SWMR)", str(error)):
        return f"its last writer did not close it; `srx repair {path}` does"
    if number in BROKEN:
        return f"{os.strerror(number)}: the disk, or its server, fails"
    return " ".join(str(error).split()) or type(error).__name__
