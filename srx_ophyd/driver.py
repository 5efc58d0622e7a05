"""What a device needs of whatever starts the detector."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from srx_ophyd.documents import FrameLayout
from srx_ophyd.endpoint import RemoteError

STALL_MARGIN_S = 10.0
"""Frames may stay out for so long beyond two exposures."""
STALL_MARGIN_OTHERS_S = 60.0
"""The same where something else triggers: it may have a motor to wait for."""


class DriverError(RemoteError):
    """The detector refused a request, cannot be reached, or is in no state for it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a detector is armed with."""

    frames: int
    """What one `trigger` is to yield."""
    frames_per_event: int
    """What one hardware trigger is to yield."""
    exposure_s: float = 0.0
    """0: as the detector is set."""
    trigger_mode: str = ""
    """In the driver's words; "": its default."""
    period_s: float = field(default=0.0, compare=False)
    """From frame to frame, as the detector says; 0: it does not."""

    @property
    def keys(self) -> dict[str, Any]:
        """What two acquisitions have in common when their frames look the same."""
        keys = asdict(self)
        del keys["frames"], keys["period_s"]
        return keys


class Driver(Protocol):
    """Starts exposures. Every call is bounded in time and raises DriverError."""

    names_series: bool
    """True: `arm` returns the id that the stream carries for this series."""
    trigger_modes: Mapping[str, str]
    """Its words for what starts an exposure: "internal", "edge" of a signal, its
    "level"; what is not in it cannot be done."""

    @property
    def starts_exposures(self) -> bool:
        """False: as it is configured something else does; `trigger` does nothing."""
        ...

    def configure(self, settings: Settings) -> Settings:
        """Set the detector up; return the settings as it took them."""
        ...

    def layout(self) -> FrameLayout | None:
        """Return shape and dtype of the frames to come; None where it cannot know."""
        ...

    def arm(self) -> int | None:
        """Make it ready for triggers; return the id of the series in the stream."""
        ...

    def trigger(self, frames: int) -> None:
        """Take `frames` frames; returns when another trigger may follow.

        Called in a thread of its own: while it blocks, `abort` ends it.
        """
        ...

    def disarm(self) -> None:
        """End the series; harmless when it is not armed."""
        ...

    def abort(self) -> None:
        """Stop at once, in the middle of an exposure; harmless when it is not armed."""
        ...

    def state(self) -> str:
        """Return in a few words what the detector says of itself, "" for nothing."""
        ...

    def close(self) -> None:
        """Close connections; the next call opens new ones."""
        ...


def default_stall_s(driver: Driver, settings: Settings) -> float:
    """Return for how long frames may stay out before a plan fails, in seconds."""
    margin_s = STALL_MARGIN_S if driver.starts_exposures else STALL_MARGIN_OTHERS_S
    return margin_s + 2 * max(settings.period_s, settings.exposure_s)
