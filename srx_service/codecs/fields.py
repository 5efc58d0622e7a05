"""Fields that protocols share: numbers, shapes and pixel types, and what is allowed."""

import math
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

MAX_PIXELS = 1_000_000_000
"""More in one frame is taken for a damaged header, before anything is allocated."""

Number = Annotated[int, Meta(ge=0, le=2**53)]
"""A counter or a series; what every JSON reader can hold exactly."""
Frame = Annotated[int, Meta(ge=0, le=2**32 - 1)]
"""`sequence_number` in the file has 32 bits."""
Size = Annotated[int, Meta(ge=1, le=MAX_PIXELS)]
"""Pixels along one axis."""
Shape = Annotated[tuple[Size, ...], Meta(min_length=1, max_length=8)]


def number_in(found: object) -> int | None:
    """Return a number of a message that is refused, where that can still be read."""
    try:
        return msgspec.convert(found, Number)
    except msgspec.ValidationError:
        return None


_NAMES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)


def _aliases(name: str) -> dict[str, str]:
    code = np.dtype(name).str[1:]
    big = name if np.dtype(name).itemsize == 1 else f">{code}"
    little = dict.fromkeys((name, code, f"<{code}", f"|{code}", f"={code}"), name)
    return {**little, f">{code}": big}


PIXEL_TYPES = {k: v for name in _NAMES for k, v in _aliases(name).items()}
"""numpy's names and codes ("uint16", "<u2", "u2", ">u2") to the name of Image.dtype."""


def plain_size(shape: tuple[int, ...], name: str) -> int:
    """Return the bytes of pixels that are not compressed.

    Args:
        shape: In pixels.
        name: One of PIXEL_TYPES, or "mono12p": two pixels in three bytes.
    """
    count = math.prod(shape)
    if name == "mono12p":
        return (count * 12 + 7) // 8
    return count * np.dtype(PIXEL_TYPES[name]).itemsize


def masked_value(dtype: np.dtype) -> int | float:
    """Return how a number reads that nobody measured: 2^n-1, signed -1, float NaN."""
    if dtype.kind == "u":
        return int(np.iinfo(dtype).max)
    return -1 if dtype.kind == "i" else math.nan
