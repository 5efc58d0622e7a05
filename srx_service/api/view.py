"""The page's live view: pictures as a viewer wants them, and how the line is doing."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import msgspec
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from srx_service.api.viewing import TheViews, Views
from srx_service.wish import MAX_RATE_HZ, Wish

router = APIRouter()

PROTOCOL = "srx.view"
"""The subprotocol, for browsers: they can send a token as another, and no header."""
WISHES_APART_S = 0.02
"""Between two messages of a viewer that are looked at; the others wait unread."""
FIRST_WISH_S = 0.3
"""A viewer that says nothing in that time is shown what is the default."""
REPORT_S = 1.0
"""Between two reports to a viewer."""


@router.websocket("/api/v1/view")
async def view(websocket: WebSocket, views: TheViews) -> None:
    """Send pictures and reports until the viewer leaves."""
    offered = websocket.scope.get("subprotocols", ())
    await websocket.accept(PROTOCOL if PROTOCOL in offered else None)
    viewer = Viewer(websocket, views)
    with views.watching(), contextlib.suppress(WebSocketDisconnect):
        await _first_to_end(viewer.listen(), viewer.show(), viewer.tell())


async def _first_to_end(*bodies: Coroutine[Any, Any, None]) -> None:
    """Run them side by side until one ends; raise what that one raised."""
    tasks = [asyncio.create_task(body) for body in bodies]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


class Viewer:
    """One page that looks."""

    def __init__(self, websocket: WebSocket, views: Views) -> None:
        self._websocket = websocket
        self._views = views
        self._wish = Wish()
        self._has_changed = asyncio.Event()
        self._shown = 0
        """The number of the frame that was sent last."""
        self._seen = 0
        """The same, where it was sent as it is wanted now; else 0."""

    async def listen(self) -> None:
        """Take what is wanted until the viewer leaves."""
        while (message := await self._websocket.receive())["type"] == (
            "websocket.receive"
        ):
            text = message.get("text")
            try:
                if text is None:
                    raise ValueError("what is wanted is told in JSON, as text")
                self._want(self._wish.changed(text))
            except (ValueError, msgspec.DecodeError) as error:
                answer = msgspec.json.encode({"error": str(error)})
                await self._websocket.send_text(answer.decode())
            await asyncio.sleep(WISHES_APART_S)

    def _want(self, wish: Wish) -> None:
        if wish != self._wish:
            self._wish, self._seen = wish, 0
            self._has_changed.set()

    async def tell(self) -> None:
        """Send a report once a second."""
        while True:
            await self._websocket.send_text(self._views.report())
            await asyncio.sleep(REPORT_S)

    async def show(self) -> None:
        """Send each frame once, and again where it is wanted another way."""
        clock = asyncio.get_running_loop().time
        # A picture that nobody wants would be in the way on a slow link.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_WISH_S):
                await self._has_changed.wait()
        while True:
            due_s = clock() + 1 / self._wish.rate_hz
            self._has_changed.clear()
            if self._views.is_newer(self._seen) and self._may_see():
                await self._show_one()
            await asyncio.sleep(1 / MAX_RATE_HZ)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(due_s - clock()):
                    await self._has_changed.wait()

    def _may_see(self) -> bool:
        """True unless it is paused; of what it sees then it may see more."""
        return not self._wish.paused or not self._views.is_newer(self._shown)

    async def _show_one(self) -> None:
        self._shown, message = await self._views.picture(self._wanted)
        if not self._has_changed.is_set():
            self._seen = self._shown
        # To send awaits what is still on its way to a slow viewer: the frames that come
        # by then are skipped.
        await self._websocket.send_bytes(message)

    def _wanted(self) -> tuple[Wish, int]:
        self._has_changed.clear()
        return self._wish, self._seen
