"""The live view: the newest frame again and again, at a rate the viewer chooses."""

import asyncio
import copy
import io
from typing import Annotated

import msgspec
import numpy as np
from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect

from srx_service.api.frames import Downsample
from srx_service.api.line import TheLatest
from srx_service.errors import ProtocolError
from srx_service.latest import Latest

router = APIRouter()

MAX_RATE_HZ = 20.0
"""More than an eye sees; who wants every frame connects to the secondary port."""

Rate = Annotated[float, Query(gt=0, le=MAX_RATE_HZ)]


@router.websocket("/api/v1/live")
async def live(
    websocket: WebSocket,
    latest: TheLatest,
    rate: Rate = 5.0,
    downsample: Downsample = None,
) -> None:
    """Send frames until the viewer leaves: a line of JSON, then a NumPy file."""
    await websocket.accept()
    gone = asyncio.create_task(_leave(websocket))
    try:
        await _show(websocket, latest, downsample, 1 / rate, gone)
    except WebSocketDisconnect:
        pass
    finally:
        gone.cancel()


async def _show(
    websocket: WebSocket,
    latest: Latest,
    downsample: int | None,
    period_s: float,
    gone: asyncio.Task[None],
) -> None:
    clock = asyncio.get_running_loop().time
    shown = 0
    while not gone.done():
        due_s = clock() + period_s
        if latest.serial != shown:
            shown = latest.serial
            # To send awaits what is still on its way to a slow viewer: the frames that
            # come by then are skipped, but for the one already made.
            await websocket.send_bytes(
                await asyncio.to_thread(_message, latest, downsample)
            )
        await asyncio.wait({gone}, timeout=max(0.0, due_s - clock()))


async def _leave(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


def _message(latest: Latest, downsample: int | None) -> bytes:
    # A copy keeps its image: header and pixels belong together, whatever comes.
    still = copy.copy(latest)
    header = still.header()
    try:
        pixels = still.npy(downsample)
    except ProtocolError as error:
        header, pixels = {**header, "error": str(error)}, NO_PIXELS
    return msgspec.json.encode(header) + b"\n" + pixels


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


NO_PIXELS = _npy(np.empty(0, "uint8"))
