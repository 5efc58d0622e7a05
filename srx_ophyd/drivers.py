"""How the detector is started: DECTRIS over SIMPLON, the simulator, or not by us."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from srx_ophyd.documents import FrameLayout
from srx_ophyd.driver import Driver, DriverError, Settings
from srx_ophyd.endpoint import Endpoint, Json
from srx_ophyd.simplon import SimplonDriver

__all__ = (
    "Driver",
    "DriverError",
    "NoDriver",
    "Settings",
    "SimplonDriver",
    "SimulatorDriver",
)

TRIGGER_MARGIN_S = 30.0
"""What a trigger may take beyond one and a half times its frames."""


class NoDriver:
    """Something else triggers the detector: hardware, its own program, another device.

    Args:
        layout: Shape and dtype of the frames, where they are known.
    """

    starts_exposures = False
    names_series = False
    # Whatever it is, somebody else sees to it.
    trigger_modes: Mapping[str, str] = {"internal": "", "edge": "", "level": ""}

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
    trigger_modes: Mapping[str, str] = {"internal": ""}

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


def _field(answer: Json, key: str, what: str) -> Json:
    if not isinstance(answer, dict) or key not in answer:
        raise DriverError(f"{what} answered without {key!r}: {answer!r:.200}")
    return answer[key]
