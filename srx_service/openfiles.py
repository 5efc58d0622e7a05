"""Which files are open for writing, told on disk to whoever comes after a crash.

The list in `state_dir` outlives a killed service and names the files it had open, for
its next life to repair. The lock on each file does not: the kernel drops it with the
process, which is how others know that nobody writes any more.

A file's lock is flock(2) on a small file beside it. Not on the file itself: HDF5 takes
flock there, and record locks (fcntl) meet flock where a file system makes one of the
other, as NFS and Lustre do, so that a reader would find the writer's lock in its way.
And not in `state_dir`: two services that share a data disk need not share that.
"""

import contextlib
import errno
import fcntl
import logging
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import msgspec

from srx_service.errors import ConfigError, WriteError

logger = logging.getLogger(__name__)

NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""What a file system without locks answers; Lustre does unless mounted with `flock`."""
OWNER_BYTES = 500


class FileLock:
    """The right to write one file, till `release` or the end of the process.

    Args:
        path: The file; it need not exist yet, its directory must.
        owner: Who takes it, told to whoever comes too late.

    Raises:
        WriteError: Another process, or another place in this one, has it.
    """

    def __init__(self, path: Path, owner: str) -> None:
        self.path = path.resolve()
        """The file, symlinks followed: two names of one file share its lock."""
        self.is_held = True
        """False where the file system has no locks."""
        self._side = self.path.with_name(f".{self.path.name}.srx-lock")
        try:
            self._descriptor: int | None = self._take()
        except OSError as error:
            cause = error.strerror or str(error)
            text = f"{path}: cannot lock it by {self._side}: {cause}"
            raise WriteError(text) from error
        _sign(self._descriptor, owner)

    def _take(self) -> int:
        """Lock the side file, again if its last owner removed it meanwhile."""
        while True:
            descriptor = _open(self._side)
            try:
                self.is_held = _lock(descriptor)
                if _is_still(descriptor, self._side):
                    return descriptor
            except BlockingIOError:
                text = f"{self.path} is being written by {_owner(descriptor)}; "
                os.close(descriptor)
                raise WriteError(f"{text}wait until it is closed there") from None
            os.close(descriptor)

    def release(self) -> None:
        """Give it back; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        # the directory may be gone by now, or not ours to change
        with contextlib.suppress(OSError):
            if _is_still(descriptor, self._side):
                self._side.unlink()
        os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class OpenFile(msgspec.Struct, frozen=True):
    """A line of the list."""

    path: str
    acquisition: str
    since: str


class OpenFiles:
    """The files one service has open, kept in `<state_dir>/<name>-open-files.json`.

    Used by one thread at a time: the service's at its start, then the writer's.

    Args:
        state_dir: Made where it is missing. It must survive a restart.
        name: The detector's entry in detectors.yaml.

    Raises:
        ConfigError: `state_dir` cannot be used, or a living service has the name.
    """

    def __init__(self, state_dir: Path, name: str) -> None:
        self._owner = f"the service {name!r} ({_process()})"
        stem = quote(name, safe=" ")
        self._list = state_dir / f"{stem}-open-files.json"
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
            self._descriptor: int | None = self._claim(state_dir / f"{stem}.lock", name)
            self._files = {entry.path: entry for entry in self._read()}
            self._write()
        except OSError as error:
            cause = error.strerror or str(error)
            text = f"state_dir {state_dir} cannot be used: {cause}"
            raise ConfigError(text) from error
        self._left_over = dict(self._files)

    def _claim(self, path: Path, name: str) -> int:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _lock(descriptor):
                logger.warning("%s: no locks on this file system", path)
        except BlockingIOError:
            owner = _owner(descriptor)
            os.close(descriptor)
            raise ConfigError(
                f"{name}: {owner} is running with this state_dir ({path.parent}); "
                "stop it, or give one of the two another name or state_dir"
            ) from None
        _sign(descriptor, self._owner)
        return descriptor

    def _read(self) -> list[OpenFile]:
        try:
            return msgspec.json.decode(self._list.read_bytes(), type=list[OpenFile])
        except FileNotFoundError:
            return []
        except msgspec.DecodeError:
            kept = self._list.with_suffix(".damaged")
            self._list.replace(kept)
            text = "%s is damaged, kept as %s: `srx repair` what a crash left open"
            logger.exception(text, self._list, kept)
            return []

    def _write(self) -> None:
        """Replace the list: whoever reads it finds the old one or the new one."""
        content = msgspec.json.format(msgspec.json.encode(list(self._files.values())))
        new = self._list.with_suffix(".new")
        with new.open("wb") as file:
            file.write(content + b"\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._list)
        _sync(self._list.parent)

    def add(self, path: Path, acquisition_id: str) -> None:
        """List a file before it is opened for writing."""
        key = str(path.resolve())
        since = datetime.now(UTC).isoformat(timespec="seconds")
        self._files[key] = OpenFile(key, acquisition_id, since)
        self._write()

    def remove(self, path: Path) -> None:
        """Take a file off the list, once it is closed; unlisted ones do no harm."""
        key = str(path.resolve())
        self._left_over.pop(key, None)
        if self._files.pop(key, None) is not None:
            self._write()

    def left_over(self) -> dict[Path, OpenFile]:
        """Return the files that the service's last life had open when it ended."""
        return {Path(key): entry for key, entry in self._left_over.items()}

    def lock_file(self, path: Path) -> FileLock:
        """Take the right to write a file.

        Raises:
            WriteError: Another service, or `srx repair`, has it.
        """
        lock = FileLock(path, self._owner)
        if not lock.is_held:
            text = "%s: no locks on its file system: nothing keeps other writers away"
            logger.warning(text, path)
        return lock

    def close(self) -> None:
        """Let another service have the name."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:  # left by another user's process: flock needs no more
        return os.open(path, os.O_RDONLY)


def _lock(descriptor: int) -> bool:
    """Lock an open file or raise BlockingIOError; False where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return False
        raise
    return True


def _is_still(descriptor: int, path: Path) -> bool:
    """True while the name leads to the open file: an owner removes it at release."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _process() -> str:
    return f"process {os.getpid()} on {platform.node()}"


def _sign(descriptor: int, owner: str) -> None:
    with contextlib.suppress(OSError):  # the name is only told; disks may be full
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, owner.encode()[:OWNER_BYTES], 0)


def _owner(descriptor: int) -> str:
    text = os.pread(descriptor, OWNER_BYTES, 0).decode(errors="replace")
    return text or "another process"


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
