"""Pictures for the simulators: diffraction rings, Poisson noise, module gaps masked.

A simulator sends a small pool of pictures over and over: frame k is picture k modulo
the pool's length. So a frame costs nothing to make, and a test knows its pixels.
"""

import functools
from typing import Literal

import numpy as np

from srx_service.codecs import bslz4, lz4
from srx_service.codecs.fields import masked_value

Compression = Literal["none", "bslz4", "lz4"]

POOL_BYTES = 32 * 2**20
"""A pool holds as many pictures as fit in this, within the two limits below."""
POOL_MIN = 3
POOL_MAX = 13
"""Odd or prime, so that a frame that is off by a power of two shows."""
PACKED_MAX = 2 * POOL_MAX
"""Compressed pictures kept, over all simulators of the process."""

MODULE = (514, 1030)
"""Pixels of one EIGER module, (y, x); 37 rows or 10 columns without pixels follow."""
GAP = (37, 10)
LEVELS = 256
"""Steps of expected intensity; each has DRAWS Poisson numbers ready."""
DRAWS = 4096
"""A power of two."""


@functools.lru_cache(maxsize=4)
def gaps(shape: tuple[int, int]) -> np.ndarray:
    """Return where there are no pixels, between the modules; read-only, (y, x)."""
    mask = np.zeros(shape, bool)
    for axis, (size, module, gap) in enumerate(zip(shape, MODULE, GAP, strict=True)):
        position = np.arange(size)
        if size >= module:
            in_gap = position % (module + gap) >= module
        else:  # a small detector: one gap in the middle, so that masking shows in tests
            in_gap = abs(position - size // 2) < max(1, size // 60)
        mask |= in_gap[:, None] if axis == 0 else in_gap[None, :]
    mask.flags.writeable = False
    return mask


def pool_length(shape: tuple[int, int], dtype: str) -> int:
    """Return after how many frames the pictures repeat."""
    nbytes = shape[0] * shape[1] * np.dtype(dtype).itemsize
    return min(POOL_MAX, max(POOL_MIN, POOL_BYTES // max(1, nbytes)))


def picture(k: int, shape: tuple[int, int], dtype: str, seed: int = 0) -> np.ndarray:
    """Return the pixels of frame k, read-only and little-endian."""
    return pool(shape, dtype, seed)[k % pool_length(shape, dtype)]


@functools.lru_cache(maxsize=2)
def pool(shape: tuple[int, int], dtype: str, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Return all different pictures of one kind; made once."""
    rng = np.random.default_rng(seed)
    rows = _levels(shape) * np.int32(DRAWS)
    draws = _draws(rng, dtype).reshape(-1)
    return tuple(
        _expose(rng, rows, draws, dtype) for _ in range(pool_length(shape, dtype))
    )


def prepare(
    shape: tuple[int, int], dtype: str, seed: int, compression: Compression
) -> None:
    """Make all that will be sent, so that the first frames are not late."""
    for k in range(pool_length(shape, dtype)):
        packed(k, shape, dtype, seed, compression)


def packed(
    k: int, shape: tuple[int, int], dtype: str, seed: int, compression: Compression
) -> bytes | memoryview:
    """Return frame k as a blob: raw, or framed as the HDF5 filters want a chunk."""
    return chunks(k, shape, dtype, seed, compression, 1)[0]


def chunks(
    k: int,
    shape: tuple[int, int],
    dtype: str,
    seed: int,
    compression: Compression,
    count: int,
) -> tuple[bytes | memoryview, ...]:
    """Return frame k as `count` blobs, each with as many of its rows as the others."""
    index = k % pool_length(shape, dtype)
    if compression != "none":
        return _compressed(index, shape, dtype, seed, compression, count)
    pixels = picture(index, shape, dtype, seed).reshape(count, -1)
    return tuple(chunk.view(np.uint8).data for chunk in pixels)


@functools.lru_cache(maxsize=PACKED_MAX)
def _compressed(
    index: int,
    shape: tuple[int, int],
    dtype: str,
    seed: int,
    compression: Compression,
    count: int,
) -> tuple[bytes, ...]:
    pixels = picture(index, shape, dtype, seed).reshape(count, -1, shape[1])
    compress = (bslz4 if compression == "bslz4" else lz4).compress
    return tuple(compress(chunk) for chunk in pixels)


def _levels(shape: tuple[int, int]) -> np.ndarray:
    """Return the intensity step of every pixel, by its distance from the beam."""
    y = np.arange(shape[0], dtype=np.float32) - 0.52 * shape[0]
    x = np.arange(shape[1], dtype=np.float32) - 0.47 * shape[1]
    reach = float(np.hypot(shape[0], shape[1])) / 2
    distance = np.hypot(y[:, None], x[None, :]) / reach
    return np.minimum(distance * LEVELS, LEVELS - 1).astype(np.int32)


def _draws(rng: np.random.Generator, dtype: str) -> np.ndarray:
    """Return Poisson numbers for every step: (LEVELS, DRAWS)."""
    distance = np.linspace(0, 1, LEVELS)
    rings = sum(
        height * np.exp(-(((distance - centre) / 0.012) ** 2))
        for centre, height in ((0.2, 45), (0.33, 30), (0.47, 18), (0.71, 9))
    )
    expected = 0.6 + 8 * np.exp(-distance / 0.15) + rings
    counts = rng.poisson(expected[:, None], (LEVELS, DRAWS))
    ceiling = 100 if np.dtype(dtype).itemsize == 1 else 10_000
    return np.minimum(counts, ceiling).astype(dtype)


def _expose(
    rng: np.random.Generator, rows: np.ndarray, draws: np.ndarray, dtype: str
) -> np.ndarray:
    chance = np.frombuffer(rng.bytes(2 * rows.size), np.uint16).reshape(rows.shape)
    pixels = draws.take(rows + (chance & np.uint16(DRAWS - 1)))
    pixels[gaps((rows.shape[0], rows.shape[1]))] = masked_value(np.dtype(dtype))
    pixels.flags.writeable = False
    return pixels
