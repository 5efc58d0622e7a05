"""How the detector is started: DECTRIS over SIMPLON, the simulator, or not by us.

SIMPLON: DECTRIS, SIMPLON API Reference, version 1.8 (EIGER2, PILATUS4): GET and PUT of
`<host>/<module>/api/1.8.0/{config,status,command}/<key>` with `{"value": ...}`.
"""

import logging
from dataclasses import replace
from typing import Any

from srx_ophyd.documents import FrameLayout
from srx_ophyd.driver import Driver, DriverError, Settings
from srx_ophyd.endpoint import Endpoint, Json

__all__ = (
    "Driver",
    "DriverError",
    "NoDriver",
    "Settings",
    "SimplonDriver",
    "SimulatorDriver",
)

logger = logging.getLogger(__name__)

TRIGGER_MARGIN_S = 30.0
"""What a trigger may take beyond one and a half times its frames."""
ARM_TIMEOUT_S = 30.0
"""Large detectors take seconds to arm."""


class NoDriver:
    """Something else triggers the detector: hardware, its own program, another device.

    Args:
        layout: Shape and dtype of the frames, where they are known.
    """

    starts_exposures = False
    names_series = False

    def __init__(self, layout: FrameLayout | None = None) -> None:
        self._layout = layout

    def configure(self, settings: Settings) -> Settings:
        """Do nothing."""
        return settings

    def layout(self) -> FrameLayout | None:
        """Return what the constructor was told."""
        return self._layout

    def arm(self) -> None:
        """Do nothing."""

    def trigger(self, frames: int) -> None:
        """Do nothing."""

    def disarm(self) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Do nothing."""

    def state(self) -> str:
        """Return what a user should look at when frames stay out."""
        return "no driver: is what triggers the detector running?"

    def close(self) -> None:
        """Do nothing."""


class SimulatorDriver:
    """The generic simulator, `srx simulate detector`.

    Args:
        url: Its control address: "http://localhost:8100".
        timeout_s: For connecting and for each answer.
    """

    starts_exposures = True
    # The generic stream carries no id of the series.
    names_series = False

    MANY_FRAMES = 1_000_000_000
    """Of a series: armed once a staging, triggered once a point, ended by disarm."""

    def __init__(self, url: str, timeout_s: float = 3.0) -> None:
        self._http = Endpoint(
            "simulated detector", url, timeout_s=timeout_s, error=DriverError
        )
        self._period_s = 0.0

    def configure(self, settings: Settings) -> Settings:
        """Set frames and exposure; the file is the service's business alone."""
        # It can only be configured while idle; a client that died leaves it armed.
        self.disarm()
        changes: dict[str, Any] = {"frames": self.MANY_FRAMES, "filename": ""}
        if settings.exposure_s:
            changes["exposure_s"] = settings.exposure_s
        config = self._http.request("PUT", "/config", changes)
        exposure_s, rate_hz = config["exposure_s"], config["frame_rate"]
        # A rate of 0 means without pauses.
        self._period_s = exposure_s if rate_hz is None else 1 / (rate_hz or 1e9)
        return replace(settings, exposure_s=exposure_s, period_s=self._period_s)

    def layout(self) -> FrameLayout:
        """Return what it is going to send."""
        status = self._http.request("GET", "/status")
        y, x = _field(status, "shape", "/status")
        return FrameLayout((y, x), status["dtype"])

    def arm(self) -> None:
        """Start a series."""
        self._http.request("POST", "/arm")

    def trigger(self, frames: int) -> None:
        """Take `frames` frames; returns when they are sent."""
        timeout_s = frames * self._period_s * 1.5 + TRIGGER_MARGIN_S
        body = {"frames": frames}
        self._http.request("POST", "/trigger", body, timeout_s=timeout_s)

    def disarm(self) -> None:
        """End the series."""
        self._http.request("POST", "/disarm")

    def abort(self) -> None:
        """End the series; it stops between frames."""
        self.disarm()

    def state(self) -> str:
        """Return its state."""
        status = self._http.request("GET", "/status")
        return f"detector is {_field(status, 'state', '/status')!r}"

    def close(self) -> None:
        """Close connections."""
        self._http.close()


