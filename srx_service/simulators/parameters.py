"""Parameters of a simulated DECTRIS detector: what a GET shows and a PUT may set.

Sources: DECTRIS SIMPLON API reference 1.8; the stream header recorded from an EIGER 1M;
of the thresholds areaDetector/ADEiger, eigerDetector.cpp and pilatus4.template.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, cast

from srx_service.errors import RequestError

API_VERSION = "1.8.0"
OLD_API_VERSION = "1.6.0"
"""Has neither `format` nor thresholds beyond the first."""
API_VERSIONS = (API_VERSION, OLD_API_VERSION)
READOUT_TIME_S = 1e-7
HC_EV_ANGSTROM = 12398.419843320026
AXES = ("chi", "kappa", "omega", "phi", "two_theta")
FORMATS = ("legacy", "cbor")
"""Of the stream: v1 and v2."""
ROI_SHAPES = {"4M": (2162, 2068)}
MAX_THRESHOLDS = 4
"""What a PILATUS4 has; an EIGER2 has two."""
SWITCH = ("disabled", "enabled")
Shape = tuple[int, int]
Value = bool | int | float | str | Sequence[float] | Sequence[str] | dict[str, object]
"""What a parameter may hold."""


@dataclasses.dataclass(slots=True)
class Parameter:
    """One value behind a URL."""

    value: Value
    value_type: str
    access_mode: str = "r"
    unit: str = ""
    allowed: tuple[float, float] | tuple[str, ...] = ()
    """All values that may be set; for a number: the least and the greatest."""

    def answer(self) -> dict[str, Any]:
        """Return what a GET gets."""
        body = {
            "value": self.value,
            "value_type": self.value_type,
            "access_mode": self.access_mode,
        }
        if self.unit:
            body["unit"] = self.unit
        if self.allowed and self.value_type == "string":
            body["allowed_values"] = list(self.allowed)
        elif self.allowed:
            body["min"], body["max"] = self.allowed
        return body

    def checked(self, name: str, value: object) -> Value:
        """Return the value as it would be kept.

        Raises:
            RequestError: It may not be set, or not to this.
        """
        if self.access_mode == "r":
            raise RequestError(403, "read-only", f"{name} can only be read")
        match self.value_type, value:
            case "bool", bool() | 0 | 1:
                return bool(value)
            case "string", str() if not self.allowed or value in self.allowed:
                return value
            case "uint", int() if type(value) is int and self._is_within(value):
                return value
            case "float", int() | float() if self._is_within(value):
                return float(value)
        expected = f" of {self.allowed}" if self.allowed else ""
        raise RequestError(
            400, "bad value", f"{name}: {value!r} is no {self.value_type}{expected}"
        )

    def _is_within(self, number: float) -> bool:
        if type(number) is bool or not math.isfinite(number):
            return False
        least, most = cast(tuple[float, float], self.allowed)
        return least <= number <= most


def detector_parameters(shape: Shape) -> dict[str, Parameter]:
    """Return what every detector has in `detector/config`."""
    yes = [
        "auto_summation",
        "countrate_correction_applied",
        "flatfield_correction_applied",
        "pixel_mask_applied",
        "virtual_pixel_correction_applied",
    ]
    found = {key: Parameter(True, "bool", "rw") for key in yes}
    for axis in AXES:
        found[f"{axis}_start"] = _number(0, "degree", -360, 360)
        found[f"{axis}_increment"] = _number(0, "degree", -360, 360)
    found |= {
        "beam_center_x": _number(0.47 * shape[1], "", -1e6, 1e6),
        "beam_center_y": _number(0.52 * shape[0], "", -1e6, 1e6),
        "compression": _choice("bslz4", "bslz4", "lz4", "none"),
        "count_time": _number(0.0999999, "s", 1e-6, 3600),
        "detector_distance": _number(0.2, "m", 0, 100),
        "frame_time": _number(0.1, "s", 1e-5, 3600.1),
        "nimages": Parameter(1, "uint", "rw", "", (1, 2_000_000_000)),
        "ntrigger": Parameter(1, "uint", "rw", "", (1, 2_000_000_000)),
        "photon_energy": _number(8041.0, "eV", 1000, 150_000),
        "roi_mode": _choice("disabled", "disabled", *_rois(shape)),
        "threshold_energy": _threshold_energy(),
        "trigger_mode": _choice("ints", "ints", "inte", "exts", "exte"),
        "wavelength": _number(HC_EV_ANGSTROM / 8041.0, "angstrom", 0.05, 15),
    }
    return dict(sorted((found | _fixed_parameters(shape)).items()))


def _fixed_parameters(shape: Shape) -> dict[str, Parameter]:
    return {
        "bit_depth_image": Parameter(32, "uint"),
        "bit_depth_readout": Parameter(16, "uint"),
        "countrate_correction_count_cutoff": Parameter(2_943_293, "uint"),
        "description": Parameter("simulated Dectris EIGER Si", "string"),
        "detector_number": Parameter("E-00-0000", "string"),
        "detector_readout_time": Parameter(READOUT_TIME_S, "float", unit="s"),
        "detector_translation": Parameter([0.0, 0.0, 0.0], "float[]", unit="m"),
        "eiger_fw_version": Parameter("simulated", "string"),
        "element": Parameter("", "string"),
        "number_of_excluded_pixels": Parameter(0, "uint"),
        "sensor_material": Parameter("Si", "string"),
        "sensor_thickness": Parameter(0.00045, "float", unit="m"),
        "software_version": Parameter(API_VERSION, "string"),
        "x_pixel_size": Parameter(7.5e-05, "float", unit="m"),
        "x_pixels_in_detector": Parameter(shape[1], "uint"),
        "y_pixel_size": Parameter(7.5e-05, "float", unit="m"),
        "y_pixels_in_detector": Parameter(shape[0], "uint"),
    }


def threshold_parameters(enabled: int, difference: bool) -> dict[str, Parameter]:
    """Return what `detector/config` has of thresholds, with API 1.8.

    Args:
        enabled: The first so many.
        difference: That of the first two is enabled.
    """
    found: dict[str, Parameter] = {}
    for k in range(MAX_THRESHOLDS):
        name = f"threshold/{k + 1}"
        found[f"{name}/energy"] = _threshold_energy(1 + k / 2)
        found[f"{name}/mode"] = _choice(SWITCH[k < enabled], *SWITCH)
    found["threshold/difference/mode"] = _choice(SWITCH[difference], *SWITCH)
    return found


def _threshold_energy(factor: float = 1.0) -> Parameter:
    return _number(4020.5 * factor, "eV", 500, 150_000)


def _number(value: float, unit: str, least: float, most: float) -> Parameter:
    return Parameter(float(value), "float", "rw", unit, (least, most))


def _choice(value: str, *allowed: str) -> Parameter:
    return Parameter(value, "string", "rw", allowed=allowed)


def _rois(shape: Shape) -> list[str]:
    return [
        name
        for name, roi in ROI_SHAPES.items()
        if shape[0] >= roi[0] and shape[1] >= roi[1]
    ]


def stream_parameters(stream_format: str) -> dict[str, Parameter]:
    """Return what `stream/config` holds, with API 1.8."""
    return {
        "format": Parameter(stream_format, "string", "rw", allowed=FORMATS),
        "header_appendix": Parameter("", "string", "rw"),
        "header_detail": Parameter(
            "basic", "string", "rw", allowed=("none", "basic", "all")
        ),
        "image_appendix": Parameter("", "string", "rw"),
        "mode": Parameter("enabled", "string", "rw", allowed=("enabled", "disabled")),
    }
