"""LZ4, framed as HDF5 filter 32004 wants a chunk.

Source: github.com/HDFGroup/hdf5_plugins, LZ4/src/H5Zlz4.c.

| bytes | content |
|---|---|
| 0-7 | size of the pixels in bytes, big-endian |
| 8-11 | block size in bytes, big-endian |
| per block | length, 4 bytes big-endian; LZ4 block, or the pixels if of their length |
"""

import math
import struct
from ctypes import c_int, c_void_p

import numpy as np
from numpy.typing import DTypeLike

from srx_service.codecs import library
from srx_service.messages import Buffer

_BOUND = library.function("h5lz4", "LZ4_compressBound", c_int, (c_int,))
_COMPRESS = library.function(
    "h5lz4", "LZ4_compress_default", c_int, (c_void_p, c_void_p, c_int, c_int)
)
_DECOMPRESS = library.function(
    "h5lz4", "LZ4_decompress_safe", c_int, (c_void_p, c_void_p, c_int, c_int)
)

_FRAME = struct.Struct(">QI")
_ONE_BLOCK = struct.Struct(">QII")
_LENGTH = struct.Struct(">I")
_MAX_BLOCK = 0x7E000000
"""LZ4_MAX_INPUT_SIZE: the library takes no more in one call."""
_RATIO = 255
"""No LZ4 block grows to more than so many times its length."""


def check(blob: Buffer, nbytes: int, itemsize: int = 1) -> None:
    """Compare a blob's header with the size that shape and type make.

    Args:
        blob: With its header.
        nbytes: Of the pixels.
        itemsize: Not needed here; all codecs are checked by the same call.

    Raises:
        ValueError: HDF5 could not read this chunk.
    """
    try:
        size, block, length = _ONE_BLOCK.unpack_from(blob)
    except struct.error:
        text = f"lz4: {len(blob)} bytes, the header alone has {_ONE_BLOCK.size}"
        raise ValueError(text) from None
    if size != nbytes:
        text = f"its header tells {size} bytes, shape and type make {nbytes}"
        raise ValueError(f"lz4: {text}")
    if not 0 < block <= _MAX_BLOCK:
        text = f"1 to {_MAX_BLOCK} are allowed"
        raise ValueError(f"lz4: its header tells blocks of {block} bytes, {text}")
    if block >= nbytes and _ONE_BLOCK.size + length != len(blob):
        text = f"{len(blob) - _ONE_BLOCK.size} came"
        raise ValueError(f"lz4: its header tells a block of {length} bytes, {text}")
    if nbytes > _RATIO * len(blob):
        raise ValueError(f"lz4: {len(blob)} bytes cannot hold {nbytes}")


def frame_block(block: Buffer, nbytes: int) -> Buffer:
    """Put the header before one raw LZ4 block, as DECTRIS stream v1 sends it.

    A block that is framed already is returned as it is: no raw block begins with the
    eight bytes of a size, they would be a match at offset 0.

    Raises:
        ValueError: It cannot be a block of so many bytes.
    """
    if not 0 < nbytes <= _MAX_BLOCK:
        text = f"1 to {_MAX_BLOCK} are allowed in a block"
        raise ValueError(f"lz4: {nbytes} bytes of pixels, {text}")
    if bytes(block[:8]) == nbytes.to_bytes(8, "big"):
        return block
    if len(block) == nbytes:
        # The filter takes a block that is as long as its pixels for the pixels.
        pixels = np.empty(nbytes, np.uint8)
        _read_into(pixels, library.as_bytes(block))
        block = pixels.tobytes()
    return b"".join((_ONE_BLOCK.pack(nbytes, nbytes, len(block)), block))


def raw_block(blob: Buffer) -> Buffer:
    """Return a blob's one LZ4 block without the header; the blob if it has several."""
    if len(blob) < _ONE_BLOCK.size:
        return blob
    nbytes, size, length = _ONE_BLOCK.unpack_from(blob)
    if size < nbytes or length == nbytes or length != len(blob) - _ONE_BLOCK.size:
        return blob
    return blob[_ONE_BLOCK.size :]


def compress(pixels: np.ndarray) -> bytes:
    """Return the pixels as a blob of one block, with its header."""
    pixels = np.ascontiguousarray(pixels)
    nbytes = pixels.nbytes
    if not 0 < nbytes <= _MAX_BLOCK:
        text = f"1 to {_MAX_BLOCK} are supported"
        raise ValueError(f"lz4: {nbytes} bytes of pixels, {text}")
    start = _ONE_BLOCK.size
    out = np.empty(start + _BOUND(nbytes), np.uint8)
    length = _COMPRESS(
        pixels.ctypes.data, out.ctypes.data + start, nbytes, out.nbytes - start
    )
    if not 0 < length < nbytes:
        return _ONE_BLOCK.pack(nbytes, nbytes, nbytes) + pixels.tobytes()
    _ONE_BLOCK.pack_into(out.data, 0, nbytes, nbytes, length)
    return out[: start + length].tobytes()


def decompress(blob: Buffer, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Return the pixels of a blob.

    Raises:
        ValueError: The blob does not hold them.
    """
    dtype = np.dtype(dtype)
    nbytes = math.prod(shape) * dtype.itemsize
    check(blob, nbytes)
    _, size = _FRAME.unpack_from(blob)
    pixels = np.empty(shape, dtype)
    target, source = pixels.reshape(-1).view(np.uint8), library.as_bytes(blob)
    at = _FRAME.size
    for done in range(0, nbytes, size):
        part = target[done : done + size]
        (length,) = _LENGTH.unpack_from(_within(source, at, 4).data)
        block = _within(source, at + 4, length)
        if length == part.nbytes:
            part[:] = block
        else:
            _read_into(part, block)
        at += 4 + length
    if at != source.nbytes:
        raise ValueError(f"lz4: the blocks make {at} bytes, {source.nbytes} came")
    return pixels


def _within(source: np.ndarray, at: int, length: int) -> np.ndarray:
    if at + length > source.nbytes:
        text = f"{length} bytes are wanted at byte {at} of {source.nbytes}"
        raise ValueError(f"lz4: cut short, {text}")
    return source[at : at + length]


def _read_into(target: np.ndarray, block: np.ndarray) -> None:
    if block.nbytes > _MAX_BLOCK:
        raise ValueError(f"lz4: a block of {block.nbytes} bytes, at most {_MAX_BLOCK}")
    length = _DECOMPRESS(
        block.ctypes.data, target.ctypes.data, block.nbytes, target.nbytes
    )
    if length != target.nbytes:
        raise ValueError(f"lz4: a block is damaged ({length})")


def _prove() -> None:
    pixels = np.zeros(5000, np.uint16)
    if not np.array_equal(
        decompress(compress(pixels), pixels.shape, pixels.dtype), pixels
    ):
        raise ImportError("hdf5plugin's lz4 does not return what it was given")


_prove()
