"""The predecessor's routes, byte for byte where a client could notice."""

import asyncio
import copyreg
import io
import pickle
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query
from fastapi.responses import Response

from srx_service.api.line import TheLatest, TheLine
from srx_service.api.models import Status, Value

router = APIRouter(tags=["predecessor"])
pickle_router = APIRouter(tags=["predecessor"])
"""A router of its own, so that a site can leave it out."""

PROTOCOL = 4
"""What the predecessor sent: readers older than this service must go on working."""


class PickleResponse(Response):
    """A pickle under the predecessor's name for it."""

    media_type = "image/pickle"


@router.get("/status", response_model=Status, response_model_exclude_unset=True)
async def status(line: TheLine) -> dict[str, Any]:
    """Return the state of the line."""
    return line.status()


@router.get("/received_frames")
async def received_frames(line: TheLine) -> Value:
    """Return the images received since the last header."""
    return Value(value=line.received_frames())


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
