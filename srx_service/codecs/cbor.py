"""CBOR from and to the network: nothing copied, bounded in depth and in items.

Source: RFC 8949. Byte strings become views of the message they came in, so that an
image of 16 million pixels is read as quickly as a small one.

| major type | becomes |
|---|---|
| 0, 1 | int |
| 2 | memoryview of the message |
| 3 | str |
| 4 | list |
| 5 | dict; its keys are text, numbers, true, false or null |
| 6 | Tag; what it stands before, where that is a number or a text, or the tag 55799 |
| 7 | float of 16, 32 or 64 bits, bool, None (also for undefined) |

Indefinite lengths are refused: a blob in pieces is no view of anything.
"""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import cbor2

from srx_service.messages import Buffer

MAGIC = b"\xd9\xd9\xf7"
"""The tag 55799, "this is CBOR", as a message begins with it."""
SELF_DESCRIBED = 55799
HEAD_BYTES = 1024
"""Copied for the texts in it, which are read from bytes in half the time."""
MAX_DEPTH = 64
"""Lists, maps and tags in one another; what walks them later may be recursive."""
MAX_ITEMS = 1 << 18
"""In the lists and maps of a message, keys included; real images have some 50."""

_INDEFINITE = 31
_CONSTANTS = {20: False, 21: True, 22: None, 23: None}
_ARGUMENTS = {
    24 + n: struct.Struct(code) for n, code in enumerate((">B", ">H", ">I", ">Q"))
}
_FLOATS = {n: struct.Struct(code) for n, code in ((25, ">e"), (26, ">f"), (27, ">d"))}


class Tag(NamedTuple):
    """A value that says what it is: 40 stands before an array of several axes."""

    number: int
    value: Any


class CborError(ValueError):
    """Bytes that are not the CBOR we read.

    Args:
        text: What was found, and what is allowed.
        offset: Where, in bytes from the beginning.
    """

    def __init__(self, text: str, offset: int) -> None:
        super().__init__(f"{text}, at byte {offset}")
        self.offset = offset
        self.outermost: dict[Any, Any] = {}
        """What could still be read of the outermost map."""


def loads(message: Buffer) -> Any:  # noqa: ANN401 - as any reader of foreign data
    """Return the one item that a message is.

    Raises:
        CborError: It is cut short, too deep or too large, or has bytes behind its end.
    """
    reader = _Reader(memoryview(message))
    try:
        return reader.read()
    except CborError as error:
        error.outermost = reader.outermost or {}
        raise


def dumps(value: object) -> bytes:
    """Return CBOR of what `loads` reads, with `bytes` where that makes views.

    Raises:
        ValueError: It holds what CBOR has no word for.
    """
    try:
        return cbor2.dumps(value)
    except cbor2.CBOREncodeError as error:
        raise ValueError(f"there is no CBOR for it: {error}") from error


def tagged(number: int, value: object) -> object:
    """Return what `dumps` writes as a value with a tag before it."""
    return cbor2.CBORTag(number, value)


class _Reader:
    """Walks through one message."""

    __slots__ = ("_at", "_depth", "_head", "_items", "_size", "_view", "outermost")

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._head = view[:HEAD_BYTES].tobytes()
        self._size = len(view)
        self._at = 0
        self._depth = 0
        self._items = 0
        self.outermost: dict[Any, Any] | None = None

    def read(self) -> object:
        found = self.read_item()
        if self._at != self._size:
            text = f"{self._size - self._at} bytes more than the one item"
            raise CborError(text, self._at)
        return found

    def read_item(self) -> Any:  # noqa: ANN401 - foreign data
        at, view = self._at, self._view
        if at >= self._size:
            raise self.cut(1)
        first = view[at]
        low = first & 31
        at += 1
        if low >= 24 and first < 0xE0:
            low, at = self.read_argument(low, at)
        if first >> 5 == 3:  # first, being by far the most frequent
            end = at + low
            if end > self._size:
                self._at = at
                raise self.cut(low)
            self._at = end
            try:
                if end <= HEAD_BYTES:
                    return self._head[at:end].decode()
                return view[at:end].tobytes().decode()
            except UnicodeDecodeError as error:
                raise CborError(f"no UTF-8 ({error.reason})", at) from None
        self._at = at
        return low if first < 0x20 else _MAJOR[first >> 5](self, low)

    def read_argument(self, low: int, at: int) -> tuple[int, int]:
        """Return the number that follows in 1, 2, 4 or 8 bytes, and where it ends."""
        code = _ARGUMENTS.get(low)
        if code is None:
            text = "indefinite length" if low == _INDEFINITE else f"reserved {low}"
            text = f"{text}; only lengths that are told beforehand are read"
            raise CborError(text, at - 1)
        try:
            return code.unpack_from(self._view, at)[0], at + code.size
        except struct.error:
            self._at = at
            raise self.cut(code.size) from None

    def take(self, count: int) -> memoryview:
        start = self._at
        end = start + count
        if end > self._size:
            raise self.cut(count)
        self._at = end
        return self._view[start:end]

    def cut(self, count: int) -> CborError:
        text = f"cut short: {count} bytes are due, {self._size - self._at} came"
        return CborError(text, self._at)

    def enter(self, items: int) -> None:
        """Begin something that holds other items.

        Each takes one byte at least, and the message holds no more bytes than it has.
        """
        self._depth += 1
        self._items += items
        if self._depth > MAX_DEPTH:
            text = f"nested more than {MAX_DEPTH} deep"
        elif items > self._size - self._at:
            raise self.cut(items)
        elif self._items > MAX_ITEMS:
            text = f"more than {MAX_ITEMS} items"
        else:
            return
        raise CborError(text, self._at)

    def read_negative(self, value: int) -> int:
        return -1 - value

    def read_bytes(self, length: int) -> memoryview:
        return self.take(length)

    def read_list(self, count: int) -> list[Any]:
        self.enter(count)
        item = self.read_item
        found = [item() for _ in range(count)]
        self._depth -= 1
        return found

    def read_map(self, count: int) -> dict[Any, Any]:
        start = self._at
        self.enter(2 * count)
        item = self.read_item
        found: dict[Any, Any] = {}
        if self.outermost is None:
            self.outermost = found
        for _ in range(count):
            key = item()
            if type(key) is not str and isinstance(key, memoryview | list | dict | Tag):
                text = f"a {type(key).__name__} as a key of a map"
                raise CborError(text, self._at)
            found[key] = item()
        if len(found) != count:
            raise CborError("a map that has a key twice", start)
        self._depth -= 1
        return found

    def read_tag(self, number: int) -> object:
        self.enter(1)
        value = self.read_item()
        self._depth -= 1
        if number == SELF_DESCRIBED:
            return value
        if isinstance(value, memoryview | list | dict | Tag):
            return Tag(number, value)
        return value

    def read_simple(self, low: int) -> float | bool | None:
        if low in _FLOATS:
            code = _FLOATS[low]
            return code.unpack(self.take(code.size))[0]
        if low not in _CONSTANTS:
            text = f"simple value {low}; false, true, null and floats are read"
            raise CborError(text, self._at - 1)
        return _CONSTANTS[low]


_MAJOR: dict[int, Callable[[_Reader, int], Any]] = {
    1: _Reader.read_negative,
    2: _Reader.read_bytes,
    4: _Reader.read_list,
    5: _Reader.read_map,
    6: _Reader.read_tag,
    7: _Reader.read_simple,
}
"""By major type; `read_item` itself reads 0 and 3."""
