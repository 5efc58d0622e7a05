"""Rectangles of a frame: cut to it, summed up."""

from typing import Any

import numpy as np

from srx_service import picture

Region = tuple[int, int, int, int]
"""First and last row and column, half-open: (y0, x0, y1, x1), in pixels."""


def whole(shape: tuple[int, ...]) -> Region:
    """Return the region that is all of a frame of two axes."""
    return 0, 0, shape[0], shape[1]


def within(region: Region, shape: tuple[int, ...]) -> Region:
    """Return what of a region is in a frame; it may be empty."""
    y0, x0, y1, x1 = region
    rows, columns = shape[0], shape[1]
    y0, x0 = min(y0, rows), min(x0, columns)
    return y0, x0, max(y0, min(y1, rows)), max(x0, min(x1, columns))


def cut(pixels: np.ndarray, region: Region) -> np.ndarray:
    """Return the pixels of a region, which is within the frame."""
    y0, x0, y1, x1 = region
    return pixels[y0:y1, x0:x1]


def summed(pixels: np.ndarray, region: Region) -> dict[str, Any]:
    """Return what the pixels of a region sum up to, without masked ones.

    `sum` and `max` are null where that is no finite number, or nothing is counted.
    """
    part = cut(pixels, within(region, pixels.shape))
    valid = ~picture.masked(part)
    counted = int(np.count_nonzero(valid))
    values = part if counted == part.size else part[valid]
    return {
        "region": region,
        "sum": number(picture.total(values)),
        "counted": counted,
        "masked": part.size - counted,
        "max": number(values.max().item()) if counted else None,
    }


def number(value: float) -> int | float | None:
    """Return a number that JSON can hold; None where it is none."""
    return value if np.isfinite(value) else None
