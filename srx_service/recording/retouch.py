"""Changes to recorded messages: another file name, the End that is missing.

Reads as little of a message as that takes; all else stays byte for byte. Known are the
generic stream (stins), DECTRIS stream v1, and stream v2 (CBOR, its sizes definite).
"""

from collections.abc import Iterator
from typing import Any, Literal

import cbor2
import msgspec

from srx_service.recording.container import CBOR_MAGIC, Parts

Role = Literal["start", "image", "end", "other"]

APPENDIX_AT = {"none": 1, "basic": 2, "all": 8}
"""Parts before the appendix of a DECTRIS v1 header, by its `header_detail`."""
ROLES: dict[str, Role] = {
    "header": "start",
    "image": "image",
    "series_end": "end",
    "dheader-1.0": "start",
    "dimage-1.0": "image",
    "dseries_end-1.0": "end",
}
SMALL = 1024
"""Bytes; longer values of a CBOR message are stepped over, not read."""


def role(parts: Parts) -> Role:
    """Return what a message is to its series."""
    head = _head(parts)
    if parts[0].startswith(CBOR_MAGIC):
        kind = head.get("type")
        return kind if kind in ("start", "image", "end") else "other"
    return ROLES.get(str(head.get("htype")), "other")


def renamed(parts: Parts, filename: str) -> Parts:
    """Return a header with another file name in it; other messages as they are."""
    if role(parts) != "start":
        return parts
    if parts[0].startswith(CBOR_MAGIC):
        return [_with_user_data(parts[0], filename), *parts[1:]]
    head = _head(parts)
    if head["htype"] == "header":
        return [msgspec.json.encode({**head, "filename": filename}), *parts[1:]]
    at = APPENDIX_AT.get(str(head.get("header_detail")), len(parts))
    appendix = _named(b"".join(parts[at : at + 1]), filename)
    return [*parts[:at], appendix, *parts[at + 1 :]]


class OpenSeries:
    """Follows a stream to know the End that would close it."""

    def __init__(self) -> None:
        self._last: dict[str, Any] | None = None
        self._is_cbor = False

    def see(self, parts: Parts) -> None:
        """Take notice of a message."""
        what = role(parts)
        if what == "end":
            self._last = None
        elif what != "other":
            self._last = _head(parts)
            self._is_cbor = parts[0].startswith(CBOR_MAGIC)

    def missing_end(self) -> Parts | None:
        """Return the End that the stream lacks; None when all series are closed."""
        last = self._last
        if last is None:
            return None
        if self._is_cbor:
            ids = {k: last[k] for k in ("series_id", "series_unique_id") if k in last}
            return [CBOR_MAGIC + cbor2.dumps({"type": "end", **ids})]
        if str(last["htype"]).startswith("d"):
            end = {"htype": "dseries_end-1.0", "series": last.get("series")}
            return [msgspec.json.encode(end)]
        end = {"htype": "series_end"}
        if "msg_number" in last:
            end["msg_number"] = last["msg_number"] + 1
        return [msgspec.json.encode(end)]


def _head(parts: Parts) -> dict[str, Any]:
    """Return the fields of the first part; {} where it is neither JSON nor CBOR."""
    first = parts[0]
    if first.startswith(CBOR_MAGIC):
        return {
            key: cbor2.loads(first[start:end])
            for key, start, end in _fields(first)
            if end - start <= SMALL
        }
    if not first.startswith(b"{"):
        return {}
    try:
        return msgspec.json.decode(first, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


def _named(text: bytes | str, filename: str) -> bytes:
    """Return a JSON object with the file name in it, whatever else it says kept."""
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        found = {}
    return msgspec.json.encode({**found, "filename": filename})


def _with_user_data(message: bytes, filename: str) -> bytes:
    fields = {key: (start, end) for key, start, end in _fields(message)}
    _, count, at = _cbor_head(message, len(CBOR_MAGIC))
    if "user_data" not in fields:
        added = cbor2.dumps("user_data") + cbor2.dumps(_named("{}", filename).decode())
        return CBOR_MAGIC + _map_head(count + 1) + message[at:] + added
    start, end = fields["user_data"]
    data = cbor2.loads(message[start:end])
    if isinstance(data, dict):
        new: object = {**data, "filename": filename}
    else:
        new = _named(data if isinstance(data, str) else "{}", filename).decode()
    return message[:start] + cbor2.dumps(new) + message[end:]


def _map_head(count: int) -> bytes:
    return bytes([0xB9]) + count.to_bytes(2, "big")


def _fields(message: bytes) -> Iterator[tuple[str, int, int]]:
    """Yield (key, start, end) of each value of a message that is a CBOR map."""
    try:
        major, count, at = _cbor_head(message, len(CBOR_MAGIC))
        for _ in range(count if major == 5 else 0):
            start = _after(message, at)
            end = _after(message, start)
            yield cbor2.loads(message[at:start]), start, end
            at = end
    except IndexError:
        return


def _cbor_head(message: bytes, at: int) -> tuple[int, int, int]:
    """Return the major type, the argument and where what follows begins (RFC 8949)."""
    major, short = message[at] >> 5, message[at] & 31
    if short < 24:
        return major, short, at + 1
    if short > 27:
        raise IndexError("a size that is not definite")
    end = at + 1 + (1 << (short - 24))
    return major, int.from_bytes(message[at + 1 : end], "big"), end


def _after(message: bytes, at: int) -> int:
    """Return where the item that begins at a byte ends."""
    open_items = 1
    while open_items:
        major, argument, at = _cbor_head(message, at)
        open_items -= 1
        match major:
            case 2 | 3:
                at += argument
            case 4:
                open_items += argument
            case 5:
                open_items += 2 * argument
            case 6:
                open_items += 1
    return at
