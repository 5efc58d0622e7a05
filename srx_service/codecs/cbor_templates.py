"""Images in CBOR that differ in their numbers and pixels only, read by comparison.

A stream says the same of every image but for its place, its times and its pixels. Once
one message has been read and checked, what follows is compared with it, which takes a
tenth of reading it item by item.
"""

import copy
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from srx_service.messages import Buffer, Image

MAX_BYTES = 4096
"""Of a message without its pixels: those of detectors have some 400."""
WIDEST = 9
"""Bytes that a number takes at most."""
PIXELS = "data"
"""The key of the pixels, by channel."""

_NUMBER = rb"([\x00-\x17]|\x18.|\x19..|\x1a.{4}|\x1b.{8})"
_PLACE = rb"([\x00-\x17]|\x18.|\x19..|\x1a.{4})"
"""Of an image in its series: in every field's range."""
_LENGTH = rb"([\x40-\x57]|\x58.|\x59..|\x5a.{4}|\x5b.{8})"
_SIZES = {24: 1, 25: 2, 26: 4, 27: 8}
TEXT = 3

Path = tuple[str | int, ...]


class Found(NamedTuple):
    """An item that may be another one in the next message."""

    begin: int
    end: int
    """Of a number; of a blob's length, behind which the blob is."""
    path: Path
    blob_bytes: int | None = None
    """None: it is a number."""


class ImageTemplate:
    """One image, and how others look that differ in numbers and pixels only.

    Args:
        message: An image that could be read: a map of texts to anything.
        image: What it says; its extras have the message's keys and numbers.
        place: The key of its place in the series.

    Raises:
        ValueError: The message does not tell these numbers apart from others.
    """

    def __init__(self, message: Buffer, image: Image, place: str) -> None:
        if not isinstance(image.extras, dict):
            raise ValueError("the extras of an image in CBOR are a dict")
        view = memoryview(message)
        packed = sum(map(len, image.blobs))
        if len(view) - packed > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes beside the pixels")
        # numbers that stand in no extras have to be the same in all
        differ = {place, *image.extras}
        items = [
            each
            for each in _items_of(view)
            if each.blob_bytes is not None or each.path[0] in differ
        ]
        # its pixels keep the message in memory, and who has the image may change it
        self._image = msgspec.structs.replace(image, blobs=(), extras={})
        self._extras: dict[str, Any] = copy.deepcopy(image.extras)
        self._pieces: list[tuple[Callable[[bytes], re.Match[bytes] | None], int]] = []
        self._compile(view, items, place)
        paths = [each.path for each in items if each.blob_bytes is None]
        if paths.count((place,)) != 1 or len(self._pieces) != len(image.blobs) + 1:
            raise ValueError("place and pixels are not where they are looked for")
        self._place = paths.index((place,))
        self._singles: list[tuple[str, int]] = []
        """Keys of extras that are a number, and which of the numbers."""
        self._lists: dict[str, list[tuple[int, int]]] = {}
        """Those that are lists: which item is which of the numbers."""
        self._sort(paths)
        again = self.read(message)
        told = None if again is None else (again.number, again.extras)
        if told != (image.number, image.extras):
            raise ValueError("some of the extras are not what stands in the message")

    def _compile(self, view: memoryview, items: list[Found], place: str) -> None:
        """Make an expression for each piece that leads to a blob, and for the rest."""
        pattern, start, done = b"", 0, 0
        for item in items:
            pattern += re.escape(view[done : item.begin].tobytes())
            done = item.end
            if item.blob_bytes is None:
                pattern += _PLACE if item.path == (place,) else _NUMBER
                continue
            self._add(pattern + _LENGTH, done - start)
            start = done = done + item.blob_bytes
            pattern = b""
        pattern += re.escape(view[done:].tobytes())
        self._add(pattern + rb"\Z", len(view) - start)

    def _add(self, pattern: bytes, size_bytes: int) -> None:
        expression = re.compile(pattern, re.DOTALL)
        # numbers may take more bytes than they did here
        most_bytes = size_bytes + WIDEST * expression.groups
        self._pieces.append((expression.match, most_bytes))

    def _sort(self, paths: list[Path]) -> None:
        for which, path in enumerate(paths):
            match path, self._extras.get(str(path[0])):
                case (str(key),), int():
                    self._singles.append((key, which))
                case (str(key), int(index)), [*values] if index < len(values):
                    self._lists.setdefault(key, []).append((index, which))
                case _ if which != self._place:
                    raise ValueError(f"a number at {path} is too deep to be followed")

    def read(self, message: Buffer) -> Image | None:
        """Return the image, or None where it is not like the first."""
        view, at = memoryview(message), 0
        numbers: list[int] = []
        blobs: list[Buffer] = []
        *heads, (match_tail, tail_bytes) = self._pieces
        for match, most_bytes in heads:
            found = match(view[at : at + most_bytes].tobytes())
            if found is None:
                return None
            *told, length = map(_whole, found.groups())
            numbers += told
            begin = at + found.end()
            at = begin + length
            if at > len(view):
                return None
            blobs.append(view[begin:at])
        if len(view) - at > tail_bytes:
            return None
        found = match_tail(view[at:].tobytes())
        if found is None:
            return None
        numbers += map(_whole, found.groups())
        return self._image_of(numbers, tuple(blobs))

    def _image_of(self, numbers: list[int], blobs: tuple[Buffer, ...]) -> Image:
        first, place = self._image, numbers[self._place]
        extras = self._extras.copy()
        for key, which in self._singles:
            extras[key] = numbers[which]
        for key, items in self._lists.items():
            values = extras[key].copy()
            for index, which in items:
                values[index] = numbers[which]
            extras[key] = values
        return Image(
            series=first.series,
            number=place,
            frame=place,
            shape=first.shape,
            dtype=first.dtype,
            encoding=first.encoding,
            blobs=blobs,
            extras=extras,
        )


def _items_of(view: memoryview) -> list[Found]:
    """Return the numbers and blobs of a message that has been read, in their order."""
    found: list[Found] = []
    end = _walk(view, 0, (), found)
    assert end == len(view)
    return found


def _walk(view: memoryview, at: int, path: Path, found: list[Found]) -> int:
    """Add the numbers and blobs of one item; return where it ends."""
    major = view[at] >> 5
    value, end = _argument(view, at)
    match major:
        case 0:
            found.append(Found(at, end, path))
        case 2 if path[:1] == (PIXELS,):
            found.append(Found(at, end, path, value))
            end += value
        case 2 | 3:
            end += value
        case 4 | 5:
            for index in range(value):
                key, end = (index, end) if major == 4 else _key(view, end)
                end = _walk(view, end, (*path, key), found)
        case 6:
            inside: list[Found] = []
            end = _walk(view, end, path, inside)
            # what another tag says of numbers is not known
            is_whole = not path
            found += [i for i in inside if is_whole or i.blob_bytes is not None]
    return end


def _key(view: memoryview, at: int) -> tuple[str, int]:
    length, begin = _argument(view, at)
    if view[at] >> 5 != TEXT:
        raise ValueError("a key that is no text")
    end = begin + length
    return str(view[begin:end], "utf-8"), end


def _argument(view: memoryview, at: int) -> tuple[int, int]:
    """Return the number that an item begins with, and where that ends."""
    low = view[at] & 31
    begin = at + 1
    end = begin + _SIZES.get(low, 0)
    return low if begin == end else int.from_bytes(view[begin:end]), end


def _whole(item: bytes) -> int:
    """Return a number, or the length of bytes."""
    return item[0] & 31 if len(item) == 1 else int.from_bytes(item[1:])
