"""Jungfraujoch, the data acquisition of PSI's JUNGFRAU and EIGER: images in CBOR.

Sources: docs/CBOR.md of gitea.psi.ch/mx/jungfraujoch; for messages of 2023
frame_serialize/README.md of github.com/graeme-winter/jungfraujoch-fork. The tags are
those of DECTRIS stream v2 (`srx_service.codecs.dectris_cbor`). The preview is published
(SUB connects, port 2345) and leaves images out by design; the stream for writers is
pushed. A message is one part: a map in CBOR, `type` first.

| type | keys |
|---|---|
| start | series_id: run number; series_unique_id: run name; number_of_images, image_size_x, image_size_y, image_dtype, error_value, …; pixel_mask and flatfield, by channel or alone; user_data: JSON, `user` in it is what the user gave |
| image | series_id, image_id, data: {"default": an array}, spots, … |
| end | series_id; more, which is not kept |
| calibration, metadata | nothing for us |

Every key may be missing but `data` and the number of an image. In 2023 that was
image_number, `data` were bare bytes, ready to be a chunk of HDF5, there was no series_id
and spots were numbers: x, y, intensity of each. Such bytes need shape and type from the
start before them.
"""  # noqa: E501 - rows of a table

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np

from srx_service.codecs import dectris_cbor
from srx_service.codecs.cbor import Tag
from srx_service.codecs.dectris_cbor import Packed
from srx_service.codecs.dectris_messages import by_label, convert, read_tables, write
from srx_service.codecs.fields import (
    MAX_PIXELS,
    PIXEL_TYPES,
    Frame,
    Number,
    Size,
    number_in,
    plain_size,
)
from srx_service.codecs.jsontext import excerpt
from srx_service.errors import Ignored, ProtocolError
from srx_service.messages import (
    NO_PIXELS,
    Buffer,
    End,
    Image,
    Message,
    Start,
    extras_of,
)

CHANNEL = "default"
"""The one that is not told of in extras."""
TABLES = ("pixel_mask", "flatfield")
SPOT = ("x", "y", "intensity")
"""What the numbers of a spot were in 2023."""
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

_OF_START = {"type", "series_id", "user_data", *TABLES}
_OF_IMAGE = {"type", "series_id", "series_unique_id", "image_id", "image_number"}
_OF_IMAGE |= {"data", "user_data"}


class _Numbered(msgspec.Struct):
    series_id: Number | None = None


class _Bare(msgspec.Struct):
    """What a start tells of bare bytes."""

    image_size_y: Size
    image_size_x: Size
    image_dtype: str


class _Image(_Numbered):
    image_id: Frame | None = None
    image_number: Frame | None = None


class JungfraujochDecoder:
    """Reads what Jungfraujoch publishes as a preview, and pushes to writers."""

    socket: ClassVar[Literal["pull", "sub"]] = "sub"
    ports: ClassVar[tuple[int, ...]] = (2345,)
    order: ClassVar[Literal["counter", "series"]] = "series"
    leaves_out: ClassVar[bool] = True

    def __init__(self) -> None:
        self._bare: _Bare | None = None
        """Of the last start, where it told."""

    def decode(self, parts: Sequence[Buffer], module: int = 0) -> tuple[Message]:
        """Return the one message that these parts are.

        Raises:
            ProtocolError: They are not what the module's table says.
            Ignored: It is a calibration, metadata, or of another type.
        """
        fields = dectris_cbor.read_message(list(parts))
        match fields["type"]:
            case "image":
                return (self._image(fields),)
            case "start":
                self._bare = _bare_in(fields)
                return (_start(fields, convert(fields, _Numbered).series_id),)
            case "end":
                return (End(series=convert(fields, _Numbered).series_id),)
            case "calibration" | "metadata" as kind:
                raise Ignored(kind)
        raise Ignored(f"type {fields['type'][:80]!r}")

    def _image(self, fields: dict[str, Any]) -> Image:
        image = convert(fields, _Image)
        number = image.image_number if image.image_id is None else image.image_id
        if number is None:
            text = "an image has image_id or image_number, this one has neither"
            raise ProtocolError("bad field", text, series=image.series_id)
        place = {"series": image.series_id, "number": number}
        channel, packed = self._pixels(fields.get("data"), place)
        extras = _extras(fields)
        if channel != CHANNEL:
            extras["channels"] = [channel]
        return Image(
            series=image.series_id,
            number=number,
            frame=number,
            shape=packed.shape,
            dtype=packed.dtype,
            encoding=packed.encoding,
            blobs=(packed.blob,),
            extras=extras,
        )

    def _pixels(
        self, found: object, place: dict[str, int | None]
    ) -> tuple[str, Packed]:
        """Return the channel and its array."""
        match found:
            case memoryview():
                return CHANNEL, self._pack(found, place)
            case dict() if len(found) == 1:
                ((channel, array),) = found.items()
                label = f"channel {str(channel)[:80]!r}"
                return str(channel), dectris_cbor.read_array(array, label, **place)
            case Tag():
                return CHANNEL, dectris_cbor.read_array(found, "data", **place)
        what = f"{len(found)} channels" if isinstance(found, dict) else repr(found)
        text = (
            f"data is {what[:80]}; an array is due, in a map of one channel, or bytes"
        )
        raise ProtocolError("bad array", text, **place)

    def _pack(self, blob: memoryview, place: dict[str, int | None]) -> Packed:
        bare = self._bare
        if bare is None:
            text = (
                "image_size_x, image_size_y and image_dtype of a start are due before"
            )
            text = f"{text} bare bytes: {excerpt(blob)}"
            raise ProtocolError("no shape", text, **place)
        shape, dtype = (bare.image_size_y, bare.image_size_x), bare.image_dtype
        return Packed(shape, dtype, _encoding_of(blob, plain_size(shape, dtype)), blob)


