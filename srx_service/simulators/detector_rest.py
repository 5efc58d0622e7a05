"""The HTTP control of the simulated generic detector; the API's models and routes."""

from typing import Annotated, Any, Literal, Protocol, cast

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from srx_service.errors import RequestError
from srx_service.simulators.pictures import Compression

Dtype = Literal["uint8", "uint16", "uint32", "int16", "int32", "float32"]
Pixels = Annotated[int, Field(ge=1, le=65536)]
Frames = Annotated[int, Field(ge=1, le=2_000_000_000)]


class DetectorConfig(BaseModel):
    """What PUT /config changes; only in state idle."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    frames: Frames = 10
    """Images of a series."""
    exposure_s: float = Field(default=0.1, gt=0, le=3600)
    frame_rate: float | None = Field(default=None, ge=0)
    """Images a second; 0: no pauses; None: one after each exposure."""
    filename: str = ""
    """Where the receiver is to write; empty: nowhere."""
    metadata: dict[str, Any] = {}
    save_raw: bool | None = None
    """False forbids the receiver to write; None: not said."""
    discard: list[int] = []
    """Frames that are marked as not to be written."""
    compression: Compression = "none"
    shape: list[Pixels] = Field(default=[512, 512], min_length=2, max_length=3)
    """[y, x], or [modules, y, x] where the protocol has it so."""
    dtype: Dtype = "uint16"
    first_frame: int = Field(default=0, ge=0)
    """Some sources, the Orca among them, count from 1."""
    msg_number: bool = True
    """False: no message carries a number, as from old streamers."""
    end: bool = True
    """False: series have no End, as when a source crashes."""
    series_per_trigger: bool = False
    """True: each trigger is a series, as Pilatus and Andor have it in a step scan."""


class Trigger(BaseModel):
    """What POST /trigger may carry."""

    model_config = ConfigDict(extra="forbid")

    frames: Frames | None = None
    """How many images to send now; None: all that the series lacks."""
    wait: bool = True
    """False: answer at once; `state` in GET /status tells when they are out."""


class Unit(Protocol):
    """What the routes show and steer."""

    config: DetectorConfig

    def status(self) -> dict[str, Any]:
        """Return what GET /status shows."""
        ...

    def configure(self, changes: dict[str, Any]) -> DetectorConfig:
        """Change the configuration."""
        ...

    def arm(self) -> int:
        """Begin a series."""
        ...

    def trigger(self, frames: int | None = None, *, wait: bool = True) -> None:
        """Send images."""
        ...

    def disarm(self) -> None:
        """End the series."""
        ...

    def restart(self) -> None:
        """Be as a process that was started again."""
        ...


def _unit(request: Request) -> Unit:
    return cast(Unit, request.app.state.unit)


Detector = Annotated[Unit, Depends(_unit)]
router = APIRouter()


def create_app(unit: Unit) -> FastAPI:
    """Return the application that steers one detector."""
    app = FastAPI(title="Generic detector, simulated")
    app.state.unit = unit
    app.include_router(router)
    app.add_exception_handler(RequestError, _refuse)
    app.add_exception_handler(ValidationError, _refuse_values)
    return app


def _refuse(_request: Request, error: Exception) -> JSONResponse:
    refused = cast(RequestError, error)
    body = {"title": refused.title, "status": refused.status, "detail": str(refused)}
    return JSONResponse(body, refused.status, media_type="application/problem+json")


def _refuse_values(request: Request, error: Exception) -> JSONResponse:
    faults = cast(ValidationError, error).errors()
    text = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in faults)
    return _refuse(request, RequestError(422, "bad value", text))


@router.get("/status")
def get_status(detector: Detector) -> dict[str, Any]:
    """Return state, series, shape, rate and counts."""
    return detector.status()


@router.get("/config")
def get_config(detector: Detector) -> DetectorConfig:
    """Return the configuration."""
    return detector.config


@router.put("/config")
def put_config(detector: Detector, changes: dict[str, Any]) -> DetectorConfig:
    """Change what the body names; return the configuration."""
    return detector.configure(changes)


@router.post("/arm")
def post_arm(detector: Detector) -> dict[str, int]:
    """Send the header; return the number of the series."""
    return {"series": detector.arm()}


@router.post("/trigger")
def post_trigger(detector: Detector, body: Trigger | None = None) -> dict[str, Any]:
    """Send images, and the End with the last of the series; return the status."""
    wanted = body or Trigger()
    detector.trigger(wanted.frames, wait=wanted.wait)
    return detector.status()


@router.post("/disarm")
def post_disarm(detector: Detector) -> dict[str, Any]:
    """End the series at once; return the status."""
    detector.disarm()
    return detector.status()


@router.post("/restart")
def post_restart(detector: Detector) -> dict[str, Any]:
    """Be as a process that was started again: no End, numbers from 0."""
    detector.restart()
    return detector.status()
