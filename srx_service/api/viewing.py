"""What all viewers share: the frame that is shown now, and the time to make pictures.

While images are received views take no more than a share of a core. One is made at a
time, then all rest; what is made already is shown to whoever wants it meanwhile.
"""

import asyncio
import contextlib
import copy
import time
from collections.abc import Callable, Iterator
from typing import Annotated

import msgspec
from fastapi import Depends
from fastapi.requests import HTTPConnection

from srx_service.api.line import Line
from srx_service.errors import ProtocolError
from srx_service.latest import Latest
from srx_service.still import Still
from srx_service.wish import Wish

SENDING_S_PER_BYTE = 1e-9
"""What it costs to send a byte: the kernel copies a gigabyte a second or more."""
AHEAD_S = 2.0
"""Of rest that what is made already need not wait for."""
SHARED_S = 1.0
"""A frame that was unpacked so lately is shown to those who have not seen it yet."""
FRESH_S = 0.5
"""A report that is younger is sent to others, too."""

Wanted = Callable[[], tuple[Wish, int]]
"""What a viewer wants, and the number of the last frame that it has seen so."""


class Views:
    """Makes what viewers see, for all of them."""

    def __init__(self, line: Line, latest: Latest) -> None:
        self._line = line
        self._latest = latest
        self._turn = asyncio.Lock()
        self._still: Still | None = None
        self._unpacked_s = 0.0
        self._viewers = 0
        self._report: dict[str, msgspec.Raw] = {}
        self._reported_s = -FRESH_S

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Somebody looks, as long as the block lasts."""
        self._viewers += 1
        try:
            yield
        finally:
            self._viewers -= 1
            if not self._viewers:
                self._still = None  # nobody needs its memory

    # -- pictures ----------------------------------------------------------------------

    def is_newer(self, serial: int) -> bool:
        """True where a frame has come after the one with this number."""
        return self._latest.serial > serial

    async def picture(
        self, wanted: Callable[[], tuple[Wish, int]]
    ) -> tuple[int, bytes]:
        """Return a frame's number, and what its viewer is sent; there is a newer one.

        Args:
            wanted: Asked as late as can be.
        """
        if (made := self._made(*wanted())) is not None:
            return made
        async with self._turn:
            # who waited for the same picture has it made by now
            if (made := self._made(*wanted())) is not None:
                return made
            await self._rest()
            wish, seen = wanted()
            still = await self._unseen(seen)
            return still.serial, await asyncio.to_thread(self._make, still, wish)

    def _made(self, wish: Wish, seen: int) -> tuple[int, bytes] | None:
        """Return what needs no making."""
        still = self._still
        if still is None or still.serial <= seen or not still.is_ready(wish):
            return None
        if self._wait_s() > AHEAD_S:
            return None  # to send takes time, too
        return still.serial, self._make(still, wish)

    async def _unseen(self, seen: int) -> Still:
        """Return a frame after the one with this number, unpacked."""
        now_s = time.monotonic()
        still = self._still
        if still is None or still.serial <= seen or self._unpacked_s < now_s - SHARED_S:
            self._still = None  # else there is memory for two
            # A copy keeps its image: header and pixels belong together, whatever comes.
            still = await asyncio.to_thread(_unpacked, copy.copy(self._latest))
            self._still, self._unpacked_s = still, time.monotonic()
        return still

    def _make(self, still: Still, wish: Wish) -> bytes:
        begun_s = time.thread_time()
        message = still.message(wish)
        took_s = time.thread_time() - begun_s
        self._latest.rest_after(took_s + len(message) * SENDING_S_PER_BYTE)
        return message

    async def _rest(self) -> None:
        while (wait_s := self._wait_s()) > 0:
            await self._line.wait_while_receiving(wait_s)

    def _wait_s(self) -> float:
        """Return for how long views have to rest."""
        wait_s = self._latest.rests_until_s - time.monotonic()
        if wait_s > 0 and not self._line.is_receiving():
            self._latest.rests_until_s = 0.0  # the line has not missed that time
            return 0.0
        return wait_s

    # -- reports -----------------------------------------------------------------------

    def report(self) -> str:
        """Return how the line is doing."""
        now_s = time.monotonic()
        if now_s - self._reported_s >= FRESH_S:
            self._report, self._reported_s = self._told(), now_s
        told = self._report | {"time": time.time()}
        return msgspec.json.encode(told).decode()

    def _told(self) -> dict[str, msgspec.Raw]:
        line = self._line
        newest = line.acquisitions(1)
        told = {
            "status": line.status(),
            "acquisition": newest[0] if newest else None,
            "metrics": line.metrics(),
        }
        return {k: msgspec.Raw(msgspec.json.encode(v)) for k, v in told.items()}


def _unpacked(latest: Latest) -> Still:
    header = latest.header()
    try:
        return Still(latest.serial, header, latest.array(1))
    except ProtocolError as error:
        return Still(latest.serial, header, None, str(error))


async def _views(connection: HTTPConnection) -> Views:
    return connection.app.state.views


TheViews = Annotated[Views, Depends(_views)]
"""What viewers share, as an argument of a route."""