def _bare_in(fields: dict[str, Any]) -> _Bare | None:
    try:
        bare = msgspec.convert(fields, _Bare)
    except msgspec.ValidationError:
        return None
    dtype = PIXEL_TYPES.get(bare.image_dtype)
    if dtype is None or bare.image_size_y * bare.image_size_x > MAX_PIXELS:
        return None
    return msgspec.structs.replace(bare, image_dtype=dtype)


def _encoding_of(blob: memoryview, size: int) -> str:
    """Return how bytes hold pixels of a size; both codecs begin with that size."""
    if len(blob) == size:
        return "none"
    return "bszstd" if blob[16:20] == ZSTD_MAGIC else "bslz4"


def _start(fields: dict[str, Any], series: int | None) -> Start:
    appendix, wishes = dectris_cbor.read_user_data(fields.get("user_data"))
    kept = {key: value for key, value in fields.items() if key not in _OF_START}
    return Start(
        series=series,
        number=-1,
        filename=_filename(wishes),
        metadata=dectris_cbor.as_plain(kept) or None,
        tables=_tables(fields, series),
        appendix=appendix,
        announced=number_in(fields.get("number_of_images")),
    )


def _filename(wishes: dict[str, Any]) -> str:
    """Return the name that the user gave; Jungfraujoch puts what he gave in `user`."""
    _, user = dectris_cbor.read_user_data(wishes.get("user"))
    name = wishes.get("filename", user.get("filename"))
    return name if isinstance(name, str) else ""


def _tables(fields: dict[str, Any], series: int | None) -> dict[str, np.ndarray]:
    found = (pair for k in TABLES for pair in by_label(k, fields.get(k), CHANNEL))
    return read_tables((pair for pair in found if pair[1] is not None), series)


def _extras(fields: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in fields.items() if key not in _OF_IMAGE}
    extras = dectris_cbor.as_plain(kept)
    spots = extras.get("spots")
    if isinstance(spots, list):
        extras["spots"] = spots = _told(spots)
        extras.setdefault("spot_count", len(spots))
    appendix, _ = dectris_cbor.read_user_data(fields.get("user_data"))
    if appendix:
        extras["image_appendix"] = appendix
    return extras


def _told(spots: list[Any]) -> list[Any]:
    """Return a map for each spot, where they came as numbers."""
    if len(spots) % 3 or any(isinstance(spot, dict) for spot in spots):
        return spots
    each = zip(spots[::3], spots[1::3], spots[2::3], strict=True)
    return [dict(zip(SPOT, numbers, strict=True)) for numbers in each]


def encode(message: Message) -> list[Buffer]:
    """Return the part of a message, as Jungfraujoch sends it.

    Raises:
        ValueError: The message has what the protocol has no word for.
    """
    match message:
        case Image():
            return _encode_image(message)
        case Start():
            return _encode_start(message)
        case End():
            return write({"type": "end", "series_id": message.series})


def _encode_start(start: Start) -> list[Buffer]:
    tables = {
        name: {CHANNEL: dectris_cbor.write_table(table)}
        for name, table in start.tables.items()
    }
    fields = {"type": "start", "series_id": start.series}
    return write({**fields, **(start.metadata or {}), **tables}, start.appendix)


def _encode_image(image: Image) -> list[Buffer]:
    if image.encoding == NO_PIXELS or len(image.blobs) != 1:
        raise ValueError("an image of Jungfraujoch has pixels, in one blob")
    extras = dict(extras_of(image))
    (channel,) = extras.pop("channels", [CHANNEL])
    if "spots" in extras:
        extras.pop("spot_count", None)  # it is counted anew
    appendix = extras.pop("image_appendix", b"")
    packed = Packed(image.shape, image.dtype, image.encoding, image.blobs[0])
    data = {channel: dectris_cbor.write_array(packed)}
    fields = {"type": "image", "series_id": image.series, "image_id": image.frame}
    return write({**fields, **extras, "data": data}, appendix)
