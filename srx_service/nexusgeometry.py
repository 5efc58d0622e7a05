"""Where detector and sample are, as chains of NeXus axes: each stands on the next.

The frame is NeXus' own: z along the beam, y upwards. Pixels are counted from the upper
left, seen from the sample, as DECTRIS counts them.
"""

import math
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from srx_service import nxmx
from srx_service.columns import make_axis
from srx_service.goniometer import scan_of
from srx_service.nexusgroups import group_in, put
from srx_service.nxmx import Told, Vector
from srx_service.panel import Panel

ALONG, ASIDE = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)
TWO_THETA = "two_theta"
"""The axis that turns the detector, and not the sample."""


def make_detector_chain(
    detector: h5py.Group,
    header: Mapping[str, Any],
    found: Mapping[str, Told],
    axes: Mapping[str, Vector],
) -> str:
    """Make what leads from the detector to the sample; return where it begins."""
    chain, on = group_in(detector, "transformations", "NXtransformations"), "."
    scan = scan_of(header, TWO_THETA)
    if TWO_THETA in axes and scan is not None:
        arm = put(chain, TWO_THETA, scan[0], "degree")
        _describe(arm, axes[TWO_THETA], "rotation", ".")
        on = f"{chain.name}/{TWO_THETA}"
    distance = found.get("detector/distance", Told(0.0))
    if "detector/distance" in found:
        put(detector, "distance_derived", False)
    translation = put(chain, "translation", distance.value, "m")
    _describe(translation, ALONG, "translation", on)
    begins = f"{chain.name}/translation"
    put(detector, "depends_on", begins)
    return begins


def make_module(
    detector: h5py.Group, size: tuple[int, ...], panel: Panel | None, on: str
) -> None:
    """Make the one module, which is all of the image.

    Args:
        detector: Where to.
        size: Of an image, slowest axis first.
        panel: Where its pixels are, None where nobody knows.
        on: What it stands on.
    """
    module = group_in(detector, "module", "NXdetector_module")
    put(module, "data_origin", np.zeros(len(size), np.int64))
    put(module, "data_size", np.array(size, np.int64))
    if panel is None:
        return
    way = nxmx.vector_of(panel.origin)
    length = 0.0 if way is None else math.hypot(*panel.origin)
    offset = put(module, "module_offset", length, "m")
    _describe(offset, way or ASIDE, "translation", on)
    ways = {"fast": panel.fast, "slow": panel.slow}
    for (word, vector), pixel in zip(ways.items(), panel.sizes, strict=True):
        axis = put(module, f"{word}_pixel_direction", pixel, "m")
        _describe(axis, vector, "translation", f"{module.name}/module_offset")


def _describe(axis: h5py.Dataset, vector: Vector, kind: str, on: str) -> None:
    """Give an axis its direction, and say on what it stands."""
    axis.attrs["transformation_type"] = kind
    axis.attrs["vector"] = np.array(vector)
    axis.attrs["offset"] = np.zeros(3)
    axis.attrs["offset_units"] = "m"
    axis.attrs["depends_on"] = on


def make_sample_chain(
    sample: h5py.Group,
    detector: h5py.Group,
    header: Mapping[str, Any],
    axes: Mapping[str, Vector],
) -> None:
    """Make the axes that turn the sample, with a value for each row."""
    names = [name for name in axes if name != TWO_THETA and scan_of(header, name)]
    chain = group_in(sample, "transformations", "NXtransformations")
    paths = [f"{chain.name}/{name}" for name in names]
    for name, on in zip(names, [*paths[1:], "."], strict=False):
        for suffix, column in make_axis(detector, name).items():
            column.attrs["units"] = "degree"
            put(chain, f"{name}{suffix}", column)
            if not suffix:
                _describe(column, axes[name], "rotation", on)
    put(sample, "depends_on", paths[0] if paths else ".")
