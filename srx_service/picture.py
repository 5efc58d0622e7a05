"""Pixels to something an eye can judge: smaller, scaled, masked pixels marked."""

import io
import math
from typing import Literal

import numpy as np
from PIL import Image as Pillow

Scale = Literal["linear", "log", "sqrt"]

MAX_PIXELS = 2_000_000
"""Of a picture; more are no use on a screen and slow to compress."""
MAX_SIDE = 16384
"""JPEG ends at 65535, viewers of pictures earlier."""
PERCENTILES = (1.0, 99.8)
"""What is black and what is white, unless told: not a few hot pixels."""
DECADES = 1000.0
"""Range of a logarithmic scale where pixels are no counts."""
IN_CACHE = 65536
"""Pixels that are summed at a time: their sum takes a third of the time so."""
SAMPLED = 50_000
"""Pixels that are looked at to find what is black and what is white."""
LEVELS_LISTED = 1 << 16
MAX_COUNT = 1 << 52
"""Beyond it floats do not tell a count from the next one."""
MAX_FLOAT = 1e38
"""Single precision ends a little later."""
MIN_RANGE = 1e-30
"""Of black to white: single precision can still divide by it."""
MASK_LEVEL = 255
MASK_COLOUR = (38, 46, 92)
"""Dark blue, which no grey is."""
_PALETTE = [
    level for grey in range(MASK_LEVEL) for level in (round(grey / 254 * 255),) * 3
]


def masked(pixels: np.ndarray) -> np.ndarray:
    """Return where a pixel counts nothing: gaps, defects, what was never written.

    DECTRIS marks them 2^n-1 and 2^n-2, Pilatus -1 and -2, floats are NaN.
    """
    match pixels.dtype.kind:
        case "u":
            return pixels >= np.iinfo(pixels.dtype).max - 1
        case "i":
            return pixels < 0
        case "f":
            return ~np.isfinite(pixels)
    return np.zeros(pixels.shape, bool)


def nothing(dtype: np.dtype) -> float:
    """Return what stands for a masked pixel."""
    if dtype.kind == "u":
        return int(np.iinfo(dtype).max)
    return -1 if dtype.kind == "i" else math.nan


def total(pixels: np.ndarray) -> int | float:
    """Return the sum of the pixels that count, exact where they have 32 bits at most.

    Several channels are summed, too.
    """
    flat = pixels.reshape(-1)
    blocks = (flat[k : k + IN_CACHE] for k in range(0, flat.size, IN_CACHE))
    with np.errstate(over="ignore"):
        return sum(map(_block_total, blocks))


def _block_total(pixels: np.ndarray) -> int | float:
    mask = masked(pixels)
    if pixels.dtype.kind == "f" or pixels.dtype.itemsize > 4:
        return pixels.sum(dtype=np.float64, where=~mask).item()
    # Twice as fast as to leave them out, and most blocks have none.
    return int(pixels.sum(dtype=np.int64)) - int(pixels[mask].sum(dtype=np.int64))


def block_mean(
    pixels: np.ndarray, step: int, mask: np.ndarray | None = None
) -> np.ndarray:
    """Return the means of blocks of step x step along the last two axes.

    Blocks at the far edges may be smaller. Means of integers are cut off.

    Args:
        pixels: Fewer than two axes are returned as they are.
        step: 1 or less changes nothing.
        mask: Pixels not to count; a block of nothing else becomes masked itself.
    """
    if step <= 1 or pixels.ndim < 2 or not pixels.size:
        return pixels
    if mask is None or not mask.any():
        total = _block_sum(pixels, step)
        count = _block_sum(np.ones(pixels.shape[-2:], bool), step)
        return _mean(total, count, pixels.dtype)
    total = _block_sum(np.where(mask, pixels.dtype.type(0), pixels), step)
    count = _block_sum(~mask, step)
    mean = _mean(total, np.maximum(count, 1), pixels.dtype)
    mean[count == 0] = nothing(pixels.dtype)
    return mean


