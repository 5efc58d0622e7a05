"""SIMPLON REST over a simulated control unit: the URLs, and what they read and change.

Source: DECTRIS SIMPLON API reference 1.8. Beyond it, `PUT /simulator/pulse` with
{"value": n} gives n pulses on the trigger input, and `PUT /simulator/answers` with
{"value": "lost@command/arm"} lets answers go wrong.
"""

import datetime
from typing import Annotated, Any, Protocol, cast

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from srx_service.errors import ConfigError, RequestError
from srx_service.simulators.answers import BadAnswers, SpoilAnswers
from srx_service.simulators.parameters import Parameter
from srx_service.simulators.simplon import DetectorConfig, darray

OTHER_MODULES = ("filewriter", "monitor")
"""Interfaces of a control unit that are switched off here."""


class ControlUnit(Protocol):
    """What the routes show and steer."""

    config: DetectorConfig
    stream_config: dict[str, Parameter]
    state: str
    errors: list[str]
    api_version: str
    answers: BadAnswers

    @property
    def dropped(self) -> int:
        """Images that nobody took."""
        ...

    def command(self, name: str, value: object = None) -> dict[str, int] | None:
        """Do a command of the detector."""
        ...

    def pulse(self, count: int = 1) -> None:
        """Give pulses on the trigger input."""
        ...


class Body(BaseModel):
    """What a PUT carries."""

    value: Any = None


def _unit(request: Request) -> ControlUnit:
    return cast(ControlUnit, request.app.state.unit)


Unit = Annotated[ControlUnit, Depends(_unit)]
router = APIRouter()
versioned = APIRouter()
"""Below a module and a version."""


def create_app(unit: ControlUnit) -> FastAPI:
    """Return the application that serves one control unit."""
    app = FastAPI(title="SIMPLON, simulated", version=unit.api_version)
    app.state.unit = unit
    app.include_router(router)
    app.include_router(versioned, prefix=f"/{{module}}/api/{unit.api_version}")
    app.add_exception_handler(RequestError, _refuse)
    app.add_middleware(SpoilAnswers, bad=unit.answers)
    return app


def _refuse(_request: Request, error: Exception) -> PlainTextResponse:
    refused = cast(RequestError, error)
    return PlainTextResponse(str(refused), status_code=refused.status)


@router.get("/{module}/api/version")
def version(unit: Unit, module: str) -> dict[str, Any]:
    """Return the version that all other URLs hold."""
    _known_modules(module)
    return Parameter(unit.api_version, "string").answer()


@versioned.get("/config/{key:path}")
def get_config(unit: Unit, module: str, key: str) -> dict[str, Any]:
    """Return a parameter, or the names of all (`keys`)."""
    found = _config(unit, module)
    if key == "keys":
        return Parameter([*found, *_ARRAYS.get(module, ())], "string[]").answer()
    if key in _ARRAYS.get(module, ()):
        return Parameter(darray(unit.config.tables()[key]), "darray").answer()
    return _parameter(found, f"{module}/config", key).answer()


@versioned.put("/config/{key:path}")
def put_config(unit: Unit, module: str, key: str, body: Body) -> list[str]:
    """Change a parameter; return the names of all that changed with it."""
    if module == "detector":
        _require_idle(unit, key)
        return unit.config.set(key, body.value)
    parameter = _parameter(_config(unit, module), f"{module}/config", key)
    parameter.value = parameter.checked(key, body.value)
    return [key]


@versioned.get("/status/{key:path}")
def get_status(unit: Unit, module: str, key: str) -> dict[str, Any]:
    """Return a state, a list of errors, or a measured value."""
    _known_modules(module)
    now = datetime.datetime.now().astimezone().isoformat(timespec="milliseconds")
    parameter = _parameter(_status(unit, module, now), f"{module}/status", key)
    return {**parameter.answer(), "time": now, "state": "normal"}


@versioned.put("/command/{name}")
def put_command(
    unit: Unit, module: str, name: str, body: Body | None = None
) -> dict[str, int] | None:
    """Do a command; `trigger` answers when the images are out."""
    _known_modules(module)
    if module == "detector":
        return unit.command(name, body.value if body else None)
    if name != "initialize":
        raise RequestError(404, "unknown", f"{module}/command has no {name!r}")
    return None


@router.put("/simulator/pulse")
def put_pulse(unit: Unit, body: Body | None = None) -> None:
    """Give pulses on the trigger input: one, or as many as the value says."""
    count = 1 if body is None or body.value is None else body.value
    if type(count) is not int or not 0 < count <= 1_000_000:
        raise RequestError(400, "bad value", f"{count!r} is no number of pulses")
    unit.pulse(count)


@router.put("/simulator/answers")
def put_answers(unit: Unit, body: Body) -> None:
    """Let answers go wrong that are still to come."""
    try:
        unit.answers.add(str(body.value))
    except ConfigError as error:
        raise RequestError(400, "bad value", str(error)) from None


_ARRAYS = {"detector": ("pixel_mask", "flatfield")}


def _known_modules(module: str) -> None:
    known = ("detector", "stream", *OTHER_MODULES)
    if module not in known:
        text = f"there is no module {module!r}, only {', '.join(known)}"
        raise RequestError(404, "unknown", text)


def _config(unit: ControlUnit, module: str) -> dict[str, Parameter]:
    _known_modules(module)
    if module == "detector":
        return unit.config.parameters
    if module == "stream":
        return unit.stream_config
    return {"mode": Parameter("disabled", "string", "rw", allowed=("disabled",))}


def _status(unit: ControlUnit, module: str, now: str) -> dict[str, Parameter]:
    state = unit.state
    if module == "stream":
        is_on = unit.stream_config["mode"].value == "enabled"
        busy = "acquire" if state in ("ready", "acquire") else "ready"
        return {
            "state": Parameter(busy if is_on else "disabled", "string"),
            "error": Parameter([], "string[]"),
            "dropped": Parameter(unit.dropped, "uint"),
        }
    if module != "detector":
        return {"state": Parameter("disabled", "string")}
    return {
        "state": Parameter(state, "string"),
        "error": Parameter(unit.errors, "string[]"),
        "time": Parameter(now, "date"),
        "board_000/th0_temp": Parameter(22.5, "float", unit="C"),
        "board_000/th0_humidity": Parameter(3.1, "float", unit="percent"),
        "high_voltage/state": Parameter("READY", "string"),
    }


def _parameter(found: dict[str, Parameter], where: str, key: str) -> Parameter:
    if key not in found:
        raise RequestError(404, "unknown", f"{where} has no {key!r}")
    return found[key]


def _require_idle(unit: ControlUnit, key: str) -> None:
    if unit.state != "idle":
        text = f"{key} can be changed in state idle only, it is {unit.state}"
        raise RequestError(400, "not allowed", text)
