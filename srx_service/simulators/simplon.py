"""Parameters of a simulated DECTRIS detector, as SIMPLON REST shows and changes them.

Sources: DECTRIS SIMPLON API reference 1.8; the stream header recorded from an EIGER 1M.
"""

import base64
import dataclasses
import datetime
import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from srx_service.errors import RequestError
from srx_service.simulators import pictures

API_VERSION = "1.8.0"
READOUT_TIME_S = 1e-7
HC_EV_ANGSTROM = 12398.419843320026
AXES = ("chi", "kappa", "omega", "phi", "two_theta")
FORMATS = ("legacy", "cbor")
"""Of the stream: v1 and v2."""
ROI_SHAPES = {"4M": (2162, 2068)}
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


class DetectorConfig:
    """What `detector/config` holds, with what follows from what.

    Args:
        shape: (y, x) of the whole detector.
        dtype: Pixels of every image; None: by exposure time, as the detector does.
        wide_above_s: Longer exposures than this need 32 bits (with `dtype` None).
    """

    def __init__(self, shape: Shape, dtype: str | None, wide_above_s: float) -> None:
        self._full_shape = shape
        self._dtype = dtype
        self._wide_above_s = wide_above_s
        self.parameters = _detector_parameters(shape)
        self._update_depth()

    def fix(self, values: dict[str, Value]) -> None:
        """Change what only another model has otherwise."""
        for key, value in values.items():
            self._put(key, value)

    def number(self, key: str) -> float:
        """Return the value of a parameter that is a number."""
        return cast(float, self.parameters[key].value)

    def count(self, key: str) -> int:
        """Return the value of a parameter that counts."""
        return cast(int, self.parameters[key].value)

    def text(self, key: str) -> str:
        """Return the value of a parameter that is a text."""
        return cast(str, self.parameters[key].value)

    @property
    def shape(self) -> Shape:
        """(y, x) of the images, the region of interest taken into account."""
        return self.count("y_pixels_in_detector"), self.count("x_pixels_in_detector")

    @property
    def dtype(self) -> str:
        """The name numpy has for the pixels of an image."""
        return f"uint{self.count('bit_depth_image')}"

    @property
    def images_per_trigger(self) -> int:
        """How many images a trigger gives."""
        one_each = self.text("trigger_mode") in ("inte", "exte")
        return 1 if one_each else self.count("nimages")

    def announced(self) -> int:
        """Return how many images a series can have."""
        return self.count("ntrigger") * self.images_per_trigger

    def header(self) -> dict[str, Any]:
        """Return all values that a stream header holds."""
        now = datetime.datetime.now().astimezone().isoformat(timespec="milliseconds")
        values = {key: parameter.value for key, parameter in self.parameters.items()}
        return {**values, "data_collection_date": now}

    def tables(self) -> dict[str, np.ndarray]:
        """Return what a header of detail `all` holds: mask, flatfield, count rates."""
        rates = np.linspace(0, 3e6, 1000, dtype=np.float32)
        return {
            "flatfield": np.ones(self.shape, np.float32),
            "pixel_mask": pictures.gaps(self.shape).astype(np.uint32),
            "countrate_table": np.stack([rates, rates * 1.02], axis=1),
        }

    def set(self, key: str, value: object) -> list[str]:
        """Change a parameter and what follows from it; return all keys that changed.

        Raises:
            RequestError: The key is not known, or may not be set to this.
        """
        before = {name: parameter.value for name, parameter in self.parameters.items()}
        parameter = self.parameters.get(key)
        if parameter is None:
            raise RequestError(404, "unknown", f"detector/config has no {key!r}")
        parameter.value = parameter.checked(key, value)
        self._follow(key)
        after = self.parameters
        changed = {name for name in before if before[name] != after[name].value}
        return sorted(changed | {key})

    def _follow(self, key: str) -> None:
        put, number = self._put, self.number
        match key:
            case "count_time":
                put(
                    "frame_time",
                    max(number("frame_time"), number(key) + READOUT_TIME_S),
                )
            case "frame_time":
                put(
                    "count_time",
                    min(number("count_time"), number(key) - READOUT_TIME_S),
                )
            case "photon_energy":
                put("threshold_energy", number(key) / 2)
                put("wavelength", HC_EV_ANGSTROM / number(key))
            case "wavelength":
                put("photon_energy", HC_EV_ANGSTROM / number(key))
                put("threshold_energy", number("photon_energy") / 2)
            case "roi_mode":
                shape = ROI_SHAPES.get(self.text(key), self._full_shape)
                put("y_pixels_in_detector", shape[0])
                put("x_pixels_in_detector", shape[1])
        self._update_depth()

    def _is_too_short(self, frame_time_s: float) -> bool:
        needed_s = self.number("count_time") + READOUT_TIME_S
        return needed_s - frame_time_s > 1e-12  # more than rounding

    def _update_depth(self) -> None:
        needed = (
            "uint32" if self.number("count_time") > self._wide_above_s else "uint16"
        )
        bits = np.dtype(self._dtype or needed).itemsize * 8
        self._put("bit_depth_image", bits)
        self._put("bit_depth_readout", min(bits, 16))
        self._put("number_of_excluded_pixels", int(pictures.gaps(self.shape).sum()))

    def _put(self, key: str, value: Value) -> None:
        self.parameters[key].value = value


