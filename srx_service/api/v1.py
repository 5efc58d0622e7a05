"""/api/v1: acquisitions and the detector's configuration."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query

from srx_service.api.frames import seen
from srx_service.api.line import MayControl, TheLatest, TheLine
from srx_service.api.models import (
    Acquisition,
    AcquisitionAndFrame,
    Acquisitions,
    ArmBody,
    PatchBody,
    RewindBody,
)
from srx_service.errors import RequestError
from srx_service.latest import Latest

router = APIRouter(prefix="/api/v1", tags=["acquisitions"])

LONG_POLL_MAX_S = 60.0
"""Proxies close what is silent for longer; whoever asks for more asks again."""

LISTED = 200
"""Acquisitions in a list that nobody asked to be longer: each takes 1 kB and more."""

TOTAL_MAX_S = 1.0
"""Whoever waits for rows waits no longer for what their last frame sums up to."""

Frames = Annotated[int | None, Query(ge=0)]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many are listed.")]
Timeout = Annotated[
    float, Query(alias="timeout", ge=0, description="Seconds; at most 60 are waited.")
]


@router.post("/acquisitions", status_code=201, response_model=Acquisition)
async def arm(line: TheLine, body: ArmBody | None = None) -> dict[str, Any]:
    """Make an acquisition that waits for its first series; one at a time."""
    return await line.arm((body or ArmBody()).request())


@router.get("/acquisitions", response_model=Acquisitions)
async def acquisitions(line: TheLine, limit: Limit = LISTED) -> dict[str, Any]:
    """List the acquisitions still known, newest first; also those before a restart."""
    return {"acquisitions": line.acquisitions(limit)}


@router.get(
    "/acquisitions/{id}",
    response_model=AcquisitionAndFrame,
    response_model_exclude_unset=True,
)
async def acquisition(
    line: TheLine,
    latest: TheLatest,
    renews: MayControl,
    id: str,
    wait_frames: Frames = None,
    timeout_s: Timeout = 0.0,
    total: bool = False,
) -> dict[str, Any]:
    """Return one; with `wait_frames` as soon as it has so many rows, or is over.

    With `total` and all these rows there, `last_frame` tells of the last frame
    `acquisition`, `row` and `total_counts`, the sum of its pixels without masked ones;
    or `error`.
    """
    waits_s = min(timeout_s, LONG_POLL_MAX_S)
    told = await line.acquisition(id, wait_frames, waits_s, renews=renews)
    if total and wait_frames and told["rows"] >= wait_frames:
        told = told | {"last_frame": await _summed(latest)}
    return told


async def _summed(latest: Latest) -> dict[str, Any]:
    try:
        async with asyncio.timeout(TOTAL_MAX_S):
            told = await seen(latest, latest.total)
    except TimeoutError:
        return {"error": f"to sum its pixels takes longer than {TOTAL_MAX_S:g} s"}
    except RequestError as error:
        return {"error": str(error)}
    return {key: told.get(key) for key in ("acquisition", "row", "total_counts")}


@router.patch("/acquisitions/{id}", response_model=Acquisition)
async def patch(line: TheLine, id: str, body: PatchBody) -> dict[str, Any]:
    """Set the frames to expect, or the series to take."""
    expected = body.expected_or_unset()
    return await line.patch(id, expected=expected, series_id=body.series_id)


@router.post("/acquisitions/{id}/stop", response_model=Acquisition)
async def stop(line: TheLine, id: str, timeout_s: Timeout = 5.0) -> dict[str, Any]:
    """Finish with what is there; the answer comes when the file is closed."""
    return await line.stop(id, min(timeout_s, LONG_POLL_MAX_S))


@router.post("/acquisitions/{id}/abort", response_model=Acquisition)
async def abort(line: TheLine, id: str) -> dict[str, Any]:
    """End it as aborted; what is in the file stays there."""
    return await line.abort(id)


@router.post("/acquisitions/{id}/rewind", response_model=Acquisition)
async def rewind(line: TheLine, id: str, body: RewindBody) -> dict[str, Any]:
    """Drop all rows but the first; the next series continues after them."""
    return await line.rewind(id, body.rows)


@router.get("/detector")
async def detector(line: TheLine) -> dict[str, Any]:
    """Return the configuration, without secrets."""
    return line.detector()
