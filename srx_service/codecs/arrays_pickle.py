"""Lists of numpy arrays, pickled, as some sources send them; nothing else is made.

A pickle is a program: read carelessly it calls whatever its author names. Here its
instructions are looked through before any is carried out, and the few names it may use
stand for functions of this module, none of numpy's.

Sources: `pickletools` of Python, which lists the instructions; `ndarray.__reduce__` and
`__reduce_ex__` of numpy, which tell what an array is pickled as, protocols 0 to 5.
"""

import io
import math
import pickle
import pickletools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from srx_service.codecs.fields import PIXEL_TYPES
from srx_service.messages import Buffer

MAX_PICKLE_BYTES = 1 << 16
"""Nine arrays of eight channels take 1 kB; more than this is not looked at."""
MAX_INSTRUCTIONS = 4096
"""An array takes some 25; also the most that may be remembered for later use."""
MAX_ARRAYS = 64
MAX_AXES = 8

_INSTRUCTIONS = frozenset(
    (
        *("PROTO", "FRAME", "STOP", "MARK"),
        *("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET"),
        *("EMPTY_LIST", "LIST", "APPEND", "APPENDS"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2"),
        *("SHORT_BINBYTES", "BINBYTES", "BYTEARRAY8"),
        *("SHORT_BINUNICODE", "BINUNICODE", "UNICODE"),
        *("GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
    )
)
_BEFORE_BYTES = {"SHORT_BINBYTES": 2, "BINBYTES": 5}
"""What stands before the bytes themselves: the instruction and their number."""
_TYPE_CODE = b"b"
"""Bytes that every array of protocols 3 and 4 begins with; they are no numbers."""
_REMEMBERING = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_FAULTS = (
    *(pickle.UnpicklingError, ValueError, TypeError, AttributeError, LookupError),
    *(OverflowError, EOFError, RecursionError),
)
"""What a pickle that makes no sense is met with."""


def dump(arrays: Sequence[np.ndarray]) -> bytes:
    """Return a pickle of these arrays, in the protocol of Python 3.8 to 3.13."""
    return pickle.dumps(list(arrays), protocol=4)


def load(raw: Buffer) -> list[np.ndarray]:
    """Return the arrays of a pickled list, little-endian.

    Raises:
        ValueError: It is too long, or anything else than a list of arrays of numbers.
    """
    return [array for array, _ in _load(raw)]


class Reader:
    """Reads the pickles of a stream, which mostly differ in their numbers only.

    One that is as the last but for the numbers gets them from the same places: that
    takes a tenth of the time.
    """

    def __init__(self) -> None:
        self._layout: _Layout | None = None

    def load(self, raw: Buffer) -> list[np.ndarray]:
        """See the function `load`."""
        if len(raw) <= MAX_PICKLE_BYTES:
            raw = bytes(raw)
            if self._layout is not None and self._layout.is_of(raw):
                return self._layout.read(raw)
        found = _load(raw)
        self._layout = _layout_of(bytes(raw), found)
        return [array for array, _ in found]


@dataclass(frozen=True)
class _Layout:
    """Where in a pickle its numbers are, and all that is around them."""

    size_bytes: int
    around: list[tuple[int, bytes]]
    """Offset and text of what has to be the same."""
    arrays: list[tuple[int, np.ndarray]]
    """Offset of each, and an array of its type and shape."""

    def is_of(self, raw: bytes) -> bool:
        if len(raw) != self.size_bytes:
            return False
        return all(raw.startswith(text, offset) for offset, text in self.around)

    def read(self, raw: bytes) -> list[np.ndarray]:
        return [
            np.frombuffer(raw, like.dtype, like.size, offset).reshape(like.shape)
            for offset, like in self.arrays
        ]


def _layout_of(raw: bytes, found: list[tuple[np.ndarray, bool]]) -> _Layout | None:
    """Return the layout of a pickle that was read; None where it is not plain."""
    places = _bytes_in(raw)
    if len(places) != len(found):
        return None
    around: list[tuple[int, bytes]] = []
    arrays: list[tuple[int, np.ndarray]] = []
    end = 0
    for (offset, numbers), (array, is_plain) in zip(places, found, strict=True):
        if not is_plain or array.tobytes() != numbers:
            return None
        around.append((end, raw[end:offset]))
        arrays.append((offset, array))
        end = offset + len(numbers)
    around.append((end, raw[end:]))
    return _Layout(len(raw), around, arrays)


def _bytes_in(raw: bytes) -> list[tuple[int, bytes]]:
    """Return the bytes that may be an array's numbers, and their offsets."""
    found: list[tuple[int, bytes]] = []
    for opcode, argument, position in pickletools.genops(raw):
        before = _BEFORE_BYTES.get(opcode.name)
        if before is None or position is None or argument == _TYPE_CODE:
            continue
        found.append((position + before, bytes(argument or b"")))
    return found


def _load(raw: Buffer) -> list[tuple[np.ndarray, bool]]:
    """Return arrays, and whether each lies in the pickle as it is returned."""
    if len(raw) > MAX_PICKLE_BYTES:
        text = f"a pickle of {len(raw)} bytes, at most {MAX_PICKLE_BYTES} are allowed"
        raise ValueError(text)
    text = bytes(raw)
    try:
        _look_through(text)
        found = _Unpickler(io.BytesIO(text)).load()
    except _FAULTS as error:
        raise ValueError(f"not a list of arrays: {str(error)[:200]}") from None
    return _arrays_in(found)


def _look_through(raw: bytes) -> None:
    """Refuse what could do harm, or cost much, merely by being carried out."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(raw)):
        if opcode.name not in _INSTRUCTIONS:
            raise ValueError(f"the instruction {opcode.name} is not allowed")
        if count == MAX_INSTRUCTIONS:
            raise ValueError(f"more than {MAX_INSTRUCTIONS} instructions")
        # the interpreter makes a table as long as the highest place that is used
        place = argument if opcode.name in _REMEMBERING else 0
        if type(place) is not int or not 0 <= place < MAX_INSTRUCTIONS:
            raise ValueError(f"{opcode.name} {argument}, {MAX_INSTRUCTIONS} places")


def _arrays_in(found: object) -> list[tuple[np.ndarray, bool]]:
    if type(found) is not list or len(found) > MAX_ARRAYS:
        raise ValueError(f"a list of at most {MAX_ARRAYS} arrays is allowed")
    arrays: list[tuple[np.ndarray, bool]] = []
    for k, item in enumerate(found):
        if type(item) is not _Array or item.values is None:
            raise ValueError(f"item {k} of the list is no array")
        arrays.append((item.values, item.is_plain))
    # one array that is named many times is many to those who get the list
    if sum(array.nbytes for array, _ in arrays) > MAX_PICKLE_BYTES:
        raise ValueError(f"arrays of more than {MAX_PICKLE_BYTES} bytes")
    return arrays


class _Dtype:
    """Stands for numpy.dtype: of numbers, or it is refused."""

    def __init__(self, name: object, *_: object) -> None:
        if type(name) is not str or name not in PIXEL_TYPES:
            raise ValueError("an array of anything else than numbers")
        self.dtype = np.dtype(PIXEL_TYPES[name])

    def __setstate__(self, state: object) -> None:
        match state:
            case (_, str() as order, None, None, None, *_) if order in ("<", ">", "|"):
                self.dtype = self.dtype.newbyteorder(order)
            case _:
                raise ValueError("an array of structures or the like")


class _Array:
    """Stands for an array until its state is read."""

    values: np.ndarray | None = None
    is_plain = False

    def __setstate__(self, state: object) -> None:
        match state:
            case (int(), tuple() as shape, _Dtype() as kind, is_fortran, raw):
                self.values = _values(raw, kind, shape, "F" if is_fortran else "C")
                self.is_plain = not is_fortran and kind.dtype.str[0] in "<|"
            case _:
                raise ValueError("the state of an array is of five things")


def _values(raw: object, kind: object, shape: object, order: object) -> np.ndarray:
    if not isinstance(raw, bytes | bytearray) or type(kind) is not _Dtype:
        raise ValueError("an array that is not made of bytes")
    if order not in ("C", "F"):
        raise ValueError("an array in neither order, C or F")
    match shape:
        case tuple() if len(shape) <= MAX_AXES and all(type(n) is int for n in shape):
            pass
        case _:
            raise ValueError(f"the shape of an array has at most {MAX_AXES} numbers")
    if any(n < 1 for n in shape) or math.prod(shape) * kind.dtype.itemsize != len(raw):
        raise ValueError(f"{len(raw)} bytes are no {kind.dtype} of shape {shape}")
    found = np.frombuffer(raw, kind.dtype).reshape(shape, order=order)
    return found.astype(found.dtype.newbyteorder("<"), order="C", copy=False)


def _reconstruct(*_: object) -> _Array:
    """Stand for numpy's: there, a shape given here would be allocated at once."""
    return _Array()


def _from_buffer(raw: object, kind: object, shape: object, order: object) -> _Array:
    """Stand for numpy's, which protocol 5 uses."""
    array = _Array()
    array.values = _values(raw, kind, shape, order)
    return array


def _encode(text: object, encoding: object) -> bytes:
    """Stand for _codecs.encode: how protocols 0 to 2 write bytes."""
    if type(text) is not str or encoding != "latin1":
        raise ValueError("bytes in an encoding that is not latin1")
    return text.encode("latin1")


def _no_array() -> None:
    """Stand for numpy.ndarray, which is only named, to _reconstruct."""
    raise ValueError("an array that is made without its state")


_NAMES: dict[str, Callable[..., object]] = {
    "numpy.ndarray": _no_array,
    "numpy.dtype": _Dtype,
    "_codecs.encode": _encode,
    **dict.fromkeys(
        ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"),
        _reconstruct,
    ),
    **dict.fromkeys(
        ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"),
        _from_buffer,
    ),
}


class _Unpickler(pickle.Unpickler):
    """Takes every name from the table above."""

    def find_class(self, module_name: str, global_name: str) -> Callable[..., object]:
        name = f"{module_name}.{global_name}"
        if name not in _NAMES:
            raise pickle.UnpicklingError(f"{name[:80]!r} is not allowed")
        return _NAMES[name]
