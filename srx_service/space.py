"""How much room the disk has: a thread of its own looks, the writer keeps to it.

statvfs(2) does not return where the server of a mount is gone, so it is called by a
thread that nobody waits for. Between two looks the writer counts by how much its file
has grown: what is told of it is right after each batch.
"""

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from srx_service.acquisitions import Acquisition
from srx_service.errors import WriteError
from srx_service.forecast import Forecast, amount
from srx_service.mounts import Mounts, Room, look

T = TypeVar("T")
LOOK_EVERY_S = 0.5
"""While a file grows; else every IDLE_S."""
IDLE_S = 2.0
ASKED_KEPT = 1000
"""While the disk does not answer, who asked before these is answered no more."""
SILENT_S = 3.0
"""A look that takes longer is told: a local disk needs microseconds."""
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
"""How a name answers that leads to the open file no more."""


class Growing:
    """The file that is open for writing, as far as room is concerned."""

    def __init__(self, acquisition: Acquisition, free_bytes: int) -> None:
        self.acquisition = acquisition
        self.path = Path(acquisition.file or "")
        self._found = self.path.stat()
        self.begun_bytes = self.size_bytes = self._found.st_size
        self.seen = (free_bytes, self.size_bytes)
        """Free bytes at the last look, and how large the file was then: replaced, never
        changed."""
        self.is_gone = False

    @property
    def free_bytes(self) -> int:
        """Those of the last look without what was written since."""
        free_bytes, size_bytes = self.seen
        return free_bytes - (self.size_bytes - size_bytes)

    def look_for(self) -> None:
        """See whether its name still leads to it."""
        try:
            self.is_gone = not os.path.samestat(self._found, self.path.stat())
        except OSError as error:  # a folder that may not be looked into holds it still
            self.is_gone = error.errno in GONE

    def must_be_there(self) -> None:
        """Tell what nobody would find after a restart.

        Raises:
            WriteError: It was moved, removed, or its disk was.
        """
        if self.is_gone:
            raise WriteError(
                f"{self.path} is not there any more: its disk was unmounted, or it was "
                "moved or removed while it was written; what was written went with it"
            )


