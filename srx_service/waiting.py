"""Requests that wait for the line: for rows to be durable, or an acquisition's end."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from srx_service.acquisitions import Acquisition


class Notice:
    """Wakes whoever waits for rows to become durable; any thread may notify."""

    def __init__(self) -> None:
        self._waiters: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def notify(self) -> None:
        """Wake everyone who waits."""
        for loop, event in tuple(self._waiters):
            with contextlib.suppress(RuntimeError):  # its loop is closed: nobody waits
                loop.call_soon_threadsafe(event.set)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[asyncio.Event]:
        """Give an event that is set at each notice; clear it before looking."""
        waiter = (asyncio.get_running_loop(), asyncio.Event())
        self._waiters.add(waiter)
        try:
            yield waiter[1]
        finally:
            self._waiters.discard(waiter)


class Waiting:
    """Waits for acquisitions; used by the event loop alone."""

    def __init__(self, notice: Notice) -> None:
        self._notice = notice
        self._wanted: list[tuple[Acquisition, int]] = []

    async def until(
        self,
        acquisition: Acquisition,
        is_there: Callable[[], bool],
        timeout_s: float,
        rows: int | None = None,
    ) -> None:
        """Wait until it is there or the acquisition is over, at most so long.

        Args:
            acquisition: Whose rows or state are waited for.
            is_there: Looked at after each notice.
            timeout_s: Then it returns all the same.
            rows: So many are to be made durable as soon as they are written.
        """
        with (
            self._notice.waiting() as event,
            self._wanting(acquisition, rows),
            contextlib.suppress(TimeoutError),
        ):
            async with asyncio.timeout(timeout_s):
                while not (is_there() or acquisition.is_over):
                    await event.wait()
                    event.clear()

    @contextlib.contextmanager
    def _wanting(self, acquisition: Acquisition, rows: int | None) -> Iterator[None]:
        """Let the writer know that somebody waits for these rows to be durable."""
        if rows is None:
            yield
            return
        self._wanted.append((acquisition, rows))
        self._tell_wanted(acquisition)
        try:
            yield
        finally:
            self._wanted.remove((acquisition, rows))
            self._tell_wanted(acquisition)

    def _tell_wanted(self, acquisition: Acquisition) -> None:
        wanted = [rows for other, rows in self._wanted if other is acquisition]
        acquisition.wanted_rows = min(wanted, default=None)
