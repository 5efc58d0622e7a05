"""The first part of the generic stream's messages: its JSON, read and written."""

import re
from typing import Any

import msgspec

from srx_service.codecs import chunk_shape, jsontext
from srx_service.codecs.fields import PIXEL_TYPES, Frame, Number, Shape
from srx_service.codecs.jsontext import BACKSLASH
from srx_service.messages import Image, extras_of

TYPES = {**PIXEL_TYPES, "mono12p": "mono12p"}
ENCODINGS = {
    "": "none",
    **{name: name for name in ("none", "bslz4", "lz4", "bszstd", "cbf")},
}
_NUMBER = re.compile(rb'"msg_number"\s*:\s*(\d+)')


class Header(msgspec.Struct, tag_field="htype", tag="header", gc=False):
    """Of a series."""

    msg_number: Number | None = None
    filename: str | None = ""


class ImageHeader(msgspec.Struct, tag_field="htype", tag="image", gc=False):
    """Of an image; what else it says is in the text alone."""

    frame: Frame
    shape: Shape
    type: str
    compression: str | None = None
    msg_number: Number | None = None
    discard: Any = False
    chunks: Any = None


class EndHeader(msgspec.Struct, tag_field="htype", tag="series_end", gc=False):
    """Of the end of a series."""

    msg_number: Number | None = None


read = msgspec.json.Decoder(Header | ImageHeader | EndHeader).decode
"""Reads any of them; raises ValueError and RecursionError."""


def renumbered(
    raw: bytes, image: Image, number: int, exposure_s: float | None
) -> bytes | None:
    """Return the text with another number; None where it has to be written anew."""
    try:
        header = read(raw)
    except (ValueError, RecursionError):
        return None
    if (
        type(header) is not ImageHeader
        or header.frame != image.frame
        or header.shape != image.shape
        or header.compression != image.encoding
        or TYPES.get(header.type) != image.dtype
        # An escape may hide a name, and a second msg_number may be anybody's.
        or BACKSLASH in raw
        or raw.count(b'"msg_number"') != (header.msg_number is not None)
    ):
        return None
    if exposure_s is not None:
        if b'"exposure_time"' in raw:
            return None
        raw = _with_field(raw, b'"exposure_time": ' + msgspec.json.encode(exposure_s))
    place = _NUMBER.search(raw)
    if place is None and header.msg_number is not None:  # -0, say
        return None
    if place is None:
        return _with_field(raw, b'"msg_number": %d' % number)
    start, end = place.span(1)
    return b"%b%d%b" % (raw[:start], number, raw[end:])


def _with_field(raw: bytes, field: bytes) -> bytes:
    """Append to a JSON object that is not empty."""
    return b"%b, %b}" % (raw[: raw.rindex(b"}")], field)


def written(image: Image, number: int, exposure_s: float | None) -> bytes:
    """Return the text of an image header, written anew."""
    header: dict[str, Any] = {
        "htype": "image",
        "msg_number": number,
        "frame": image.frame,
        "shape": image.shape,
        "type": image.dtype,
        "compression": image.encoding,
    }
    if image.discard:
        header["discard"] = True
    if len(image.blobs) > 1:
        header["chunks"] = chunk_shape(image)
    for key, value in extras_of(image).items():
        header.setdefault(key, value)
    if exposure_s is not None:
        header.setdefault("exposure_time", exposure_s)
    return jsontext.write(header)
