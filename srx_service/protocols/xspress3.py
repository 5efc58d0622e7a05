"""Xspress3 and X3mini, pulse processors for X-ray fluorescence: spectra and counts.

Source: github.com/maxiv-science/xspress3-streamer; models of
github.com/felix-engelmann/dranspose, data/xspress3.py; recordings of 2023 and 2024. PUB
binds, SUB connects, port 9999. There is no counter over all messages, and PUB drops
what it cannot send.

| message | parts |
|---|---|
| header | JSON: htype "header", filename, overwritable; newer: extra_tags, limits |
| image | JSON: htype "image", frame, exptime, shape, type, compression; blob; pickle |
| end | JSON: htype "series_end"; may come twice |

The three parts of an image come as one message or, from older streamers, as three
messages of one part each. `shape` is (channels, bins). The pickle is a list of arrays,
(channels,) each, whose names are in the header's `extra_tags` or as in SCALARS; a ninth
of (2, channels) are the counts in the two windows that `limits` sets. Blob and pickle
do not tell their frame: where just three messages in a row are lost in mid-image, parts
of two frames are taken for one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np
from msgspec import Meta

from srx_service.codecs import arrays_pickle, jsontext
from srx_service.codecs.fields import (
    MAX_PIXELS,
    PIXEL_TYPES,
    Frame,
    Shape,
    plain_size,
)
from srx_service.codecs.jsontext import MAX_HEADER_BYTES
from srx_service.codecs.xspress3_counts import SCALARS, absent
from srx_service.errors import ProtocolError
from srx_service.messages import (
    IMAGE_FIELDS,
    Buffer,
    End,
    Image,
    Message,
    Start,
    extras_of,
)

_KNOWN = IMAGE_FIELDS | {"exptime"}
Tag = Annotated[str, Meta(min_length=1, max_length=80)]


class _Header(msgspec.Struct, tag_field="htype", tag="header"):
    filename: str | None = ""
    extra_tags: (
        Annotated[list[Tag], Meta(max_length=arrays_pickle.MAX_ARRAYS)] | None
    ) = None


class _Image(msgspec.Struct, tag_field="htype", tag="image"):
    frame: Frame
    shape: Shape
    type: str
    compression: Literal["none", ""] | None = None
    exptime: int | float | None = None


class _End(msgspec.Struct, tag_field="htype", tag="series_end"):
    pass


@dataclass
class _Pending:
    """An image of which one or two of its three messages are here."""

    header: _Image
    fields: dict[str, Any]
    spectra: Buffer | None = None


class Xspress3Decoder:
    """Reads Xspress3 streams, in whichever form, even mixed.

    It holds at most one image that is not complete: the next JSON shows that the rest
    is lost. Its spectra, if they came, are passed on without the counts.
    """

    socket: ClassVar[Literal["pull", "sub"]] = "sub"
    ports: ClassVar[tuple[int, ...]] = (9999,)
    order: ClassVar[Literal["counter", "series"]] = "counter"

    def __init__(self) -> None:
        self._tags: Sequence[str] | None = None
        self._has_counts = False
        """True once an image of this series had them: the file has a place for them."""
        self._pickles = arrays_pickle.Reader()
        self._pending: _Pending | None = None

    def decode(self, parts: Sequence[Buffer], module: int = 0) -> Iterator[Message]:
        """Yield what these parts complete.

        Raises:
            ProtocolError: They, or those before them, are not what the module's table
                says; what could be read of them was yielded before.
        """
        if len(parts) not in (1, 3):
            text = f"{len(parts)} parts; a message has 1, or 3 of a whole image"
            raise ProtocolError("part count", text)
        pending, self._pending = self._pending, None
        if pending is not None and len(parts) == 1 and not _is_message(parts[0]):
            yield from self._go_on(pending, parts[0])
            return
        yield from self._begin(parts, pending)

    def _begin(
        self, parts: Sequence[Buffer], broken: _Pending | None
    ) -> Iterator[Message]:
        """Take a message that is known by its JSON, and what is left of one before."""
        try:
            if broken is not None and broken.spectra is not None:
                yield self._without_counts(broken)
            yield from self._read(parts)
        except ProtocolError as error:
            if broken is None:
                raise
            text = f"{str(error).partition(': ')[2]}; {_lacks(broken)}"
            raise ProtocolError(error.kind, text) from error
        if broken is not None:
            raise ProtocolError("incomplete image", _lacks(broken))

    def _read(self, parts: Sequence[Buffer]) -> Iterator[Message]:
        raw = parts[0]
        fields = jsontext.read_object(raw, "part 0", MAX_HEADER_BYTES)
        header = _header_in(fields, raw)
        if not isinstance(header, _Image):
            if len(parts) != 1:
                text = f"{len(parts)} parts; a header or series_end has 1"
                raise ProtocolError("part count", f"{text}: {jsontext.excerpt(raw)}")
            yield End() if isinstance(header, _End) else self._start(header, fields)
            return
        _check_pixels(header)
        pending = _Pending(header, fields)
        if len(parts) == 1:
            self._pending = pending
            return
        pending.spectra = _spectra(header, parts[1])
        yield from self._complete(pending, parts[2])

    def _start(self, header: _Header, fields: dict[str, Any]) -> Start:
        self._tags, self._has_counts = header.extra_tags, False
        others = {k: v for k, v in fields.items() if k not in ("htype", "filename")}
        return Start(filename=header.filename or "", metadata=others or None)

    def _go_on(self, pending: _Pending, part: Buffer) -> Iterator[Message]:
        if pending.spectra is None:
            pending.spectra = _spectra(pending.header, part)
            self._pending = pending
        else:
            yield from self._complete(pending, part)

    def _complete(self, pending: _Pending, pickled: Buffer) -> Iterator[Message]:
        try:
            arrays = self._pickles.load(pickled)
        except ValueError as error:
            yield self._without_counts(pending)
            text = f"frame {pending.header.frame} is kept without counts: {error}"
            reason = f"{text}: {jsontext.excerpt(pickled)}"
            raise ProtocolError("refused pickle", reason) from error
        names = [
            *(self._tags or SCALARS),
            *(f"untitled_{k}" for k in range(len(arrays))),
        ]
        self._has_counts = True
        yield _image(pending, dict(zip(names, arrays, strict=False)))

    def _without_counts(self, pending: _Pending) -> Image:
        """Return an image that lost them.

        The first of a file decides what is kept of all: it says what there would be.
        """
        if self._has_counts:
            return _image(pending, {})
        return _image(pending, absent(self._tags, pending.header.shape[0]))


def _is_message(part: Buffer) -> bool:
    """Say whether a part is JSON of this protocol, where spectra or a pickle are due.

    Its size would not tell: few bins are no longer than a header.
    """
    if bytes(part[:1]) != b"{" or len(part) > MAX_HEADER_BYTES:
        return False
    try:
        _header_in(jsontext.read_object(part, "part 0", MAX_HEADER_BYTES), b"")
    except ProtocolError:
        return False
    return True


def _header_in(fields: dict[str, Any], raw: Buffer) -> _Header | _Image | _End:
    htype = fields.get("htype")
    if htype not in ("header", "image", "series_end"):
        text = f"header, image and series_end are known: {jsontext.excerpt(raw)}"
        raise ProtocolError("unknown htype", text)
    try:
        header = msgspec.convert(fields, _Header | _Image | _End)
    except msgspec.ValidationError as error:
        text = f"{error}: {jsontext.excerpt(raw)}"
        raise ProtocolError("bad field", text) from error
    names = header.extra_tags or () if isinstance(header, _Header) else ()
    if len(set(names)) < len(names):
        text = f"a name stands twice in extra_tags: {jsontext.excerpt(raw)}"
        raise ProtocolError("bad field", text)
    return header


def _check_pixels(header: _Image) -> None:
    if header.type not in PIXEL_TYPES:
        text = f"frame {header.frame}, type {header.type[:80]!r}; numpy's are known"
        raise ProtocolError("unknown type", text)
    if prod(header.shape) > MAX_PIXELS:
        text = f"frame {header.frame}, shape {header.shape}"
        text = f"{text}, at most {MAX_PIXELS} pixels are allowed"
        raise ProtocolError("too many pixels", text)


def _spectra(header: _Image, part: Buffer) -> Buffer:
    size = plain_size(header.shape, header.type)
    if len(part) != size:
        text = f"frame {header.frame} is lost, its spectra have {len(part)} bytes"
        text = f"{text}, not {size}: {jsontext.excerpt(part)}"
        raise ProtocolError("wrong size", text)
    return part


def _lacks(pending: _Pending) -> str:
    frame = f"frame {pending.header.frame}"
    if pending.spectra is None:
        return f"{frame} is lost: of its three messages only the first came"
    return f"{frame} is kept without counts: the last of its three messages is lost"


def _image(pending: _Pending, scalars: dict[str, np.ndarray]) -> Image:
    header, spectra = pending.header, pending.spectra
    assert spectra is not None
    others = {k: v for k, v in pending.fields.items() if k not in _KNOWN}
    if header.exptime is not None:
        others["exposure_time"] = header.exptime
    return Image(
        number=None,
        frame=header.frame,
        shape=header.shape,
        dtype=PIXEL_TYPES[header.type],
        encoding="none",
        blobs=(spectra,),
        extras=others | scalars,
    )


def encode(message: Message, *, messages: Literal[1, 3] = 1) -> list[list[Buffer]]:
    """Return the messages that a streamer sends, each a list of parts.

    Args:
        message: Arrays among what an image says become its pickle, in their order.
        messages: How many an image takes.

    Raises:
        ValueError: The message has what the protocol has no word for.
    """
    match message:
        case Image():
            parts = _encode_image(message)
            return [parts] if messages == 1 else [[part] for part in parts]
        case Start():
            fields = {"htype": "header", "filename": message.filename}
            return [[jsontext.write(fields | (message.metadata or {}))]]
        case End():
            return [[jsontext.write({"htype": "series_end"})]]


def _encode_image(image: Image) -> list[Buffer]:
    if image.encoding != "none" or len(image.blobs) != 1:
        raise ValueError("an image of an Xspress3 has one blob, not compressed")
    others = dict(extras_of(image))
    names = [key for key, value in others.items() if isinstance(value, np.ndarray)]
    arrays = [others.pop(name) for name in names]
    exposure = {"exptime": others.pop("exposure_time", None)}
    fields = {
        "htype": "image",
        **{key: value for key, value in exposure.items() if value is not None},
        "frame": image.frame,
        "shape": image.shape,
        "type": image.dtype,
        "compression": "none",
        **others,
    }
    return [jsontext.write(fields), image.blobs[0], arrays_pickle.dump(arrays)]
