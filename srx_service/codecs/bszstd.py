"""Bitshuffle + Zstandard, framed as HDF5 filter 32008 wants a chunk: see bslz4."""

import math
from ctypes import c_int, c_int64, c_size_t

import numpy as np
from numpy.typing import DTypeLike

from srx_service.codecs import bslz4, library
from srx_service.messages import Buffer

LEVEL = 1
"""Of what we compress: fastest, and nearly as small as the others on counts."""

_BOUND = library.function(
    "h5bshuf", "bshuf_compress_zstd_bound", c_size_t, bslz4.BOUND_ARGUMENTS
)
_COMPRESS = library.function(
    "h5bshuf", "bshuf_compress_zstd", c_int64, (*bslz4.CODE_ARGUMENTS, c_int)
)
_DECOMPRESS = library.function(
    "h5bshuf", "bshuf_decompress_zstd", c_int64, bslz4.CODE_ARGUMENTS
)

check = bslz4.check_frame


def compress(pixels: np.ndarray) -> bytes:
    """Return the pixels as a blob with its 12-byte header."""

    def code(*arguments: int) -> int:
        return _COMPRESS(*arguments, LEVEL)

    return bslz4.pack(pixels, _BOUND, code)


def decompress(blob: Buffer, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Return the pixels of a blob.

    Raises:
        ValueError: The blob does not hold them.
    """
    dtype = np.dtype(dtype)
    check(blob, math.prod(shape) * dtype.itemsize, dtype.itemsize)
    return bslz4.unpack(blob, shape, dtype, _DECOMPRESS)