class Space:
    """Looks at the disk; `run` is the body of its thread.

    Args:
        keep_free: In bytes: so much is left free; None: the disk may get full.
        root: Where files are written, looked at before the first one; None: nowhere.
        clock: Seconds, ever growing.
    """

    def __init__(
        self,
        keep_free: int | None,
        root: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.keep_free = keep_free
        self.forecast = Forecast()
        self._folder = root
        self._clock = clock
        self._mounts = Mounts()
        self._growing: Growing | None = None
        self._written_bytes = 0
        self._asked: deque[Callable[[], None]] = deque(maxlen=ASKED_KEPT)
        self._begun_s: float | None = None
        """When the look that is under way began."""
        self._free_bytes: int | None = None
        self._warning: str | None = None
        self._wake = threading.Event()
        self._is_stopped = False

    # -- the writer's side ------------------------------------------------------------

    def must_have_room(self, path: Path) -> None:
        """Refuse to make a file where there is no room for it.

        Raises:
            WriteError: The disk is full up to `keep_free`, or not mounted any more.
        """
        room = look(path.parent)
        self._mounts.must_be_there(path, room)
        self._must_be_left(path, room.free_bytes)

    def follow(self, acquisition: Acquisition) -> None:
        """From here on this acquisition's file grows."""
        path = Path(acquisition.file or "")
        try:
            room = look(path.parent)
            self._growing = Growing(acquisition, room.free_bytes)
        except OSError as error:
            raise WriteError(f"cannot find {path}: {error.strerror}") from error
        self._mounts.add(room)
        self._folder = path.parent
        self._wake.set()

    def grown(self, size_bytes: int) -> None:
        """Take note of the file's size after a batch; never waits.

        Raises:
            WriteError: It may not grow any more, or its name leads to it no more.
        """
        growing = self._growing
        if growing is None:
            return
        self._written_bytes += size_bytes - growing.size_bytes
        growing.size_bytes = size_bytes
        growing.must_be_there()
        self._must_be_left(growing.path, growing.free_bytes)

    def leave(self) -> None:
        """Let go of the file, which is closed.

        Raises:
            WriteError: Its name leads to it no more.
        """
        growing, self._growing = self._growing, None
        if growing is None:
            return
        self.ask(lambda: self._learn(growing))
        if growing.acquisition.error is None:
            growing.look_for()
            growing.must_be_there()

    def _must_be_left(self, path: Path, free_bytes: int) -> None:
        if self.keep_free is not None and free_bytes <= self.keep_free:
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise WriteError(
                f"cannot write to {path}: its disk has {amount(free_bytes)} left, and "
                f"{amount(self.keep_free)} stay free (keep_free): free space and start "
                "the next acquisition"
            ) from full

    # -- anybody's --------------------------------------------------------------------

    @property
    def free_bytes(self) -> int | None:
        """What is free now where is written, or was last; None: not known yet."""
        growing = self._growing
        return self._free_bytes if growing is None else growing.free_bytes

    def ask(self, do: Callable[[], T]) -> Future[T]:
        """Have the thread do what may take for ever; a call given up is not begun."""
        future: Future[T] = Future()

        def answer() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(do())
            except Exception as error:  # noqa: BLE001 - whoever asked is told
                future.set_exception(error)

        self._asked.append(answer)
        self._wake.set()
        return future

    @property
    def silent_s(self) -> float:
        """Seconds for which the disk has not answered; 0.0 where that is no wonder."""
        begun_s = self._begun_s
        waited_s = 0.0 if begun_s is None else self._clock() - begun_s
        return waited_s if waited_s >= SILENT_S else 0.0

    @property
    def warning(self) -> str | None:
        """What a person should know of the disk before it is full."""
        if silent_s := self.silent_s:
            return f"{self._folder} does not answer, for {silent_s:.0f} s now"
        return self._warning

    def shown(self) -> dict[str, Any]:
        """Return what /status and /metrics tell."""
        shown: dict[str, Any] = {"disk_warning": self.warning}
        shown["disk_is_short"] = shown["disk_warning"] is not None
        shown["disk_free_bytes"] = self.free_bytes
        return shown

    def stop(self) -> None:
        """Let `run` return; nobody should wait for that."""
        self._is_stopped = True
        self._wake.set()

    # -- the thread -------------------------------------------------------------------

    def run(self) -> None:
        """Look again and again, until `stop`."""
        while not self._is_stopped:
            self._wake.clear()
            with self._under_way():
                while self._asked:
                    self._asked.popleft()()
                self._look()
            self._wake.wait(IDLE_S if self._growing is None else LOOK_EVERY_S)

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        self._begun_s = self._clock()
        try:
            yield
        finally:
            self._begun_s = None

    def _look(self) -> None:
        growing, folder = self._growing, self._folder
        if folder is None:
            return
        size_bytes = 0 if growing is None else growing.size_bytes
        try:
            room = look(folder)
        except OSError as error:
            self._warning = f"{folder} cannot be looked at: {error.strerror}"
            return
        if growing is None:
            self._mounts.add(room)
        else:
            growing.seen = (room.free_bytes, size_bytes)
            growing.look_for()
            self._learn(growing)
        self._tell(room, growing)

    def _learn(self, growing: Growing) -> None:
        grown_bytes = growing.size_bytes - growing.begun_bytes
        self.forecast.learn(growing.acquisition, grown_bytes)

    def _tell(self, room: Room, growing: Growing | None) -> None:
        self._free_bytes = room.free_bytes
        self.forecast.saw(self._clock(), room, self._written_bytes)
        left_bytes = room.free_bytes - (self.keep_free or 0)
        acquisition = None if growing is None else growing.acquisition
        self._warning = self.forecast.warning(room.folder, left_bytes, acquisition)
