"""Gives what was written to the disk early, in a thread of its own behind the writer.

Left alone, Linux lets what is written wait in memory for up to 30 s or until it is a
tenth of it, then writes all at once, and who goes on writing is stopped meanwhile; an
fsync at the end waits for all that is left. Told of a file's growth, this thread has
each step of it written at once by sync_file_range(2), as PostgreSQL (`pg_flush_data`)
and RocksDB (`bytes_per_sync`) do.

The call waits while the disk's queue is full, so it is not for the writer's thread:
that goes on for as long as the kernel takes what it writes. Nobody waits for this one.
An error of the disk is left to the fsync: only who waits for the disk is told of it.
"""

import ctypes
import errno
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger(__name__)

SYNC_FILE_RANGE_WRITE = 2
"""Of <fcntl.h>: begin to write all pages that are dirty and not under way yet."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
UNKNOWN = (errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EPERM, errno.EOPNOTSUPP)
"""How a kernel, a file system or a sandbox says that it has no such call."""

Flush = Callable[[int, int, int], None]
"""Begins to write, of a descriptor's file, from an offset on, so many bytes."""


def _system_call() -> Flush | None:
    """Return sync_file_range; None where it is not known, as outside of Linux."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
    if call is None:
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)

    def flush(descriptor: int, offset: int, size_bytes: int) -> None:
        if call(descriptor, offset, size_bytes, SYNC_FILE_RANGE_WRITE):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return flush


_SYSTEM_CALL = _system_call()


class WriteBehind:
    """Follows the file that grows; `run` is the body of its thread.

    Args:
        step_bytes: So much is given to the disk at once; None: nothing is.
        flush: How; None: it cannot be done here.
    """

    def __init__(
        self, step_bytes: int | None, flush: Flush | None = _SYSTEM_CALL
    ) -> None:
        self._step_bytes = step_bytes or 0
        self._flush = flush
        self._is_off = step_bytes is None or flush is None
        self._told = (Path(), 0)
        """The file that grows, and its size: replaced, never changed."""
        self._done = self._told
        """Up to where it was given to the disk; the thread's own."""
        self._has_grown = threading.Event()
        self._is_stopped = False

    # -- the writer's side ------------------------------------------------------------

    def grown(self, path: Path, size_bytes: int) -> None:
        """Take note of a file's size; never waits."""
        told, told_bytes = self._told
        if told is not path:  # another one, or the same opened anew
            told_bytes = 0
        if not self._is_off and size_bytes - told_bytes >= self._step_bytes:
            self._told = (path, size_bytes)
            self._has_grown.set()

    def stop(self) -> None:
        """Let `run` return, within a step."""
        self._is_stopped = True
        self._has_grown.set()

    # -- the thread -------------------------------------------------------------------

    def run(self) -> None:
        """Follow the files until `stop`."""
        while True:
            self._has_grown.wait()
            self._has_grown.clear()
            if self._is_stopped:
                return
            self._catch_up()

    def _catch_up(self) -> None:
        """Give to the disk what the file has grown by."""
        path, size_bytes = self._told
        begin = self._done[1] if self._done[0] is path else 0
        end = size_bytes - size_bytes % PAGE_BYTES  # what follows changes that page
        self._done = (path, end)
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:  # moved or removed: nobody is in a hurry for it any more
            return
        try:
            self._flush_steps(descriptor, begin, end)
        except OSError as error:
            self._note(error, path)
        finally:
            os.close(descriptor)

    def _flush_steps(self, descriptor: int, begin: int, end: int) -> None:
        assert self._flush is not None
        for offset in range(begin, end, self._step_bytes):
            if self._is_stopped:
                return
            self._flush(descriptor, offset, min(self._step_bytes, end - offset))

    def _note(self, error: OSError, path: Path) -> None:
        if error.errno in UNKNOWN:
            self._is_off = True
            logger.info("write_behind is off: %s: %s", path, error.strerror)
