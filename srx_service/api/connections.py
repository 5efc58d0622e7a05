"""One client's connection: how many there may be, how slowly they may speak and listen.

Without these bounds a client that does nothing wrong but slowly keeps connections, and
with them file descriptors and memory that writing needs.
"""

import asyncio
from collections.abc import Iterable
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from srx_service.api.access import ALWAYS_OPEN
from srx_service.api.limits import Limits
from srx_service.api.refusals import Refusals

MAX_HEADER_BYTES = 16 << 10
"""Of one request's line and headers."""
MAX_PIPELINED = 64
"""Requests of one connection that wait for the answer to one before them. uvicorn keeps
all that come, and reads on after each answer."""
CUT_OFF_BEYOND = 16
"""Connections more than allowed are answered 503, but for a supervisor's probes; those
beyond are cut off unheard."""
LEAST_BYTES = 64 << 10
"""Whoever takes less than that of an answer in the time for it is cut off."""
MAX_UNTAKEN_BYTES = 256 << 20
"""Of answers and live views that clients have not taken yet: beyond, the slowest is
cut off."""
NOTHING_TAKEN_LOOKS = 300
"""Half a minute: whoever takes nothing in so many looks at it is cut off, too. A live
view waits for its viewer, who may be asleep, for ever."""


class BoundedHttp(HttpToolsProtocol):
    """Speaks HTTP/1.1 with a client within the limits."""

    limits: ClassVar[Limits] = Limits()
    refusals: ClassVar[Refusals] = Refusals()
    _head_bytes = 0
    _is_in_head = True
    _heads = 0
    """Requests of which all has come."""
    _is_too_many = False
    _head_timer: asyncio.TimerHandle | None = None
    _untaken_timer: asyncio.TimerHandle | None = None

    # -- how many ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Count it; cut it off where there are far too many."""
        super().connection_made(transport)
        beyond = self._beyond_limits()
        self._is_too_many = beyond > 0
        if self._is_too_many:
            self._count("too many connections")
        if beyond > CUT_OFF_BEYOND:
            transport.abort()
        else:
            self._await_head()

    def _beyond_limits(self) -> int:
        mine = self._address
        same = sum(_address(other) == mine for other in self.connections)
        return max(
            len(self.connections) - self.limits.connections,
            same - self.limits.connections_per_client,
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._head_timer = _cancelled(self._head_timer)
        self._untaken_timer = _cancelled(self._untaken_timer)
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Let a viewer in, or tell why not: uvicorn has no limit for them."""
        if not self._is_too_many:
            super().handle_websocket_upgrade()
            return
        text = b"too many connections"
        self.transport.write(
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(text), text)
        )
        self.transport.close()

    # -- how slowly they speak ---------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse what came; end the connection where a head is too long."""
        if self._is_in_head and self._head_timer is None:
            self._await_head()
        heads = self._heads
        super().data_received(data)
        if len(self.pipeline) > MAX_PIPELINED:
            self.pipeline.clear()
            self._count("too many requests at once")
            self.transport.abort()
            return
        if not self._is_in_head or self._heads > heads or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEADER_BYTES:
            # The parser has no bound: it would keep what it is sent until memory ends.
            self._count("headers too large")
            self.send_400_response(f"headers of more than {MAX_HEADER_BYTES} bytes")

    def on_message_begin(self) -> None:
        """Count anew: a request begins."""
        super().on_message_begin()
        self._head_bytes, self._is_in_head = 0, True

    def on_headers_complete(self) -> None:
        """Leave the body to others, who bound it."""
        self._is_in_head = False
        self._head_timer = _cancelled(self._head_timer)
        if self._is_too_many:
            # With 0 uvicorn answers 503; a probe that got one would end the service.
            self.limit_concurrency = (
                None if self.url.decode("latin-1") in ALWAYS_OPEN else 0
            )
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Expect the next head."""
        self._head_bytes, self._is_in_head = 0, True
        self._heads += 1
        super().on_message_complete()

    def _await_head(self) -> None:
        timeout_s = self.limits.timeout_s
        self._head_timer = self.loop.call_later(timeout_s, self._end_late_head)

    def _end_late_head(self) -> None:
        if self.transport.is_closing():
            return
        self._count("a request's head that does not come")
        if self._head_bytes:
            timeout_s = self.limits.timeout_s
            self.send_400_response(f"no whole head within {timeout_s:g} s")
        else:
            self.transport.close()

    # -- how slowly they listen --------------------------------------------------------

    def pause_writing(self) -> None:
        """Watch whether an answer that waits for its client is taken."""
        super().pause_writing()
        self._watch_untaken()

    def resume_writing(self) -> None:
        """It is taken."""
        self._untaken_timer = _cancelled(self._untaken_timer)
        super().resume_writing()

    def _watch_untaken(self) -> None:
        left = _untaken_bytes(self)
        self._untaken_timer = self.loop.call_later(
            self.limits.timeout_s, self._check_untaken, left
        )

    def _check_untaken(self, before: int) -> None:
        if _untaken_bytes(self) > before - LEAST_BYTES:
            self._count("an answer that is not taken")
            self.transport.abort()
        else:
            self._watch_untaken()

    # -- who ---------------------------------------------------------------------------

    @property
    def _address(self) -> str | None:
        return _address(self)

    def _count(self, kind: str) -> None:
        self.refusals.count(kind, self._address)


class Untaken:
    """Keeps what clients have not taken yet, live views included, within a bound."""

    def __init__(self) -> None:
        self._since: dict[object, int] = {}
        """Connections that something waits for, by the look at which it first did."""
        self._taken: dict[object, tuple[int, int]] = {}
        """By connection: what waits for it, and the look at which it last got less."""
        self._looks = 0
        self._refusals = Refusals()

    def bound(self, connections: Iterable[object]) -> None:
        """Look at all connections; cut off those that take longest, where they must."""
        self._looks += 1
        waiting = {c: size for c in connections if (size := _untaken_bytes(c))}
        self._since = {c: self._since.get(c, self._looks) for c in waiting}
        self._cut_off_stuck(waiting)
        total = sum(waiting.values())
        for connection in sorted(waiting, key=self._since.__getitem__):
            if total <= MAX_UNTAKEN_BYTES:
                return
            total -= waiting[connection]
            self._refusals.count("answers too slowly taken", _address(connection))
            _abort(connection)

    def _cut_off_stuck(self, waiting: dict[object, int]) -> None:
        before, self._taken = self._taken, {}
        for connection, size in waiting.items():
            known, look = before.get(connection, (size, self._looks))
            look = self._looks if size < known else look
            self._taken[connection] = size, look
            if self._looks - look >= NOTHING_TAKEN_LOOKS:
                self._refusals.count("nothing is taken", _address(connection))
                _abort(connection)


def _abort(connection: object) -> None:
    transport: asyncio.Transport | None = getattr(connection, "transport", None)
    if transport is not None:
        transport.abort()


def bounded(limits: Limits) -> type[BoundedHttp]:
    """Return the protocol with other limits: uvicorn makes one for each connection."""
    return type(
        "BoundedHttp", (BoundedHttp,), {"limits": limits, "refusals": Refusals()}
    )


def _cancelled(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _address(connection: object) -> str | None:
    client = getattr(connection, "client", None)
    return client[0] if client else None


def _untaken_bytes(connection: object) -> int:
    transport: asyncio.Transport | None = getattr(connection, "transport", None)
    return 0 if transport is None else transport.get_write_buffer_size()