class SimplonDriver:
    """A DECTRIS detector, over SIMPLON REST.

    Args:
        url: The control unit's address: "http://172.16.119.200".
        version: Of the API, as it stands in the paths.
        timeout_s: For connecting and for each answer but those of arm and trigger.
    """

    starts_exposures = True
    names_series = True

    TRIGGER_MODES = ("ints", "exts", "exte")
    """`inte` is left out: there the client times every exposure."""
    MANY_TRIGGERS = 100_000
    """Armed once a staging, triggered once a point, ended by disarm."""
    MANY_IMAGES = 1_000_000_000
    """Of a series, images times triggers."""

    def __init__(
        self, url: str, *, version: str = "1.8.0", timeout_s: float = 3.0
    ) -> None:
        self._http = Endpoint("detector", url, timeout_s=timeout_s, error=DriverError)
        self._version = version
        self._mode = "ints"
        self._period_s = 0.0
        self._dropped_before = 0

    def configure(self, settings: Settings) -> Settings:
        """Set up triggers, exposure and the stream."""
        self._mode = settings.trigger_mode or "ints"
        if self._mode not in self.TRIGGER_MODES:
            known = ", ".join(self.TRIGGER_MODES)
            raise DriverError(f"trigger_mode {self._mode!r}: there are {known}")
        self._leave_armed_state()
        self._configure_stream()
        self._configure_triggers(settings)
        if settings.exposure_s:
            self._set_exposure(settings.exposure_s)
        # Read again: the detector rounds, and one setting changes another.
        self._period_s = float(self._get("detector", "config", "frame_time"))
        return replace(
            settings,
            exposure_s=float(self._get("detector", "config", "count_time")),
            trigger_mode=self._mode,
            period_s=self._period_s,
        )

    def layout(self) -> FrameLayout:
        """Return what it will send; the dtype follows from the exposure's bit depth."""
        y = int(self._get("detector", "config", "y_pixels_in_detector"))
        x = int(self._get("detector", "config", "x_pixels_in_detector"))
        bits = int(self._get("detector", "config", "bit_depth_image"))
        return FrameLayout((y, x), f"uint{bits}")

    def arm(self) -> int:
        """Arm it and return SIMPLON's sequence id, which the stream calls series."""
        self._dropped_before = self._dropped()
        answer = self._command("arm", ARM_TIMEOUT_S)
        return int(_field(answer, "sequence id", f"arm at {self._http.url}"))

    def trigger(self, frames: int) -> None:
        """Send a trigger; with internal timing it returns when all frames are taken."""
        if self._mode == "ints":
            timeout_s = frames * self._period_s * 1.5 + TRIGGER_MARGIN_S
            self._command("trigger", timeout_s)

    def disarm(self) -> None:
        """End the series once its images are sent."""
        self._command("disarm")

    def abort(self) -> None:
        """Stop at once."""
        self._command("abort")

    def state(self) -> str:
        """Return its state, and how many images its stream had to drop."""
        state = self._get("detector", "status", "state")
        dropped = self._dropped() - self._dropped_before
        text = f"detector is {state!r}"
        return f"{text}, its stream dropped {dropped} images" if dropped else text

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    def _leave_armed_state(self) -> None:
        state = self._get("detector", "status", "state")
        if state == "ready":
            # Left armed by a client that died; the service knows of nobody using it.
            logger.warning("detector %s was armed: disarming it", self._http.url)
            self.disarm()
        elif state != "idle":
            hint = "initialize it" if state in ("na", "error") else "disarm or abort it"
            raise DriverError(f"detector {self._http.url} is {state!r}: {hint} first")

    def _configure_stream(self) -> None:
        self._set("stream", "mode", "enabled")
        self._set("stream", "header_detail", "all")
        # An appendix may name a file, and the file is the service's business alone.
        self._set("stream", "header_appendix", "")

    def _configure_triggers(self, settings: Settings) -> None:
        images = {
            "ints": settings.frames,
            "exts": settings.frames_per_event,
            "exte": 1,
        }[self._mode]
        triggers = max(1, min(self.MANY_TRIGGERS, self.MANY_IMAGES // images))
        self._set("detector", "trigger_mode", self._mode)
        self._set("detector", "nimages", images)
        self._set("detector", "ntrigger", triggers)

    def _set_exposure(self, exposure_s: float) -> None:
        self._set("detector", "count_time", exposure_s)
        # A frame time below count time and readout would shorten the exposure.
        self._set("detector", "frame_time", exposure_s + self._readout_s())

    def _readout_s(self) -> float:
        try:
            return float(self._get("detector", "config", "detector_readout_time"))
        except DriverError as error:
            if error.status is None:
                raise
            return 0.0

    def _dropped(self) -> int:
        return int(self._get("stream", "status", "dropped"))

    def _get(self, module: str, kind: str, key: str) -> Json:
        path = self._path(module, kind, key)
        return _field(self._http.request("GET", path), "value", path)

    def _set(self, module: str, key: str, value: Json) -> None:
        self._http.request("PUT", self._path(module, "config", key), {"value": value})

    def _command(self, name: str, timeout_s: float | None = None) -> Json:
        path = self._path("detector", "command", name)
        return self._http.request("PUT", path, timeout_s=timeout_s)

    def _path(self, module: str, kind: str, key: str) -> str:
        return f"/{module}/api/{self._version}/{kind}/{key}"


def _field(answer: Json, key: str, what: str) -> Json:
    if not isinstance(answer, dict) or key not in answer:
        raise DriverError(f"{what} answered without {key!r}: {answer!r:.200}")
    return answer[key]
