"""Codecs: blobs to pixels and back, and JSON text to Python. Pure functions.

The kernels release the GIL. No blob, however damaged, makes them read or write beyond
their buffers.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from srx_service.codecs import bslz4, bszstd, lz4
from srx_service.messages import Buffer, Image


class Codec(NamedTuple):
    """How one encoding is checked, made and read."""

    check: Callable[[Buffer, int, int], None]
    """(blob, bytes of the pixels, bytes of a pixel); about half a microsecond."""
    compress: Callable[[np.ndarray], Buffer]
    decompress: Callable[[Buffer, tuple[int, ...], np.dtype], np.ndarray]


def _check_plain(blob: Buffer, nbytes: int, itemsize: int) -> None:
    if len(blob) != nbytes:
        text = f"pixels of {itemsize} bytes make {nbytes}"
        raise ValueError(f"{len(blob)} bytes came, {text}")


def _read_plain(blob: Buffer, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    _check_plain(blob, math.prod(shape) * dtype.itemsize, dtype.itemsize)
    return np.frombuffer(blob, dtype).reshape(shape)


CODECS: dict[str, Codec] = {
    "none": Codec(_check_plain, np.ndarray.tobytes, _read_plain),
    "bslz4": Codec(bslz4.check, bslz4.compress, bslz4.decompress),
    "bszstd": Codec(bszstd.check, bszstd.compress, bszstd.decompress),
    "lz4": Codec(lz4.check, lz4.compress, lz4.decompress),
}
"""By the encoding of an Image."""


def decode(image: Image) -> np.ndarray:
    """Return the pixels of an image; read-only where the blob itself is shown.

    Raises:
        ValueError: An unknown encoding or pixel type, or a blob that cannot be it.
    """
    codec = CODECS.get(image.encoding)
    if codec is None:
        text = f"known are {', '.join(CODECS)}"
        raise ValueError(f"encoding {image.encoding!r} cannot be decoded, {text}")
    dtype = pixel_type(image.dtype)
    if len(image.blobs) == 1:
        return codec.decompress(image.blobs[0], image.shape, dtype)
    shape = chunk_shape(image)
    parts = [codec.decompress(blob, shape, dtype) for blob in image.blobs]
    return np.concatenate(parts)


def encode(pixels: np.ndarray, encoding: str) -> Buffer:
    """Return the pixels as one blob.

    Raises:
        ValueError: An unknown encoding, or pixels that it cannot hold.
    """
    codec = CODECS.get(encoding)
    if codec is None:
        text = f"known are {', '.join(CODECS)}"
        raise ValueError(f"encoding {encoding!r} cannot be made, {text}")
    return codec.compress(pixels)


def pixel_type(name: str) -> np.dtype:
    """Return the numpy type of pixels with this name.

    Raises:
        ValueError: There are no such pixels.
    """
    try:
        dtype = np.dtype(name)
    except (TypeError, ValueError, SyntaxError):
        raise ValueError(f"pixel type {name!r} is not known to numpy") from None
    if dtype.kind not in "buif":
        raise ValueError(f"pixel type {name!r} is not a plain number")
    return dtype


def chunk_shape(image: Image) -> tuple[int, ...]:
    """Return the shape of one blob of an image.

    Raises:
        ValueError: The blobs do not divide its first axis.
    """
    count = len(image.blobs)
    if not count or image.shape[0] % count:
        text = f"shape {image.shape} cannot be {count} equal blobs along its first axis"
        raise ValueError(text)
    return (image.shape[0] // count, *image.shape[1:])