def _mean(total: np.ndarray, count: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if total.dtype.kind == "f":
        return (total / count).astype(dtype)
    return (total // count.astype(total.dtype)).astype(dtype)


def _block_sum(pixels: np.ndarray, step: int) -> np.ndarray:
    kind = pixels.dtype.kind
    if kind == "f" or pixels.dtype.itemsize > 4:
        pixels = pixels.astype(np.float64, copy=False)
    for _ in range(2):  # rows, then columns, which are rows by then
        rows = -(-pixels.shape[-2] // step)
        wide = {"u": np.uint64, "b": np.uint64, "i": np.int64}.get(
            pixels.dtype.kind, np.float64
        )
        total = np.zeros((*pixels.shape[:-2], rows, pixels.shape[-1]), wide)
        for first in range(min(step, pixels.shape[-2])):
            part = pixels[..., first::step, :]
            total[..., : part.shape[-2], :] += part
        pixels = np.swapaxes(total, -1, -2)
    return pixels


def render(
    pixels: np.ndarray, scale: Scale, low: float | None, high: float | None
) -> Pillow.Image:
    """Return a grey picture; what has more than two axes is stacked vertically.

    Args:
        pixels: Of any size.
        scale: Of the grey.
        low: What is black; None: found from the pixels.
        high: What is white.
    """
    flat = pixels.reshape(-1, pixels.shape[-1]) if pixels.ndim else pixels.reshape(1, 1)
    if not flat.size:
        flat = np.full((1, 1), math.nan)
    step = math.ceil(max(math.sqrt(flat.size / MAX_PIXELS), max(flat.shape) / MAX_SIDE))
    flat = block_mean(flat, step, masked(flat))
    mask = masked(flat)
    low, high = limits(flat, ~mask, low, high)
    levels = levels_of(flat, mask, scale, low, high)
    picture = Pillow.frombytes("P", levels.shape[::-1], levels.tobytes())
    picture.putpalette([*_PALETTE, *MASK_COLOUR])
    return picture


def levels_of(
    pixels: np.ndarray, mask: np.ndarray, scale: Scale, low: float, high: float
) -> np.ndarray:
    """Return greys from 0 to 254, and MASK_LEVEL where pixels are masked.

    Args:
        pixels: Of any shape.
        mask: As `masked` returns it.
        scale: Of the grey.
        low: What is black, as `limits` returns it.
        high: What is white.
    """
    # a logarithm is of counts where pixels are counts
    gain = DECADES if pixels.dtype.kind == "f" else high - low
    first, last = math.floor(low), math.ceil(high)
    if pixels.dtype.kind not in "ui" or last - first >= LEVELS_LISTED:
        wide = np.result_type(pixels.dtype, np.float32)
        values = np.clip(np.where(mask, 0, pixels).astype(wide), low, high)
        levels = _greys(values, scale, low, high, gain)
    else:
        # what each level becomes is looked up, which takes a third of the time
        listed = _greys(np.arange(first, last + 1), scale, low, high, gain)
        ends = np.iinfo(pixels.dtype)
        within = np.clip(pixels, max(first, ends.min), min(last, ends.max))
        levels = listed.take(
            np.subtract(within, first, dtype=np.intp, casting="unsafe")
        )
    levels[mask] = MASK_LEVEL
    return levels


def _greys(
    values: np.ndarray, scale: Scale, low: float, high: float, gain: float
) -> np.ndarray:
    values = ((values - low) / (high - low)).astype(np.float32)
    values = np.clip(values, 0, 1)
    if scale == "sqrt":
        values = np.sqrt(values)
    elif scale == "log":
        values = np.log1p(gain * values) / math.log1p(gain)
    return np.rint(values * (MASK_LEVEL - 1)).astype(np.uint8)


def limits(
    pixels: np.ndarray,
    valid: np.ndarray,
    low: float | None,
    high: float | None,
    percentiles: tuple[float, float] = PERCENTILES,
) -> tuple[float, float]:
    """Return what is black and what is white; None is found from the valid pixels."""
    if low is None or high is None:
        found = _percentiles(pixels, valid, percentiles)
        low = found[0] if low is None else low
        high = found[1] if high is None else high
    low, high = _reachable(pixels.dtype, low, high)
    is_range = high - low >= MIN_RANGE
    return low, high if is_range else max(low + 1, math.nextafter(low, math.inf))


def _reachable(dtype: np.dtype, low: float, high: float) -> tuple[float, float]:
    """Return limits that numpy can compare with pixels of a type: it raises at others.

    The picture is the same: no pixel is beyond them.
    """
    if dtype.kind in "ui":
        limits = np.iinfo(dtype)
        low, high = min(low, limits.max, MAX_COUNT), max(high, limits.min)
    return max(-MAX_FLOAT, min(low, MAX_FLOAT)), max(-MAX_FLOAT, min(high, MAX_FLOAT))


def _percentiles(
    pixels: np.ndarray, valid: np.ndarray, percentiles: tuple[float, float]
) -> tuple[float, float]:
    """Return black and white: of a sample where there are many pixels."""
    sample, _ = sampled(pixels, SAMPLED)
    values = sample[sampled(valid, SAMPLED)[0]]
    if not values.size:
        return 0.0, 0.0
    low, high = np.percentile(values.astype(np.float64), percentiles)
    if low == high:  # nearly all alike, as where photons are few
        high = np.where(valid, pixels, values[0]).max()
    return float(low), float(high)


def sampled(pixels: np.ndarray, most: int) -> tuple[np.ndarray, int]:
    """Return every so many pixels, at most twice `most`, and how many that is."""
    step = max(1, pixels.size // most)
    while math.gcd(step, pixels.shape[-1]) > 1:  # else whole columns are left out
        step += 1
    return pixels.reshape(-1)[::step], step


def as_png(picture: Pillow.Image) -> bytes:
    """Return it without loss."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def as_jpg(picture: Pillow.Image) -> bytes:
    """Return it small."""
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, "JPEG", quality=85)
    return stream.getvalue()
