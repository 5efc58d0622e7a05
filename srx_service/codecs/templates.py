"""JSON texts that differ in their numbers only, read many at a time.

A fast stream says the same of every image but for its place. Once one text has been
read and examined, those that follow are compared with it by one regular expression for
all of a batch, which costs a third of reading each.
"""

import re
from collections.abc import Collection, Sequence

from srx_service.codecs.jsontext import BACKSLASH
from srx_service.messages import Buffer, Image

MAX_BYTES = 4096
"""Real headers of fast streams have 100 to 1,000."""
COUNTERS = (b"msg_number", b"frame")
_TOKEN = re.compile(
    rb'"[^"]*"|(?P<number>-?\d+(?P<fraction>\.\d+)?(?P<exponent>[eE][-+]?\d+)?)'
    rb"|[\[\]{}:]"
)
_COUNTER = rb"(0|[1-9]\d{0,8})"
"""At most a billion: in every field's range."""
_WHOLE = rb"-?(?:0|[1-9]\d{0,14})"
_FRACTION = rb"-?(?:0|[1-9]\d{0,14})\.\d{1,17}"
"""A number that is not asked for: whatever it is, a float and every reader hold it."""
_DEPTH = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}


class ImageRun:
    """Images of one blob each whose headers differ in their numbers only.

    Args:
        raw: The header of one: a JSON object that has been examined, no key twice.
        image: What it says.
        fixed: Its outermost keys whose numbers are the same in all.

    Raises:
        ValueError: The header does not tell its counters apart from other numbers.
    """

    def __init__(self, raw: bytes, image: Image, fixed: Collection[bytes]) -> None:
        if BACKSLASH in raw or b"\n" in raw or len(raw) > MAX_BYTES:
            raise ValueError("what is long or has escapes or lines is read one by one")
        pattern, found = _pattern(raw, fixed)
        if sorted(found) != sorted(COUNTERS):
            raise ValueError(f"{COUNTERS} are not all whole numbers")
        self._numbers_in = re.compile(b"^" + pattern + b"$", re.MULTILINE).findall
        self._number, self._frame = (found.index(key) for key in COUNTERS)
        self._image = image
        ahead = raw[: min(map(raw.index, COUNTERS))]
        self.beginning = ahead if b'"image"' in ahead else b""
        """How each header begins, and no header or end of a series; b"": not known."""

    def read(
        self, messages: Sequence[tuple[Sequence[Buffer], int]]
    ) -> list[Image] | None:
        """Return the images, or None where one is not like the first.

        Args:
            messages: The parts of each, and the module it came from.
        """
        headers: list[bytes] = []
        blobs: list[Buffer] = []
        for parts, _ in messages:
            if len(parts) != 2 or type(parts[0]) is not bytes:
                return None
            headers.append(parts[0])
            blobs.append(parts[1])
        numbers = self._numbers(headers)
        return None if numbers is None else self._images(headers, blobs, numbers)

    def _numbers(self, headers: list[bytes]) -> list[tuple[bytes, ...]] | None:
        lines = b"\n".join(headers)
        numbers = self._numbers_in(lines)
        # a line can match but once: so many matches in so many lines are one in each
        is_one_a_line = lines.count(b"\n") == len(headers) - 1
        return numbers if is_one_a_line and len(numbers) == len(headers) else None

    def _images(
        self,
        headers: list[bytes],
        blobs: list[Buffer],
        numbers: list[tuple[bytes, ...]],
    ) -> list[Image]:
        first, number, frame = self._image, self._number, self._frame
        shape, dtype = first.shape, first.dtype
        encoding, discard = first.encoding, first.discard
        return [
            Image(
                number=int(found[number]),
                frame=int(found[frame]),
                shape=shape,
                dtype=dtype,
                encoding=encoding,
                blobs=(blob,),
                extras=raw,
                discard=discard,
            )
            for raw, blob, found in zip(headers, blobs, numbers, strict=True)
        ]


def _pattern(raw: bytes, fixed: Collection[bytes]) -> tuple[bytes, list[bytes]]:
    """Return the expression, and the counters in the order of its groups."""
    parts: list[bytes] = []
    found: list[bytes] = []
    depth, done, last, key = 0, 0, b"", b""
    for token in _TOKEN.finditer(raw):
        text = token[0]
        depth += _DEPTH.get(text, 0)
        if text == b":" and depth == 1:
            key = last
        last = text[1:-1]
        if token["number"] is None or token["exponent"] or key in fixed:
            continue
        parts.append(re.escape(raw[done : token.start()]))
        done = token.end()
        if key in COUNTERS and depth == 1 and not token["fraction"]:
            parts.append(_COUNTER)
            found.append(key)
        else:
            parts.append(_FRACTION if token["fraction"] else _WHOLE)
    parts.append(re.escape(raw[done:]))
    return b"".join(parts), found
