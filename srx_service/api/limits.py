"""Bounds on what clients may bring: their number, their bodies, their time."""

import asyncio
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from srx_service.api.problems import problem

MAX_DRAINED_BYTES = 16 << 20
"""Read and dropped of a body that is too large: a client that is still sending when the
connection closes sees a reset, and not the answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What all clients together, and each of them, may take of the service."""

    body_bytes: int = 1 << 20
    """Of a request's body. The largest that is sent on purpose holds a scan's metadata.
    """
    connections: int = 256
    """Open at once, live views included; one more is answered 503."""
    connections_per_client: int = 64
    """Of these, from one address: who takes them all leaves some to others."""
    rate_hz: float | None = 500.0
    """Requests a second from one address; None: as many as it likes."""
    timeout_s: float = 10.0
    """In which a request's head has to come, then its body; and in which whoever gets
    an answer has to take some of it."""


class BodyLimitMiddleware:
    """Read a request's body within a limit, then call the application with it.

    Args:
        app: The application behind it.
        limits: Of which it keeps `body_bytes` and `timeout_s`.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limit = limits.body_bytes
        self._timeout_s = limits.timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a problem, or let the request pass."""
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                body = await self._read(receive)
        except TimeoutError:
            text = f"the body did not come within {self._timeout_s:g} s (api_timeout)"
            late = problem(408, "body too late", text, {"Connection": "close"})
            await late(scope, receive, send)
            return
        if body is None:
            text = (
                f"the body is larger than {self._limit} bytes (api_body_limit); keep"
                " what is large in a file and name the file in the metadata"
            )
            await problem(413, "body too large", text)(scope, receive, send)
            return
        await self._app(scope, _replayed(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        body, size, more = bytearray(), 0, True
        while more and size <= MAX_DRAINED_BYTES:
            message = await receive()
            if message["type"] == "http.disconnect":
                return (
                    None  # what has come is no whole request; nobody reads the answer
                )
            part = message.get("body", b"")
            size += len(part)
            if size <= self._limit:
                body += part
            more = message.get("more_body", False)
        return bytes(body) if size <= self._limit else None


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _replayed(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [
        {"type": "http.request", "body": body, "more_body": False}
    ]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
