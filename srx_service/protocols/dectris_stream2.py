"""DECTRIS stream v2 ("cbor"), of PILATUS4, and of EIGER and EIGER2 since SIMPLON 2022.1.

Sources: github.com/dectris/documentation, stream_v2; recordings of an EIGER 1M (2024).
The control unit binds PUSH, PULL connects, port 31001. A message is one part: a map in
CBOR (`srx_service.codecs.dectris_cbor` has the tags), `type` first.

| type | keys |
|---|---|
| start | series_id, series_unique_id, number_of_images, channels, threshold_energy by channel, count_time, …; header_detail "all": pixel_mask and flatfield by channel, countrate_correction_lookup_table; user_data: header_appendix, any value |
| image | series_id, image_id, data: an array by channel; start_time, stop_time, real_time: [ticks, ticks a second]; series_date; user_data: image_appendix |
| end | series_id, series_unique_id |

Every key but series_id, image_id and data is optional, and more may come. Shapes are
[y, x], as numpy has them. A detector may have any of the channels threshold_1,
threshold_2, … and difference. An image of several is one of shape (channels, y, x) here,
a blob for each.
"""  # noqa: E501 - rows of a table

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np

from srx_service.codecs import chunk_shape, dectris_cbor
from srx_service.codecs.cbor_templates import ImageTemplate
from srx_service.codecs.dectris_cbor import Packed
from srx_service.codecs.dectris_messages import by_label, convert, read_tables, write
from srx_service.codecs.fields import MAX_PIXELS, Frame, Number, number_in
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

FORWARDED = (
    "count_time",
    "countrate_correction_enabled",
    "flatfield_enabled",
    "virtual_pixel_interpolation_enabled",
    "pixel_mask_enabled",
    "number_of_images",
)
"""First in the metadata, in the order in which live processing has always got them;
after them the energy of each threshold, by its name."""
TABLES = {
    "flatfield": "flatfield",
    "pixel_mask": "pixel_mask",
    "countrate_correction_lookup_table": "countrate_table",
}
"""To the name in Start.tables, `_<channel>` behind it where there are several."""
CHANNEL = "threshold_1"
"""The one that is not told of in extras where there is no other."""
MAX_MISSES = 8
"""After so many, one image in 2**8 is learned from, which takes a millisecond."""

_OF_START = {"type", "series_id", "user_data", *TABLES}
_OF_IMAGE = {"type", "series_id", "series_unique_id", "image_id", "data", "user_data"}


class _Numbered(msgspec.Struct):
    series_id: Number


class _Image(_Numbered):
    image_id: Frame
    data: dict[str, Any]


class DectrisStream2Decoder:
    """Reads what a DECTRIS control unit sends with `format` "cbor"."""

    socket: ClassVar[Literal["pull", "sub"]] = "pull"
    ports: ClassVar[tuple[int, ...]] = (31001,)
    order: ClassVar[Literal["counter", "series"]] = "series"

    def __init__(self) -> None:
        self._template: ImageTemplate | None = None
        self._misses = self._rest = 0
        """Images learned from since one was like that, and how many are let by."""

    def decode(self, parts: Sequence[Buffer], module: int = 0) -> tuple[Message]:
        """Return the one message that these parts are.

        Raises:
            ProtocolError: They are not what the module's table says.
            Ignored: It is a message of another type.
        """
        known = self._like_one_before(parts)
        if known is not None:
            return (known,)
        fields = dectris_cbor.read_message(parts)
        match fields["type"]:
            case "image":
                image = _image(fields)
                self._learn_from(parts[0], image)
                return (image,)
            case "start":
                return (_start(fields),)
            case "end":
                return (End(series=convert(fields, _Numbered).series_id),)
        raise Ignored(f"type {fields['type'][:80]!r}")

    def _like_one_before(self, parts: Sequence[Buffer]) -> Image | None:
        if self._template is None or len(parts) != 1:
            return None
        image = self._template.read(parts[0])
        if image is not None:
            self._misses = self._rest = 0
        return image

    def _learn_from(self, message: Buffer, image: Image) -> None:
        """Let the messages to come be compared with this one."""
        if self._rest:
            self._rest -= 1
            return
        self._rest = (1 << self._misses) - 1
        self._misses = min(MAX_MISSES, self._misses + 1)
        try:
            self._template = ImageTemplate(message, image, "image_id")
        except ValueError:
            self._template = None


def _start(fields: dict[str, Any]) -> Start:
    series = convert(fields, _Numbered).series_id
    appendix, wishes = dectris_cbor.read_user_data(fields.get("user_data"))
    filename, turns = wishes.get("filename"), wishes.get("rotate")
    turns = turns if type(turns) is int else 0
    return Start(
        series=series,
        number=-1,
        filename=filename if isinstance(filename, str) else "",
        metadata=_metadata(fields, turns),
        tables=_tables(fields, series),
        appendix=appendix,
        announced=number_in(fields.get("number_of_images")),
        rotate=turns % 4,
    )


