"""How a DECTRIS detector is set up for a series, and what it makes of that.

Nothing is set that is so already: a new energy takes seconds. Then all is read again,
because the detector rounds, and one value changes others.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from srx_ophyd.control_unit import ControlUnit
from srx_ophyd.documents import FrameLayout
from srx_ophyd.driver import DriverError, Settings
from srx_ophyd.endpoint import Json

StreamFormat = Literal["legacy", "cbor"]
Value = bool | int | float | str
"""What a key of the configuration may hold."""

DECODERS: dict[str, str] = {"legacy": "Eiger", "cbor": "DectrisStream2"}
"""The service's class that receives each format of the stream."""
MODES = ("ints", "inte", "exts", "exte")
ONE_IMAGE = ("inte", "exte")
"""Modes in which a trigger yields one image."""
MANY_TRIGGERS = 100_000
"""Armed once a staging, triggered once a point, ended by disarm."""
MANY_IMAGES = 1_000_000_000
"""Of a series, images times triggers."""
CLOSE = 1e-5
"""Relative: a configured value that is as close is not set again."""
OWN_KEYS = {
    "count_time": "exposure_s of the device",
    "frame_time": "period_s of the driver",
    "nimages": "frames_per_event and num_events of the device",
    "ntrigger": "frames_per_event and num_events of the device",
    "trigger_mode": "trigger_mode of the device",
}
"""Of the configuration, and what sets them."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What the detector took."""

    exposure_s: float
    period_s: float
    """From frame to frame."""
    layout: FrameLayout


@dataclass(frozen=True, slots=True)
class Setup:
    """What a user wants of every series.

    Raises:
        ValueError: A key is the device's own, or what is wanted is no value.
    """

    stream: StreamFormat | None
    """None: as it is."""
    config: Mapping[str, Value]
    """Keys of `detector/config`, and the values they have in the end."""
    period_s: float
    """From frame to frame, at least."""

    def __post_init__(self) -> None:
        """Find what would fail in a scan only."""
        if self.stream not in (None, *DECODERS):
            raise ValueError(f"stream {self.stream!r}: there are {', '.join(DECODERS)}")
        if not 0 <= self.period_s < math.inf:
            raise ValueError(f"period_s {self.period_s!r} is no time")
        for key, value in self.config.items():
            if key in OWN_KEYS:
                raise ValueError(f"config: {key} is set by {OWN_KEYS[key]}")
            is_number = isinstance(value, int | float) and math.isfinite(value)
            if not is_number and not isinstance(value, str):
                text = f"config: {key} is to be {value!r}, not a number or a text"
                raise ValueError(text)

    def apply(self, unit: ControlUnit, settings: Settings, mode: str) -> Taken:
        """Set the detector up, which is idle, and return what it took."""
        self._set_stream(unit)
        # Twice: a key may have changed one before it, as the energy does the threshold.
        for _ in range(2):
            changes = [
                unit.put(f"detector/config/{key}", value, CLOSE)
                for key, value in self.config.items()
            ]
            if not any(changes):
                break
        changed = _set_triggers(unit, settings, mode)
        self._set_times(unit, settings.exposure_s)
        _confirm(unit, changed)
        return Taken(
            exposure_s=unit.number("detector/config/count_time"),
            period_s=unit.number("detector/config/frame_time"),
            layout=frame_layout(unit),
        )

    def _set_stream(self, unit: ControlUnit) -> None:
        sends = stream_format(unit)
        if self.stream not in (None, sends):
            unit.put("stream/config/format", self.stream)
        unit.put("stream/config/header_detail", "all")
        # An appendix may name a file, and the file is the service's business alone.
        unit.put("stream/config/header_appendix", "")
        unit.put("stream/config/mode", "enabled")

    def _set_times(self, unit: ControlUnit, exposure_s: float) -> None:
        period_s = self.period_s
        if exposure_s:
            unit.put("detector/config/count_time", exposure_s)
            # A frame time below count time and readout would shorten the exposure.
            readout_s = unit.find("detector/config/detector_readout_time") or 0.0
            period_s = max(period_s, exposure_s + float(readout_s))
        if period_s:
            unit.put("detector/config/frame_time", period_s)


def stream_format(unit: ControlUnit) -> StreamFormat:
    """Return what the stream is in; without the key there is but stream v1."""
    return cast(StreamFormat, unit.find("stream/config/format") or "legacy")


def refuse_decoder(unit: ControlUnit, name: str) -> None:
    """Raise DriverError when a service of this class cannot receive the stream."""
    sends = stream_format(unit)
    receives = {decoder: known for known, decoder in DECODERS.items()}.get(name)
    if receives not in (None, sends):
        raise DriverError(
            f"detector {unit.url} streams {sends!r}, and its service is of class "
            f"{name}, which receives {receives!r}: give the driver "
            f"stream={receives!r}, or the service class {DECODERS.get(sends)}"
        )


def frame_layout(unit: ControlUnit) -> FrameLayout:
    """Return what frames it is going to send; the type follows from the exposure.

    Stream v1 sends the first of several thresholds alone, v2 an image of each.
    """
    names = ("y_pixels_in_detector", "x_pixels_in_detector", "bit_depth_image")
    y, x, bits = (int(unit.number(f"detector/config/{name}")) for name in names)
    channels = _channels(unit) if stream_format(unit) == "cbor" else 1
    shape = (y, x) if channels == 1 else (channels, y, x)
    return FrameLayout(shape, f"uint{bits}")


def _channels(unit: ControlUnit) -> int:
    """Return how many images a frame is of; 1 where there are no keys that tell."""
    names = [*map(str, range(1, 5)), "difference"]
    modes = [unit.find(f"detector/config/threshold/{name}/mode") for name in names]
    return max(1, modes.count("enabled"))


def _set_triggers(unit: ControlUnit, settings: Settings, mode: str) -> dict[str, Json]:
    images = {"ints": settings.frames, "exts": settings.frames_per_event}.get(mode, 1)
    most = unit.answer("detector/config/ntrigger").get("max") or MANY_TRIGGERS
    triggers = max(1, min(MANY_TRIGGERS, MANY_IMAGES // images, int(most)))
    wanted = {"nimages": images, "ntrigger": triggers, "trigger_mode": mode}
    # Firmware 2020.2.2 refuses inte and exte as long as a trigger is to yield more than
    # one image (areaDetector/ADEiger, release R3-0).
    keys = sorted(wanted, reverse=mode not in ONE_IMAGE)
    return {k: wanted[k] for k in keys if unit.put(f"detector/config/{k}", wanted[k])}


def _confirm(unit: ControlUnit, changed: Mapping[str, Json]) -> None:
    for key, value in changed.items():
        found = unit.get(f"detector/config/{key}")
        if found != value:
            text = f"{key} is {found!r}, although it was set to {value!r}"
            raise DriverError(f"detector {unit.url}: {text}")