def darray(array: np.ndarray) -> dict[str, Any]:
    """Return an array as SIMPLON's JSON has it, for pixel_mask and flatfield."""
    return {
        "__darray__": [1, 0, 0],
        "type": array.dtype.str,
        "shape": list(array.shape),
        "filters": ["base64"],
        "data": base64.b64encode(array.tobytes()).decode(),
    }


def _detector_parameters(shape: Shape) -> dict[str, Parameter]:
    def number(value: float, unit: str, least: float, most: float) -> Parameter:
        return Parameter(float(value), "float", "rw", unit, (least, most))

    def choice(value: str, *allowed: str) -> Parameter:
        return Parameter(value, "string", "rw", allowed=allowed)

    yes = [
        "auto_summation",
        "countrate_correction_applied",
        "flatfield_correction_applied",
        "pixel_mask_applied",
        "virtual_pixel_correction_applied",
    ]
    found = {key: Parameter(True, "bool", "rw") for key in yes}
    for axis in AXES:
        found[f"{axis}_start"] = number(0, "degree", -360, 360)
        found[f"{axis}_increment"] = number(0, "degree", -360, 360)
    found |= {
        "beam_center_x": number(0.47 * shape[1], "", -1e6, 1e6),
        "beam_center_y": number(0.52 * shape[0], "", -1e6, 1e6),
        "compression": choice("bslz4", "bslz4", "lz4", "none"),
        "count_time": number(0.0999999, "s", 1e-6, 3600),
        "detector_distance": number(0.2, "m", 0, 100),
        "frame_time": number(0.1, "s", 1e-5, 3600.1),
        "nimages": Parameter(1, "uint", "rw", "", (1, 2_000_000_000)),
        "ntrigger": Parameter(1, "uint", "rw", "", (1, 2_000_000_000)),
        "photon_energy": number(8041.0, "eV", 1000, 150_000),
        "roi_mode": choice("disabled", "disabled", *_rois(shape)),
        "threshold_energy": number(4020.5, "eV", 500, 150_000),
        "trigger_mode": choice("ints", "ints", "inte", "exts", "exte"),
        "wavelength": number(HC_EV_ANGSTROM / 8041.0, "angstrom", 0.05, 15),
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


def _rois(shape: Shape) -> list[str]:
    return [
        name
        for name, roi in ROI_SHAPES.items()
        if shape[0] >= roi[0] and shape[1] >= roi[1]
    ]


def stream_parameters(stream_format: str) -> dict[str, Parameter]:
    """Return what `stream/config` holds."""
    return {
        "format": Parameter(stream_format, "string", "rw", allowed=FORMATS),
        "header_appendix": Parameter("", "string", "rw"),
        "header_detail": Parameter(
            "basic", "string", "rw", allowed=("none", "basic", "all")
        ),
        "image_appendix": Parameter("", "string", "rw"),
        "mode": Parameter("enabled", "string", "rw", allowed=("enabled", "disabled")),
    }
