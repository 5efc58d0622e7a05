"""Kinds of values that frames come with, and what HDF5 keeps them as.

All of fixed size, as SWMR demands. A value that is not of its column's kind reads as
missing: an empty text, not a number.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from srx_service.codecs.fields import masked_value

Convert = Callable[[Sequence[object]], np.ndarray]
"""Values of frames to an array; None stands for a frame that has none."""

TEXT_BYTES = 64
"""Least room for a text; a first one that is longer doubles its own length."""
BYTES_ROOM = 256
"""Least room for bytes of a frame, such as an image appendix."""
MAX_ROOM = 65536
"""Most room for either: longer ones are cut."""
MAX_VECTOR = 2048
EXACT = 1 << 53
"""Integers below are exact as float64."""


class Kind(NamedTuple):
    """How a column is kept."""

    dtype: np.dtype
    shape: tuple[int, ...]
    fill: float | None
    convert: Convert
    suffix: str = ""
    """Behind the name, where one value takes two columns."""


def kinds_of(value: object) -> list[Kind]:
    """Return the columns for values like this one; none where HDF5 has no type."""
    match value:
        case bytes():
            room = min(MAX_ROOM, max(BYTES_ROOM, 2 * len(value)))
            data = Kind(np.dtype(np.uint8), (room,), 0, _bytes(room))
            length = Kind(np.dtype(np.uint32), (), 0, _lengths, "_length")
            return [data, length]
        case str():
            needed = 2 * len(value.encode(errors="replace"))
            dtype = h5py.string_dtype("utf-8", min(MAX_ROOM, max(TEXT_BYTES, needed)))
            return [Kind(dtype, (), None, _texts(dtype))]
        case bool():
            return [Kind(np.dtype(np.int8), (), -1, numbers(np.int8, -1))]
        case int() | float():
            # a source may well write 1.0 as 1, so that a first int says little
            is_exact = isinstance(value, float) or abs(value) < EXACT
            dtype = np.dtype(np.float64 if is_exact else np.int64)
            missing = math.nan if is_exact else -1
            return [Kind(dtype, (), missing, numbers(dtype, missing))]
        case list() | np.ndarray():
            return _vector_of(value)
    return []


def _vector_of(value: list[object] | np.ndarray) -> list[Kind]:
    array = _numbers_in(value)
    if array is None or not array.ndim or not 0 < array.size <= MAX_VECTOR:
        return []
    # a list says little of its type, see above; an array says all
    dtype = np.dtype(np.float64) if isinstance(value, list) else _kept_as(array.dtype)
    return [Kind(dtype, array.shape, masked_value(dtype), _vectors(dtype, array.shape))]


def _numbers_in(value: object) -> np.ndarray | None:
    """Return numbers as an array, None for anything else."""
    if not isinstance(value, list | np.ndarray):
        return None
    try:
        array = np.asarray(value)
    except ValueError:  # ragged
        return None
    return array if array.dtype.kind in "biuf" else None


def _kept_as(dtype: np.dtype) -> np.dtype:
    """Return the type for arrays of this one: itself, little-endian."""
    if dtype.kind == "b":
        return np.dtype(np.int8)
    if dtype == np.uint8:  # that of bytes, which have a length
        return np.dtype(np.uint16)
    return dtype.newbyteorder("<")


def convert_for(dtype: np.dtype, shape: tuple[int, ...]) -> Convert:
    """Return what converts values for a column that was made earlier."""
    if dtype.kind == "S":
        return _texts(dtype)
    if dtype == np.uint8 and shape:
        return _bytes(shape[0])
    if shape:
        return _vectors(dtype, shape)
    if dtype == np.uint32:
        return _lengths
    return numbers(dtype, -1 if dtype.kind == "i" else math.nan)


def numbers(kind: npt.DTypeLike, missing: float) -> Convert:
    """Return what converts numbers; those that the type cannot hold are missing."""
    dtype = np.dtype(kind)

    def one(value: object) -> object:
        try:
            exact = np.array(value, dtype)[()]
        except (ValueError, TypeError, OverflowError):
            return missing
        is_number = isinstance(value, int | float)
        return exact if is_number and is_kept(exact, value) else missing

    def is_kept(kept: npt.ArrayLike, given: npt.ArrayLike) -> bool:
        """True where nothing was lost, such as a fraction."""
        are_nan = np.isnan(kept) & np.isnan(given)
        return bool(np.all(np.equal(kept, given) | are_nan))

    def convert(values: Sequence[object]) -> np.ndarray:
        known = [missing if value is None else value for value in values]
        with np.errstate(invalid="ignore"):
            try:
                found = np.array(known)
                exact = found.astype(dtype)
                if found.dtype.kind in "biuf" and is_kept(exact, found):
                    return exact
            except (ValueError, TypeError, OverflowError):
                pass  # not all of one kind
            return np.array([one(value) for value in known], dtype)

    return convert


def _vectors(dtype: np.dtype, shape: tuple[int, ...]) -> Convert:
    def convert(values: Sequence[object]) -> np.ndarray:
        out = np.full((len(values), *shape), masked_value(dtype), dtype)
        for row, value in enumerate(values):
            found = _numbers_in(value)
            if found is None or found.shape != shape:
                continue
            if np.can_cast(found.dtype, dtype):
                out[row] = found
        return out

    return convert


def _texts(dtype: np.dtype) -> Convert:
    room = dtype.itemsize

    def one(value: object) -> bytes:
        text = "" if value is None else str(value)
        whole = text.encode(errors="replace")
        # no half a character at the end
        return whole if len(whole) <= room else _cut(whole, room)

    def convert(values: Sequence[object]) -> np.ndarray:
        return np.array([one(value) for value in values], dtype)

    return convert


def _cut(text: bytes, room: int) -> bytes:
    return text[:room].decode(errors="ignore").encode()


def _bytes(room: int) -> Convert:
    def convert(values: Sequence[object]) -> np.ndarray:
        out = np.zeros((len(values), room), np.uint8)
        for row, value in enumerate(values):
            if isinstance(value, bytes):
                part = np.frombuffer(value[:room], np.uint8)
                out[row, : len(part)] = part
        return out

    return convert


def _lengths(values: Sequence[object]) -> np.ndarray:
    """Return the true lengths, also of what is cut."""
    sizes = [len(v) if isinstance(v, bytes) else 0 for v in values]
    return np.array(sizes, np.uint32)
