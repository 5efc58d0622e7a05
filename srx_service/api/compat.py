"""The predecessor's routes, byte for byte where a client could notice."""

import asyncio
import copyreg
import io
import pickle
import time
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import numpy as np
from fastapi import APIRouter, Query
from fastapi.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from srx_service.api.line import Line, TheLatest, TheLine
from srx_service.api.models import Status, Value

router = APIRouter(tags=["predecessor"])
pickle_router = APIRouter(tags=["predecessor"])
"""A router of its own, so that a site can leave it out."""

PROTOCOL = 4
"""What the predecessor sent: readers older than this service must go on working."""


class PickleResponse(Response):
    """A pickle under the predecessor's name for it."""

    media_type = "image/pickle"


POLLED: dict[str, Callable[[Line], dict[str, Any]]] = {
    "/status": lambda line: line.status(),
    "/received_frames": lambda line: {"value": line.received_frames()},
}
"""What clients poll, at 20 Hz and more, while the line needs the core."""
POLLS_APART_S = 0.03
"""Between two answers on one path while images are received."""


class PolledMiddleware:
    """Answers what is polled at once: a route of FastAPI takes three times as long.

    While images are received each path is answered 30 times a second and no more; who
    asks more often waits for the next time, or until the acquisition is over. So a
    client that asks in a tight loop does not take the core from the line.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._next_s = dict.fromkeys(POLLED, 0.0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the request pass."""
        path = scope["path"]
        told = POLLED.get(path) if scope.get("method") == "GET" else None
        if told is None:
            await self._app(scope, receive, send)
            return
        line: Line = scope["app"].state.line
        if line.is_receiving():
            await self._wait_for_turn(path, line)
        await _written(told(line))(scope, receive, send)

    async def _wait_for_turn(self, path: str, line: Line) -> None:
        wait_s = self._next_s[path] - time.monotonic()
        if wait_s > 0:
            await line.wait_while_receiving(wait_s)
        self._next_s[path] = time.monotonic() + POLLS_APART_S


def _written(told: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(told), media_type="application/json")


@router.get("/status", response_model=Status)
async def status(line: TheLine) -> Response:
    """Return the state of the line."""
    return _written(POLLED["/status"](line))


@router.get("/received_frames", response_model=Value)
async def received_frames(line: TheLine) -> Response:
    """Return the images received since the last header."""
    return _written(POLLED["/received_frames"](line))


@router.get("/downsample")
async def downsample(latest: TheLatest) -> Value:
    """Return by how much the last frame is reduced, along each axis."""
    return Value(value=latest.downsample)


@router.post("/downsample")
async def set_downsample(
    value: Annotated[int, Query(ge=1, le=65535)], latest: TheLatest
) -> Value:
    """Set by how much the last frame is reduced, for everybody."""
    latest.downsample = value
    return Value(value=value)


@pickle_router.get("/last_frame", response_class=PickleResponse, deprecated=True)
async def last_frame(latest: TheLatest) -> PickleResponse:
    """Return the last frame as a pickle of its header and its bytes.

    Whoever reads a pickle trusts its sender with everything: use /last_frame.npy.
    """
    return PickleResponse(await asyncio.to_thread(lambda: dumps(latest.parts())))


def dumps(parts: list[Any]) -> bytes:
    """Return a pickle that every numpy reads."""
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, PROTOCOL)
    pickler.dispatch_table = {**copyreg.dispatch_table, np.ndarray: _reduced}
    pickler.dump(parts)
    return stream.getvalue()


def _reduced(array: np.ndarray) -> tuple[type[np.ndarray], tuple[Any, ...]]:
    # numpy 2 would name a module that numpy 1 does not have. A bytearray, because a
    # reader may write into its image.
    return np.ndarray, (array.shape, array.dtype, bytearray(array.tobytes()))