def _metadata(fields: dict[str, Any], turns: int) -> dict[str, Any]:
    kept = {key: value for key, value in fields.items() if key not in _OF_START}
    found = dectris_cbor.as_plain(kept)
    first = {key: found[key] for key in FORWARDED if key in found}
    turned = {"rotate": turns} if turns else {}
    return {**first, **_thresholds(found), **turned, **found}


def _thresholds(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the energies that stand beside `threshold_energy` once more."""
    found = metadata.get("threshold_energy")
    return found if isinstance(found, dict) else {}


def _tables(fields: dict[str, Any], series: int) -> dict[str, np.ndarray]:
    found = {name: fields.get(key) for key, name in TABLES.items()}
    there = {name: tables for name, tables in found.items() if tables is not None}
    labelled = (by_label(name, tables, CHANNEL) for name, tables in there.items())
    return read_tables(chain.from_iterable(labelled), series)


def _image(fields: dict[str, Any]) -> Image:
    image = convert(fields, _Image)
    place = {"series": image.series_id, "number": image.image_id}
    shape, first, blobs = _pixels(image.data, place)
    extras = {key: value for key, value in fields.items() if key not in _OF_IMAGE}
    extras = dectris_cbor.as_plain(extras)
    if [*image.data] != [CHANNEL]:
        extras["channels"] = [*image.data]
    appendix, _ = dectris_cbor.read_user_data(fields.get("user_data"))
    if appendix:
        extras["image_appendix"] = appendix
    return Image(
        series=image.series_id,
        number=image.image_id,
        frame=image.image_id,
        shape=shape,
        dtype=first.dtype,
        encoding=first.encoding,
        blobs=blobs,
        extras=extras,
    )


def _pixels(
    data: dict[str, Any], place: dict[str, int]
) -> tuple[tuple[int, ...], Packed, tuple[Buffer, ...]]:
    """Return the shape of all channels together, the first one, and the blobs."""
    channels = [
        dectris_cbor.read_array(found, f"channel {name[:80]!r}", **place)
        for name, found in data.items()
    ]
    if not channels:
        text = "data holds no channel, one at least is needed"
        raise ProtocolError("bad array", text, **place)
    first, blobs = channels[0], tuple(channel.blob for channel in channels)
    if len(channels) == 1:
        return first.shape, first, blobs
    for name, channel in zip(data, channels, strict=True):
        if channel[:3] != first[:3]:
            text = f"channel {name[:80]!r} has {channel[:3]}, the first {first[:3]}"
            text = f"{text}; all must have the same shape, type and compression"
            raise ProtocolError("channels differ", text, **place)
    if len(channels) * math.prod(first.shape) > MAX_PIXELS:
        text = f"{len(channels)} channels of {first.shape}, {MAX_PIXELS} are allowed"
        raise ProtocolError("too many pixels", text, **place)
    return (len(channels), *first.shape), first, blobs


def encode(message: Message, *, with_tables: bool = True) -> list[Buffer]:
    """Return the part of a message, as a control unit sends it.

    Args:
        message: Metadata are the keys of a start, as they are decoded.
        with_tables: False: as with header_detail "basic".

    Raises:
        ValueError: The message has what the protocol has no word for.
    """
    match message:
        case Image():
            return _encode_image(message)
        case Start():
            return _encode_start(message, with_tables)
        case End():
            return write({"type": "end", "series_id": message.series})


def _encode_start(start: Start, with_tables: bool) -> list[Buffer]:
    metadata = start.metadata or {}
    channel = (metadata.get("channels") or [CHANNEL])[0]
    derived = {"rotate", *_thresholds(metadata)}
    kept = {key: value for key, value in metadata.items() if key not in derived}
    fields = {"type": "start", "series_id": start.series, **kept}
    for key, name in TABLES.items() if with_tables else ():
        found = {
            label.removeprefix(name).removeprefix("_") or channel: table
            for label, table in start.tables.items()
            if label.startswith(name)
        }
        tables = {k: dectris_cbor.write_table(table) for k, table in found.items()}
        if tables:
            is_one = key.startswith("countrate") and len(tables) == 1
            fields[key] = next(iter(tables.values())) if is_one else tables
    return write(fields, start.appendix)


def _encode_image(image: Image) -> list[Buffer]:
    if image.encoding == NO_PIXELS:
        raise ValueError("an image of stream v2 has pixels")
    extras = dict(extras_of(image))
    names = extras.pop("channels", [CHANNEL])
    shape = image.shape if len(names) == 1 else chunk_shape(image)[1:]
    appendix = extras.pop("image_appendix", b"")
    data = {
        name: dectris_cbor.write_array(Packed(shape, image.dtype, image.encoding, blob))
        for name, blob in zip(names, image.blobs, strict=True)
    }
    fields = {"type": "image", "series_id": image.series, "image_id": image.frame}
    return write({**fields, **extras, "data": data}, appendix)
