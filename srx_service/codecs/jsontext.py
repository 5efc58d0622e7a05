"""JSON from and to the network: bounded in size and depth, and sure to be JSON again.

Python's own writer makes NaN and Infinity, which are not JSON; they are accepted.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
import numpy as np

from srx_service.errors import ProtocolError
from srx_service.messages import Buffer

MAX_HEADER_BYTES = 1 << 20
"""Of the first part of a message; real ones have 100 to 1,000 bytes."""
MAX_METADATA_BYTES = 64 << 20
"""Of what a source says of a whole series."""
MAX_DEPTH = 64
"""Objects and lists in one another; what walks them later may be recursive."""

_T = TypeVar("_T")

DIGITS = b"0123456789"
_NO_DIGITS = str.maketrans("", "", DIGITS.decode())
BACKSLASH = ord("\\")

_EXCERPT_BYTES = 200
_MAX_LAYOUT_BYTES = 300
"""No number so short is too large for a float, unless it has an exponent."""
_MAX_LAYOUTS = 64
_EXPONENT = re.compile(rb'(?<![\w"])\.?[eE]\+?(?=[\s,\]}])')
"""A number with a positive exponent, its digits taken out: it may be out of range."""


def excerpt(raw: Buffer) -> str:
    """Return the beginning of a part, as it may stand in a text for people."""
    return repr(bytes(raw[:_EXCERPT_BYTES]))


def bounded(raw: Buffer, what: str, limit: int, **place: int | None) -> bytes:
    """Return a part as bytes.

    Raises:
        ProtocolError: It is longer than `limit`.
    """
    if len(raw) > limit:
        text = f"{what} has {len(raw)} bytes, at most {limit} are allowed"
        raise ProtocolError("too large", f"{text}: {excerpt(raw)}", **place)
    return raw if type(raw) is bytes else bytes(raw)


def read_object(
    raw: Buffer, what: str, limit: int, **place: int | None
) -> dict[str, Any]:
    """Return a JSON object.

    Args:
        raw: The text.
        what: How messages call it: "metadata".
        limit: Its length in bytes, at most.
        place: Series and number for the error, where known.

    Raises:
        ProtocolError: It is too long, too deep, or no JSON object.
    """
    text = bounded(raw, what, limit, **place)
    try:
        found = _read(text)
    except (ValueError, RecursionError) as error:
        reason = f"{what} cannot be read as JSON ({_short(error)}): {excerpt(text)}"
        raise ProtocolError("not JSON", reason, **place) from None
    if not isinstance(found, dict):
        reason = f"{what} is not a JSON object: {excerpt(text)}"
        raise ProtocolError("not JSON", reason, **place)
    if _is_deeper(found, MAX_DEPTH):
        reason = f"{what} is nested more than {MAX_DEPTH} deep: {excerpt(text)}"
        raise ProtocolError("too deep", reason, **place)
    return found


def read_typed(
    read: Callable[[bytes], _T], raw: Buffer, what: str, **place: int | None
) -> _T:
    """Return a JSON part as what a msgspec decoder makes of it.

    Raises:
        ProtocolError: It is too long, no JSON, or has other fields.
    """
    text = bounded(raw, what, MAX_HEADER_BYTES, **place)
    try:
        return read(text)
    except (ValueError, RecursionError) as error:
        is_json = isinstance(error, msgspec.ValidationError)
        reason = f"{what}: {_short(error)}: {excerpt(text)}"
        kind = "bad field" if is_json else "not JSON"
        raise ProtocolError(kind, reason, **place) from error


def examine(raw: bytes, what: str, **place: int | None) -> set[str]:
    """Read every byte, also what no field takes, and return the outermost keys.

    Raises:
        ProtocolError: As `read_object`; or the outermost object has a key twice, and
            readers differ in which one they take.
    """
    read_object(raw, what, MAX_HEADER_BYTES, **place)
    seen: set[str] = set()
    for key, _ in json.loads(raw, object_pairs_hook=list):
        if key in seen:
            text = f"{what} has the key {key[:80]!r} twice: {excerpt(raw)}"
            raise ProtocolError("duplicate key", text, **place)
        seen.add(key)
    return seen


class Layouts:
    """Texts without their digits, whose every byte has been examined.

    The next text of the same layout differs in numbers only: it need not be examined,
    which is most of the work on a header of a fast stream.
    """

    def __init__(self) -> None:
        self.known: set[bytes] = set()
        """Ask it first: `raw.translate(None, DIGITS) in known`."""

    def learn(self, raw: bytes, what: str, **place: int | None) -> None:
        """Examine a text and remember its layout.

        Raises:
            ProtocolError: As `examine`; also for a number that no float can be, which
                later readers of the text would stumble over.
        """
        read_typed(msgspec.json.decode, raw, what, **place)
        keys = examine(raw, what, **place)
        layout = raw.translate(None, DIGITS)
        if (
            len(raw) > _MAX_LAYOUT_BYTES
            # Other digits in \u0041 are another letter, perhaps of another key.
            or BACKSLASH in raw
            or _EXPONENT.search(layout)
            # "x1" and "x2" may be "x1" twice in another text.
            or len({key.translate(_NO_DIGITS) for key in keys}) < len(keys)
        ):
            return
        if len(self.known) >= _MAX_LAYOUTS:
            self.known.clear()
        self.known.add(layout)


def write(fields: dict[str, Any]) -> bytes:
    """Return JSON; NaN becomes null, bytes become text or are left out."""
    kept = {key: _as_text(value) for key, value in fields.items()}
    kept = {key: value for key, value in kept.items() if value is not msgspec.UNSET}
    return msgspec.json.encode(kept, enc_hook=_plain)


def _as_text(value: object) -> object:
    """Return a user's bytes as JSON can hold them, UNSET where it cannot."""
    if not isinstance(value, Buffer):
        return value
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        return msgspec.UNSET


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise NotImplementedError(f"{type(value).__name__} has no JSON")


def _read(text: bytes) -> object:
    try:
        return msgspec.json.decode(text)
    except ValueError:
        found = json.loads(text)
        # Half a surrogate pair can be read but never be sent or stored.
        msgspec.json.encode(found)
        return found


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:_EXCERPT_BYTES]


def _is_deeper(found: object, limit: int) -> bool:
    level = [found]
    for _ in range(limit):
        level = [
            child
            for node in level
            for child in _children(node)
            if type(child) in (dict, list)
        ]
        if not level:
            return False
    return True


def _children(node: Any) -> Iterable[object]:  # noqa: ANN401 - JSON, narrowed here
    return node.values() if type(node) is dict else node
