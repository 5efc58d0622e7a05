"""The generic stream, which is also the secondary port's: JSON, then blobs.

Source: README of github.com/maxiv-science/streaming-receiver, and recordings made at
MAX IV. PUSH binds, PULL connects, port 9999.

| message | part 0, JSON | further parts |
|---|---|---|
| header | htype "header", filename, msg_number | optional: JSON of metadata, nested |
| image | htype "image", frame, shape, type, compression, msg_number, … | pixels |
| end | htype "series_end", msg_number | none |

`msg_number` counts all messages over the life of the source, +1 each; old sources send
none. `frame` is the detector's index. `shape` is in numpy's order. `type` is numpy's
name or "mono12p". `compression` is "none" (also ""), "bslz4", "lz4", "bszstd" or "cbf";
where it is missing, a blob of the plain size is "none" and any other is refused.
Several blobs need `chunks`: the shape of one, all follow one another along the first
axis. A blob of the wrong size is no protocol error: it is shown and forwarded, the
writer refuses it.
"""

from collections.abc import Sequence
from math import prod
from typing import ClassVar, Literal

import msgspec

from srx_service.codecs import jsontext, stins_text
from srx_service.codecs.fields import MAX_PIXELS, number_in, plain_size
from srx_service.codecs.jsontext import DIGITS, MAX_HEADER_BYTES
from srx_service.codecs.stins_text import (
    ENCODINGS,
    TYPES,
    EndHeader,
    Header,
    ImageHeader,
)
from srx_service.codecs.templates import ImageRun
from srx_service.errors import ProtocolError
from srx_service.messages import (
    IMAGE_FIELDS,
    NO_PIXELS,
    Buffer,
    End,
    Image,
    Message,
    Start,
)

_FIXED = frozenset({b"htype", b"shape", b"type", b"compression", b"discard", b"chunks"})
"""Fields of an image header whose numbers are no counters: the others may change."""
MAX_MISSES = 8
"""After so many, a batch in 2**8 is learned from, at 0.3 ms each."""


class StinsDecoder:
    """Reads the generic stream: detectors that push JSON and pixels."""

    socket: ClassVar[Literal["pull", "sub"]] = "pull"
    ports: ClassVar[tuple[int, ...]] = (9999,)
    order: ClassVar[Literal["counter", "series"]] = "counter"

    def __init__(self) -> None:
        self._layouts = jsontext.Layouts()
        self._known = self._layouts.known
        self._run: ImageRun | None = None
        self._misses = self._rest = 0
        """Runs learned in vain since one was not, and batches until one more is."""

    def decode(self, parts: Sequence[Buffer], module: int = 0) -> tuple[Message]:
        """Return the one message that these parts are.

        Raises:
            ProtocolError: They are not what the module's table says.
        """
        if not parts:
            raise ProtocolError("part count", "a message without parts")
        raw = parts[0]
        if type(raw) is not bytes or len(raw) > MAX_HEADER_BYTES:
            raw = jsontext.bounded(raw, "part 0", MAX_HEADER_BYTES)
        try:
            header = stins_text.read(raw)
        except (ValueError, RecursionError) as error:
            return (_read_odd(raw, parts, error),)
        if type(header) is ImageHeader:
            if raw.translate(None, DIGITS) not in self._known:
                self._layouts.learn(raw, "part 0", number=header.msg_number)
            return (_image(header, parts, raw),)
        jsontext.examine(raw, "part 0", number=header.msg_number)
        return (_start_or_end(header, parts),)

    def decode_run(
        self, messages: Sequence[tuple[Sequence[Buffer], int]]
    ) -> list[Image] | None:
        """Return the images that these are, if all are like one before; else None."""
        images = None if self._run is None else self._run.read(messages)
        if images is not None:
            self._misses = 0
        elif self._rest:
            self._rest -= 1
            self._run = None
        else:
            self._run = self._begin_run(messages[-1][0])
            if self._run is not None:
                self._rest = (1 << self._misses) - 1
                self._misses = min(MAX_MISSES, self._misses + 1)
        return images

    @property
    def beginning(self) -> bytes:
        """How the first part of each image begins, and no other; b"": not known."""
        return b"" if self._run is None else self._run.beginning

    def _begin_run(self, parts: Sequence[Buffer]) -> ImageRun | None:
        """Let the messages to come be compared with this one."""
        try:
            (image,) = self.decode(parts)
            raw = bytes(parts[0])
            header = stins_text.read(raw)
            # where no compression is told, each blob's size decides
            if len(parts) == 2 and type(image) is Image and header.compression:
                return ImageRun(raw, image, _FIXED)
        except (ProtocolError, ValueError, RecursionError):
            pass
        return None


