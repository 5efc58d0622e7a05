"""The last frame as a picture, as an array, as its header."""

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import Response

from srx_service.api.line import Line, TheLatest, TheLine
from srx_service.errors import ProtocolError, RequestError
from srx_service.latest import Latest
from srx_service.picture import Scale

router = APIRouter(tags=["last frame"])

Grey = Annotated[float | None, Query(allow_inf_nan=False)]
Downsample = Annotated[
    int | None,
    Query(ge=1, le=65535, description="Along each axis; absent: as POST /downsample."),
]


class PngResponse(Response):
    """A picture without loss."""

    media_type = "image/png"


class JpegResponse(Response):
    """A small picture."""

    media_type = "image/jpeg"


class NpyResponse(Response):
    """The pixels themselves, as numpy.save writes them."""

    media_type = "application/x-npy"


def no_frame() -> RequestError:
    """Return what to tell before the first frame."""
    text = "no frame has come yet: start the detector, or look at /status"
    return RequestError(404, "no frame yet", text)


_Kind = TypeVar("_Kind", bound=Response)
_Seen = TypeVar("_Seen")


async def _rendered(
    kind: type[_Kind], latest: Latest, line: Line, render: Callable[[], bytes]
) -> _Kind:
    """Return a view: at once, or when the last one has had its share of a core."""
    wait_s = latest.rests_until_s - time.monotonic()
    if wait_s > 0 and line.is_receiving():
        await line.wait_while_receiving(wait_s)
    content = await seen(latest, render)
    return kind(content, headers={"Cache-Control": "no-store"})


async def seen(latest: Latest, look: Callable[[], _Seen]) -> _Seen:
    """Look at the last frame in a thread; RequestError: there is nothing to see."""
    if not latest.serial:
        raise no_frame()
    try:
        return await asyncio.to_thread(look)
    except ProtocolError as error:
        text = f"the last frame cannot be shown: {error}"
        raise RequestError(502, "undecodable frame", text) from error


@router.get("/last_frame.png", response_class=PngResponse, name="last_frame_png")
@router.get("/api/v1/frame/latest.png", response_class=PngResponse, name="latest_png")
async def png(
    latest: TheLatest,
    line: TheLine,
    scale: Scale = "linear",
    downsample: Downsample = None,
    low: Grey = None,
    high: Grey = None,
) -> PngResponse:
    """Return the last frame as PNG; `low` is black, `high` is white."""
    return await _rendered(
        PngResponse,
        latest,
        line,
        lambda: latest.png(scale, downsample, low=low, high=high),
    )


@router.get("/api/v1/frame/latest.jpg", response_class=JpegResponse, name="latest_jpg")
async def jpg(
    latest: TheLatest,
    line: TheLine,
    scale: Scale = "linear",
    downsample: Downsample = None,
    low: Grey = None,
    high: Grey = None,
) -> JpegResponse:
    """Return the last frame as JPEG; `low` is black, `high` is white."""
    return await _rendered(
        JpegResponse,
        latest,
        line,
        lambda: latest.jpg(scale, downsample, low=low, high=high),
    )


@router.get("/last_frame.npy", response_class=NpyResponse, name="last_frame_npy")
@router.get("/api/v1/frame/latest.npy", response_class=NpyResponse, name="latest_npy")
async def npy(
    latest: TheLatest, line: TheLine, downsample: Downsample = None
) -> NpyResponse:
    """Return the last frame's pixels as a NumPy file."""
    return await _rendered(NpyResponse, latest, line, lambda: latest.npy(downsample))


@router.get("/api/v1/frame/latest", name="latest_header")
async def header(latest: TheLatest, total: bool = False) -> dict[str, Any]:
    """Return the last frame's header; bytes in it are told in base64.

    Of a frame that takes a row it tells which, in `acquisition` and `row`. With `total`
    it is decoded, and `total_counts` is the sum of its pixels without masked ones.
    """
    told = await seen(latest, latest.total) if total else latest.header()
    if not told:
        raise no_frame()
    return msgspec.to_builtins(told)
