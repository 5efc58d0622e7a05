"""Answers that go wrong on purpose: late, lost, empty, or no JSON.

Each spoils one request, the next one whose path ends as it says; in a text
`lost@command/arm,slow=5@status/state`.

| kind     | what happens                                                        |
|----------|---------------------------------------------------------------------|
| deaf     | the connection breaks, and nothing was done                         |
| lost     | it is done, but the connection breaks before the answer             |
| cut      | the same in the middle of the answer                                |
| slow=S   | it is done, and answered S seconds later                            |
| empty    | it is done, and answered with nothing                               |
| garbled  | it is done, and answered with what is no JSON                       |
| fail     | nothing is done, and answered with status 500                       |
"""

import asyncio
from typing import NamedTuple

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from srx_service.errors import ConfigError

ALLOWED = "lost@command/arm,slow=5@status/state"
KINDS = ("deaf", "lost", "cut", "slow", "empty", "garbled", "fail")
MAX_DELAY_S = 3600.0


class BadAnswer(NamedTuple):
    """What happens to one request."""

    kind: str
    ending: str
    """Of its path."""
    delay_s: float = 0.0


class BadAnswers:
    """Those that are still to be given.

    Args:
        text: What there is at first.
    """

    def __init__(self, text: str = "") -> None:
        self._left: list[BadAnswer] = []
        self.add(text)

    def add(self, text: str) -> None:
        """Read `lost@command/arm,slow=5@status/state`; an empty text is none.

        Raises:
            ConfigError: A kind is not known, or lacks its path or its seconds.
        """
        items = filter(None, (part.strip() for part in text.split(",")))
        self._left += [*map(_parsed, items)]

    def take(self, path: str) -> BadAnswer | None:
        """Return what happens to a request, and forget it."""
        for bad in self._left:
            if path.endswith(bad.ending):
                self._left.remove(bad)
                return bad
        return None


class SpoilAnswers:
    """The application, with its answers spoiled."""

    def __init__(self, app: ASGIApp, bad: BadAnswers) -> None:
        self._app = app
        self._bad = bad

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        bad = self._bad.take(scope["path"]) if scope["type"] == "http" else None
        if bad is None:
            await self._app(scope, receive, send)
        elif bad.kind == "fail":
            answer = PlainTextResponse("the simulator was told to fail", 500)
            await answer(scope, receive, send)
        elif bad.kind == "deaf":
            await _break_off(send, b"")
        else:
            body = await self._body(scope, receive)
            await _spoil(bad, body, scope, receive, send)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Let the application answer to nobody; return what it said."""
        parts: list[bytes] = []

        async def keep(message: Message) -> None:
            parts.append(message.get("body", b""))

        await self._app(scope, receive, keep)
        return b"".join(parts)


async def _spoil(
    bad: BadAnswer, body: bytes, scope: Scope, receive: Receive, send: Send
) -> None:
    match bad.kind:
        case "slow":
            await asyncio.sleep(bad.delay_s)
            answer = Response(body, media_type="application/json")
        case "empty":
            answer = Response()
        case "garbled":
            answer = PlainTextResponse("<html>the proxy is out of order</html>")
        case _:
            await _break_off(send, body[:1] if bad.kind == "cut" else b"")
            return
    await answer(scope, receive, send)


async def _break_off(send: Send, body: bytes) -> None:
    # The server closes the connection of an answer that is not finished.
    headers = [(b"content-length", b"1000"), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})


def _parsed(item: str) -> BadAnswer:
    what, _, ending = item.partition("@")
    kind, _, delay = what.partition("=")
    try:
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is not one of {', '.join(KINDS)}")
        if not ending:
            raise ValueError("it lacks the path's end, behind @")
        if (kind == "slow") != bool(delay):
            raise ValueError("seconds stand behind slow= and nowhere else")
        delay_s = float(delay or 0)
        if not 0 <= delay_s <= MAX_DELAY_S:
            raise ValueError(f"{delay_s:g} s are not from 0 to {MAX_DELAY_S:g}")
    except ValueError as error:
        text = f"answers: {item!r}: {error}; for example {ALLOWED}"
        raise ConfigError(text) from None
    return BadAnswer(kind, ending, delay_s)
