"""A bound on what a request may bring."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from srx_service.api.problems import problem

MAX_BODY_BYTES = 1 << 20
"""Of a request's body. The largest that is sent on purpose holds a scan's metadata."""
MAX_DRAINED_BYTES = 16 << 20
"""Read and dropped of a body that is too large: a client that is still sending when the
connection closes sees a reset, and not the answer."""


class BodyLimitMiddleware:
    """Read a request's body up to a limit, then call the application with it.

    Args:
        app: The application behind it.
        limit: In bytes.
    """

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a problem, or let the request pass."""
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        body = await self._read(receive)
        if body is None:
            text = (
                f"the body is larger than {self._limit} bytes; keep what is large in a"
                " file and name the file in the metadata"
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
