"""A frame made smaller by maxima: no reflection is lost, and nothing is divided.

A mean of integers, cut off, turns single photons into nothing, and takes three times
as long.
"""

import numpy as np

from srx_service.picture import nothing

BAND_BYTES = 1 << 20
"""Of pixels that are reduced at a time: what is made on the way stays in the cache."""
MASKS = 2
"""Values of unsigned pixels that are no counts, the largest ones: `picture.masked`."""


def reduced(pixels: np.ndarray, step: int) -> np.ndarray:
    """Return the largest of each block of step x step pixels that are not masked.

    Blocks at the far edges may be smaller; a block of masked pixels becomes masked.

    Args:
        pixels: Along two axes.
        step: 1 changes nothing.
    """
    if step <= 1 or not pixels.size:
        return pixels
    rows = max(1, BAND_BYTES // max(1, pixels.strides[0]) // step) * step
    bands = (pixels[k : k + rows] for k in range(0, len(pixels), rows))
    return np.concatenate([_reduced_band(band, step) for band in bands])


def _reduced_band(pixels: np.ndarray, step: int) -> np.ndarray:
    dtype = pixels.dtype
    match dtype.kind:
        case "u":
            # the two largest values become the smallest, so that all others win
            shift = dtype.type(MASKS)
            found = _largest(np.add(pixels, shift), step, np.maximum)
            return np.subtract(found, shift, out=found)
        case "f":
            counts = np.where(np.isfinite(pixels), pixels, dtype.type(nothing(dtype)))
            return _largest(counts, step, np.fmax)
    return _largest(pixels, step, np.maximum)


def _largest(pixels: np.ndarray, step: int, larger: np.ufunc) -> np.ndarray:
    """Return the largest of each block, rows first: these are in one piece."""
    found = pixels[::step].copy()
    for first in range(1, min(step, len(pixels))):
        part = pixels[first::step]
        larger(found[: len(part)], part, out=found[: len(part)])
    across = found[:, ::step].copy()
    for first in range(1, min(step, found.shape[1])):
        part = found[:, first::step]
        larger(across[:, : part.shape[1]], part, out=across[:, : part.shape[1]])
    return across
