"""How often each value of a frame's pixels occurs."""

import math
from typing import Any

import numpy as np

from srx_service import picture

SAMPLED = 1 << 16
"""Pixels that are counted of a larger frame: every second one, every third, …"""
NEARLY_ALL = 99.9
"""Percentile that the bins reach to, and a quarter beyond: not to a few hot pixels."""
BEYOND = 1.25


def histogram(pixels: np.ndarray, bins: int) -> dict[str, Any]:
    """Return how many pixels have values of each bin, as a viewer is told.

    Bins are equally wide from `low` to `high`; of integers each holds as many values,
    so there may be fewer bins. What is beyond is counted in the last one. Every
    `step`-th pixel is looked at.

    Args:
        pixels: Along any number of axes.
        bins: At most so many.
    """
    sample, step = picture.sampled(pixels, SAMPLED)
    values = sample[~picture.masked(sample)].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        low, high, count = _edges(values, bins, is_whole=pixels.dtype.kind != "f")
        found = np.clip((values - low) * (count / (high - low)), 0, count - 1)
    counts = np.bincount(found.astype(np.intp), minlength=count)
    return {
        "low": low,
        "high": high,
        "counts": counts.tolist(),
        "masked": sample.size - values.size,
        "step": step,
    }


def _edges(
    values: np.ndarray, bins: int, *, is_whole: bool
) -> tuple[float, float, int]:
    """Return where the bins begin and end, and how many there are."""
    if not values.size:
        return 0.0, 1.0, 1
    low = float(values.min())
    reached = float(np.percentile(values, NEARLY_ALL))
    high = min(float(values.max()), low + (reached - low) * BEYOND)
    if is_whole and max(-low, high) < picture.MAX_COUNT:
        low = math.floor(low)
        span = math.floor(high) - low + 1
        wide = math.ceil(span / bins)
        count = math.ceil(span / wide)
        return float(low), float(low + count * wide), count
    if high <= low:
        high = max(low + 1, math.nextafter(low, math.inf))
    return (low, high, bins) if math.isfinite(high - low) else (0.0, 1.0, 1)