def _image(header: ImageHeader, parts: Sequence[Buffer], extras: bytes | dict) -> Image:
    encoding = ENCODINGS.get(header.compression)  # pyright: ignore[reportArgumentType]
    dtype = TYPES.get(header.type)
    if dtype is None or prod(header.shape) > MAX_PIXELS:
        raise _bad_pixels(header)
    if encoding is None:
        encoding = _guess_encoding(header, parts)
    if len(parts) == 2:
        blobs = (parts[1],)
    else:
        blobs = _several(header, parts)
    return Image(
        number=header.msg_number,
        frame=header.frame,
        shape=header.shape,
        dtype=dtype,
        encoding=encoding,
        blobs=blobs,
        extras=extras,
        discard=header.discard is True,
    )


def _start_or_end(header: Header | EndHeader, parts: Sequence[Buffer]) -> Start | End:
    number = header.msg_number
    is_end = type(header) is EndHeader
    if len(parts) > (1 if is_end else 2):
        allowed = "a series_end has 1" if is_end else "a header has 1 or 2"
        text = f"{len(parts)} parts, {allowed}"
        raise ProtocolError("part count", text, number=number)
    if isinstance(header, EndHeader):
        return End(number=number)
    metadata = None
    if len(parts) == 2:
        limit = jsontext.MAX_METADATA_BYTES
        metadata = jsontext.read_object(parts[1], "metadata", limit, number=number)
    return Start(
        number=number,
        filename=header.filename or "",
        save=metadata is None or bool(metadata.get("save_raw", True)),
        metadata=metadata,
    )


def _several(header: ImageHeader, parts: Sequence[Buffer]) -> tuple[Buffer, ...]:
    """Return the blobs of an image that has not just one."""
    count = len(parts) - 1
    if not count or header.chunks is None:
        text = f"{count} blobs; an image has one, or several and `chunks`"
        raise ProtocolError("part count", text, number=header.msg_number)
    rows, *rest = header.shape
    if rows % count or header.chunks != [rows // count, *rest]:
        text = f"{count} blobs, which `chunks` does not make shape {header.shape}"
        raise ProtocolError("bad chunks", text, number=header.msg_number)
    return tuple(parts[1:])


def _guess_encoding(header: ImageHeader, parts: Sequence[Buffer]) -> str:
    """Return "none" for a blob of the plain size that names no compression."""
    if header.compression is not None:
        text = f"compression {header.compression[:80]!r}"
    elif len(parts) == 2 and len(parts[1]) == plain_size(header.shape, header.type):
        return "none"
    else:
        text = "no compression, and a blob that is not of the plain size"
    text = f"{text}; known are {', '.join(sorted(ENCODINGS))}"
    raise ProtocolError("unknown compression", text, number=header.msg_number)


def _bad_pixels(header: ImageHeader) -> ProtocolError:
    number = header.msg_number
    if header.type not in TYPES:
        text = f"type {header.type[:80]!r}; numpy's names and mono12p are known"
        return ProtocolError("unknown type", text, number=number)
    text = f"shape {header.shape}, at most {MAX_PIXELS} pixels are allowed"
    return ProtocolError("too many pixels", text, number=number)


def _read_odd(raw: bytes, parts: Sequence[Buffer], error: Exception) -> Message:
    """Read a part 0 that holds NaN, or tell what is wrong with it."""
    fields = jsontext.read_object(raw, "part 0", MAX_HEADER_BYTES)
    number = number_in(fields.get("msg_number"))
    if fields.get("htype") not in ("header", "image", "series_end"):
        text = f"header, image and series_end are known: {jsontext.excerpt(raw)}"
        raise ProtocolError("unknown htype", text, number=number)
    try:
        header = msgspec.convert(fields, Header | ImageHeader | EndHeader)
    except msgspec.ValidationError as reason:
        text = f"{reason}: {jsontext.excerpt(raw)}"
        raise ProtocolError("bad field", text, number=number) from error
    jsontext.examine(raw, "part 0", number=number)
    if not isinstance(header, ImageHeader):
        return _start_or_end(header, parts)
    extras = {key: value for key, value in fields.items() if key not in IMAGE_FIELDS}
    return _image(header, parts, extras)


def encode(
    message: Message, number: int, exposure_s: float | None = None
) -> list[Buffer]:
    """Return the parts of a message, as the secondary port sends it.

    Args:
        message: An image keeps all that its source said of it. The source's own JSON
            text is sent on where nothing in it has changed but the number.
        number: Becomes msg_number.
        exposure_s: Added to an image that has no exposure_time of its own.

    Raises:
        ValueError: An image without pixels cannot be sent.
    """
    match message:
        case Image():
            return _encode_image(message, number, exposure_s)
        case Start():
            name = message.filename
            fields = [{"htype": "header", "msg_number": number, "filename": name}]
            if message.metadata is not None:
                fields.append(message.metadata)
            return [jsontext.write(part) for part in fields]
        case End():
            return [jsontext.write({"htype": "series_end", "msg_number": number})]


def _encode_image(image: Image, number: int, exposure_s: float | None) -> list[Buffer]:
    if image.encoding == NO_PIXELS:
        raise ValueError("an image without pixels cannot be sent")
    text = None
    if type(image.extras) is bytes and len(image.blobs) == 1:
        text = stins_text.renumbered(image.extras, image, number, exposure_s)
    return [text or stins_text.written(image, number, exposure_s), *image.blobs]
