"""Configuration of a simulated DECTRIS detector, and what follows from what in it."""

import base64
import datetime
from typing import Annotated, Any, cast

import msgspec
import numpy as np

from srx_service.errors import RequestError
from srx_service.simulators import pictures
from srx_service.simulators.parameters import (
    HC_EV_ANGSTROM,
    MAX_THRESHOLDS,
    READOUT_TIME_S,
    ROI_SHAPES,
    Parameter,
    Shape,
    Value,
    detector_parameters,
)

Exposure = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class DetectorConfig:
    """What `detector/config` holds, with what follows from what.

    Args:
        shape: (y, x) of the whole detector.
        dtype: Pixels of every image; None: by exposure time, as the detector does.
        wide_above_s: Longer exposures than this need 32 bits (with `dtype` None).
        more: Parameters that not every detector has.
    """

    def __init__(
        self,
        shape: Shape,
        dtype: str | None,
        wide_above_s: float,
        more: dict[str, Parameter] | None = None,
    ) -> None:
        self._full_shape = shape
        self._dtype = dtype
        self._wide_above_s = wide_above_s
        self.parameters = detector_parameters(shape) | (more or {})
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
        """Return all values that a stream header holds: none of several thresholds."""
        now = datetime.datetime.now().astimezone().isoformat(timespec="milliseconds")
        values = {key: p.value for key, p in self.parameters.items() if "/" not in key}
        return {**values, "data_collection_date": now}

    def channels(self) -> dict[str, float]:
        """Return the channels of an image of stream v2, by name, with their energies.

        That of a difference is 0.
        """
        found = {
            f"threshold_{n}": self.number(f"threshold/{n}/energy")
            for n in range(1, MAX_THRESHOLDS + 1)
            if self._is_enabled(f"threshold/{n}")
        }
        if self._is_enabled("threshold/difference"):
            found["difference"] = 0.0
        return found

    def _is_enabled(self, name: str) -> bool:
        mode = self.parameters.get(f"{name}/mode")
        return mode is not None and mode.value == "enabled"

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
                put("wavelength", HC_EV_ANGSTROM / number(key))
                self._put_threshold(number(key) / 2)
            case "wavelength":
                put("photon_energy", HC_EV_ANGSTROM / number(key))
                self._put_threshold(number("photon_energy") / 2)
            case "threshold_energy" | "threshold/1/energy":
                self._put_threshold(number(key))
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

    def _put_threshold(self, energy_ev: float) -> None:
        for key in ("threshold_energy", "threshold/1/energy"):
            if key in self.parameters:
                self._put(key, energy_ev)

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


def exposure_of(value: object) -> float | None:
    """Return the exposure a trigger was given; None without one.

    Raises:
        RequestError: It is no time.
    """
    if value is None:
        return None
    try:
        return msgspec.convert(value, Exposure)
    except msgspec.ValidationError:
        text = f"trigger takes the exposure in seconds, not {value!r}"
        raise RequestError(400, "bad value", text) from None
