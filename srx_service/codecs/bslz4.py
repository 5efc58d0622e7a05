"""Bitshuffle + LZ4, framed as HDF5 filter 32008 wants a chunk.

Source: github.com/kiyo-masui/bitshuffle, src/bshuf_h5filter.c; DECTRIS sends the same.

| bytes | content |
|---|---|
| 0-7 | size of the pixels in bytes, big-endian |
| 8-11 | block size in bytes, big-endian |
| per block | length, 4 bytes big-endian; LZ4 block of the bit-shuffled pixels |
| rest | fewer than 8 pixels, as they are |

A block holds block size / itemsize pixels; the last one what is left, rounded down to a
multiple of 8 pixels.
"""

import math
import struct
from collections.abc import Callable
from ctypes import c_int64, c_size_t, c_void_p

import numpy as np
from numpy.typing import DTypeLike

from srx_service.codecs import library
from srx_service.messages import Buffer

BLOCK_BYTES = 8192
"""Of what we compress; DECTRIS uses the same."""

BOUND_ARGUMENTS = (c_size_t, c_size_t, c_size_t)
CODE_ARGUMENTS = (c_void_p, c_void_p, c_size_t, c_size_t, c_size_t)

_BOUND = library.function(
    "h5bshuf", "bshuf_compress_lz4_bound", c_size_t, BOUND_ARGUMENTS
)
_COMPRESS = library.function("h5bshuf", "bshuf_compress_lz4", c_int64, CODE_ARGUMENTS)
_DECOMPRESS = library.function(
    "h5bshuf", "bshuf_decompress_lz4", c_int64, CODE_ARGUMENTS
)

_FRAME = struct.Struct(">QI")
_LENGTH = struct.Struct(">I")
_GROUP = 8
"""Pixels that are shuffled together."""
LZ4_RATIO = 255
"""No LZ4 block grows to more than so many times its length."""
_MAX_BLOB = 2**31 - 1
"""The library takes block lengths as signed 32-bit numbers."""


def check(blob: Buffer, nbytes: int, itemsize: int) -> None:
    """Compare a blob's header with the size that shape and type make.

    Raises:
        ValueError: HDF5 could not read this chunk.
    """
    check_frame(blob, nbytes, itemsize)
    if nbytes > LZ4_RATIO * len(blob):
        raise ValueError(f"bslz4: {len(blob)} bytes cannot hold {nbytes}")


def check_frame(blob: Buffer, nbytes: int, itemsize: int) -> None:
    """Compare the 12-byte header alone, which other compressors share."""
    try:
        size, block = _FRAME.unpack_from(blob)
    except struct.error:
        text = f"bitshuffle: {len(blob)} bytes, the header alone has {_FRAME.size}"
        raise ValueError(text) from None
    if size != nbytes:
        text = f"its header tells {size} bytes, shape and type make {nbytes}"
        raise ValueError(f"bitshuffle: {text}")
    if not block or block % (_GROUP * itemsize):
        text = f"multiples of {_GROUP} pixels of {itemsize} bytes are allowed"
        raise ValueError(f"bitshuffle: blocks of {block} bytes, {text}")


def compress(pixels: np.ndarray) -> bytes:
    """Return the pixels as a blob with its 12-byte header."""
    return pack(pixels, _BOUND, _COMPRESS)


def decompress(blob: Buffer, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Return the pixels of a blob.

    Raises:
        ValueError: The blob does not hold them.
    """
    dtype = np.dtype(dtype)
    check(blob, math.prod(shape) * dtype.itemsize, dtype.itemsize)
    return unpack(blob, shape, dtype, _DECOMPRESS)


def pack(
    pixels: np.ndarray, bound: Callable[..., int], code: Callable[..., int]
) -> bytes:
    """Compress with one of the library's functions and put the header before it."""
    pixels = np.ascontiguousarray(pixels)
    itemsize = pixels.itemsize
    if BLOCK_BYTES % (_GROUP * itemsize):
        raise ValueError(f"bitshuffle: pixels of {itemsize} bytes are not supported")
    block = BLOCK_BYTES // itemsize
    start = _FRAME.size
    out = np.empty(start + bound(pixels.size, itemsize, block), np.uint8)
    _FRAME.pack_into(out.data, 0, pixels.nbytes, BLOCK_BYTES)
    length = code(
        pixels.ctypes.data, out.ctypes.data + start, pixels.size, itemsize, block
    )
    if length < 0:
        raise ValueError(f"bitshuffle: the library failed with {length}")
    return out[: start + length].tobytes()


def unpack(
    blob: Buffer, shape: tuple[int, ...], dtype: np.dtype, decode: Callable[..., int]
) -> np.ndarray:
    """Decompress a blob, its header checked, with one of the library's functions."""
    block = _FRAME.unpack_from(blob)[1] // dtype.itemsize
    count = math.prod(shape)
    check_blocks(blob, count, block, dtype.itemsize)
    source, start = library.as_bytes(blob), _FRAME.size
    pixels = np.empty(shape, dtype)
    used = decode(
        source.ctypes.data + start, pixels.ctypes.data, count, dtype.itemsize, block
    )
    if used != source.nbytes - start:
        raise ValueError(f"bitshuffle: the blocks are damaged ({used})")
    return pixels


def check_blocks(blob: Buffer, count: int, block: int, itemsize: int) -> None:
    """Walk the lengths of all blocks, which the library follows blindly.

    Args:
        blob: With its header.
        count: Pixels in all.
        block: Pixels in a block.
        itemsize: Bytes of a pixel.

    Raises:
        ValueError: They do not end where the blob ends.
    """
    size = len(blob)
    if size > _MAX_BLOB:
        raise ValueError(f"bitshuffle: {size} bytes, at most {_MAX_BLOB} are supported")
    length, at = _LENGTH.unpack_from, _FRAME.size
    blocks = count // block + (count % block >= _GROUP)
    try:
        for _ in range(blocks):
            at += length(blob, at)[0] + 4
    except struct.error:
        text = f"a block begins at byte {at} of {size}"
        raise ValueError(f"bitshuffle: cut short, {text}") from None
    at += count % _GROUP * itemsize
    if at != size:
        raise ValueError(f"bitshuffle: the blocks make {at} bytes, {size} came")


def _prove() -> None:
    pixels = np.arange(2 * BLOCK_BYTES + 13, dtype=np.uint16)
    if not np.array_equal(
        decompress(compress(pixels), pixels.shape, pixels.dtype), pixels
    ):
        raise ImportError("hdf5plugin's bitshuffle does not return what it was given")


_prove()
