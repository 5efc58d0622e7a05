"""A bound on how often one client may ask."""

import asyncio
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from srx_service.api.access import ALWAYS_OPEN
from srx_service.api.problems import problem

BURST_S = 1.0
"""So much of its rate a client may ask at once."""
MAX_WAIT_S = 1.0
"""Who asks too often waits; who would wait for longer is told to come back."""
MAX_CLIENTS = 1024
"""Remembered; beyond, the one that has been remembered for longest is forgotten."""


class Rate:
    """How long each client has to wait, so that it does not ask too often.

    Args:
        rate_hz: Requests a second of each.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1 / rate_hz
        self._due_s: dict[object, float] = {}
        """When the requests of a client so far would be over, at that rate."""

    def wait_s(self, client: object, now_s: float) -> float:
        """Return how long a request waits, and count it unless that is too long."""
        due_s = max(self._due_s.pop(client, now_s), now_s) + self._period_s
        wait_s = max(0.0, due_s - now_s - max(BURST_S, self._period_s))
        self._due_s[client] = due_s if wait_s <= MAX_WAIT_S else due_s - self._period_s
        if len(self._due_s) > MAX_CLIENTS:
            del self._due_s[next(iter(self._due_s))]
        return wait_s


class RateMiddleware:
    """Let who asks too often wait, so that it cannot take the core from the line.

    Args:
        app: The application behind it.
        rate_hz: Requests a second of each address; a supervisor's probes are counted
            apart from what else comes from there.
    """

    def __init__(self, app: ASGIApp, rate_hz: float) -> None:
        self._app = app
        self._rate = Rate(rate_hz)
        self._rate_hz = rate_hz

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait where it has to; then answer with a problem, or let the request pass."""
        wait_s = 0.0
        if scope["type"] in {"http", "websocket"}:
            address = (scope.get("client") or ("",))[0]
            client = (address, scope["path"] in ALWAYS_OPEN)
            wait_s = self._rate.wait_s(client, time.monotonic())
        if wait_s > 0:
            await asyncio.sleep(min(wait_s, MAX_WAIT_S))
        if wait_s <= MAX_WAIT_S:
            await self._app(scope, receive, send)
            return
        text = (
            f"more than {self._rate_hz:g} requests a second come from this address"
            " (api_rate); ask less often, or wait with wait_frames"
        )
        refusal = problem(429, "Too Many Requests", text, {"Retry-After": "1"})
        await refusal(scope, receive, send)
