"""DECTRIS stream v1 ("legacy"), of EIGER, EIGER2 and their relatives.

Source: SIMPLON API reference of DECTRIS, chapter "Stream"; recordings of an EIGER 1M
(2024) and an EIGER 4M (2017, API 1.6). The control unit binds PUSH, PULL connects, port
9999. Part 0 tells the kind.

| message | parts |
|---|---|
| dheader-1.0 | series, header_detail; basic, all: the configuration, JSON; all: flatfield, pixel mask and countrate table, each JSON and blob; then header_appendix, if any |
| dimage-1.0 | series, frame, hash; dimage_d-1.0: shape, type, encoding, size; blob; dconfig-1.0: times; then image_appendix, if any |
| dseries_end-1.0 | series |

All shapes are [x, y], numpy's in reverse. `encoding` is "<" or ">" for plain pixels, and
"lz4<" or "bs32-lz4<" for packed ones. `lz4<` is one raw LZ4 block: it gets the header
of HDF5 filter 32004 here. `hash` is kept but never compared: in recordings it is the MD5 of
nothing that was sent.
"""  # noqa: E501 - rows of a table

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np

from srx_service.codecs import dectris_encoding, dectris_tables, jsontext, lz4
from srx_service.codecs.dectris_tables import TABLES, WireShape
from srx_service.codecs.fields import MAX_PIXELS, Frame, Number, number_in
from srx_service.errors import ProtocolError
from srx_service.messages import (
    NO_PIXELS,
    Buffer,
    End,
    Image,
    Message,
    Start,
    extras_of,
)

HeaderDetail = Literal["none", "basic", "all"]

FORWARDED = (
    "count_time",
    "countrate_correction_applied",
    "countrate_correction_count_cutoff",
    "photon_energy",
    "threshold_energy",
    "flatfield_correction_applied",
    "virtual_pixel_correction_applied",
    "pixel_mask_applied",
    "nimages",
    "ntrigger",
    "trigger_mode",
)
"""First in the metadata, in the order in which live processing has always got them."""

_PARTS: dict[HeaderDetail, int] = {"none": 1, "basic": 2, "all": 8}
Time = int | float | None


class _Header(msgspec.Struct, tag_field="htype", tag="dheader-1.0"):
    series: Number
    header_detail: HeaderDetail


class _Image(msgspec.Struct, tag_field="htype", tag="dimage-1.0"):
    series: Number
    frame: Frame
    hash: str | None = None


class _End(msgspec.Struct, tag_field="htype", tag="dseries_end-1.0"):
    series: Number


class _Pixels(msgspec.Struct, tag_field="htype", tag="dimage_d-1.0"):
    shape: WireShape
    type: str
    encoding: str
    size: Number | None = None


class _Times(msgspec.Struct, tag_field="htype", tag="dconfig-1.0"):
    start_time: Time = None
    stop_time: Time = None
    real_time: Time = None


_read_first = msgspec.json.Decoder(_Header | _Image | _End).decode
_read_pixels = msgspec.json.Decoder(_Pixels).decode
_read_times = msgspec.json.Decoder(_Times).decode


class DectrisStream1Decoder:
    """Reads what a DECTRIS control unit sends with `format` "legacy"."""

    socket: ClassVar[Literal["pull", "sub"]] = "pull"
    ports: ClassVar[tuple[int, ...]] = (9999,)
    order: ClassVar[Literal["counter", "series"]] = "series"

    def decode(self, parts: Sequence[Buffer], module: int = 0) -> tuple[Message]:
        """Return the one message that these parts are.

        Raises:
            ProtocolError: They are not what the module's table says.
        """
        if not parts:
            raise ProtocolError("part count", "a message without parts")
        raw = jsontext.bounded(parts[0], "part 0", jsontext.MAX_HEADER_BYTES)
        try:
            first = _read_first(raw)
        except (ValueError, RecursionError) as error:
            raise _refusal(raw, error) from error
        if isinstance(first, _Image):
            return (_image(first, parts),)
        if isinstance(first, _Header):
            return (_start(first, parts),)
        if len(parts) != 1:
            text = f"{len(parts)} parts, a dseries_end has 1"
            raise ProtocolError("part count", text, series=first.series)
        return (End(series=first.series),)


def _refusal(raw: bytes, error: Exception) -> ProtocolError:
    """Return what is wrong with part 0."""
    fields = jsontext.read_object(raw, "part 0", jsontext.MAX_HEADER_BYTES)
    place = {"series": number_in(fields.get("series"))}
    htype = fields.get("htype")
    if htype == "dimage-1.0":
        place["number"] = number_in(fields.get("frame"))
    if htype in ("dheader-1.0", "dimage-1.0", "dseries_end-1.0"):
        text = f"{error}: {jsontext.excerpt(raw)}"
        return ProtocolError("bad field", text, **place)
    text = f"dheader-1.0, dimage-1.0 and dseries_end-1.0: {jsontext.excerpt(raw)}"
    return ProtocolError("unknown htype", f"known are {text}", **place)


def _start(first: _Header, parts: Sequence[Buffer]) -> Start:
    count = _PARTS[first.header_detail]
    if len(parts) not in (count, count + 1):
        text = f"header_detail {first.header_detail!r} has {count}, or one more"
        text = f"{len(parts)} parts, {text} with header_appendix"
        raise ProtocolError("part count", text, series=first.series)
    config, tables = None, {}
    if count > 1:
        limit = jsontext.MAX_METADATA_BYTES
        config = jsontext.read_object(parts[1], "part 1", limit, series=first.series)
    for k, name in enumerate(TABLES if count > 2 else ()):
        tables[name] = dectris_tables.read(
            name, parts[2 * k + 2], parts[2 * k + 3], series=first.series
        )
    appendix = bytes(parts[count]) if len(parts) > count else b""
    wishes = _wishes(appendix)
    filename, turns = wishes.get("filename"), wishes.get("rotate")
    turns = turns if type(turns) is int else 0
    return Start(
        series=first.series,
        number=-1,
        filename=filename if isinstance(filename, str) else "",
        metadata=None if config is None else _metadata(config, turns),
        tables=tables,
        appendix=appendix,
        announced=None if config is None else _announced(config),
        rotate=turns % 4,
    )


def _wishes(appendix: bytes) -> dict[str, Any]:
    """Return what a user asks of the receiver; any other text may stand there."""
    if not appendix.lstrip().startswith(b"{"):
        return {}
    limit = jsontext.MAX_HEADER_BYTES
    try:
        return jsontext.read_object(appendix, "header_appendix", limit)
    except ProtocolError:
        return {}


def _metadata(config: dict[str, Any], turns: int) -> dict[str, Any]:
    first = {key: config[key] for key in FORWARDED if key in config}
    return {**first, "rotate": turns, **(config | {"rotate": turns})}


def _announced(config: dict[str, Any]) -> int | None:
    nimages = number_in(config.get("nimages"))
    ntrigger = number_in(config.get("ntrigger"))
    if ntrigger is not None and config.get("trigger_mode") in ("inte", "exte"):
        return ntrigger  # each enable is one exposure, nimages does not count
    if nimages is None or ntrigger is None:
        return None
    return nimages * ntrigger


def _image(first: _Image, parts: Sequence[Buffer]) -> Image:
    place = {"series": first.series, "number": first.frame}
    if len(parts) not in (4, 5):
        text = f"{len(parts)} parts, a dimage has 4, or 5 with image_appendix"
        raise ProtocolError("part count", text, **place)
    pixels = jsontext.read_typed(_read_pixels, parts[1], "part 1", **place)
    times = jsontext.read_typed(_read_times, parts[3], "part 3", **place)
    encoding, dtype, blob = _blob(pixels, parts[2], place)
    extras: dict[str, Any] = {"hash": first.hash, **msgspec.structs.asdict(times)}
    extras = {key: value for key, value in extras.items() if value is not None}
    if len(parts) == 5 and len(parts[4]):
        extras["image_appendix"] = bytes(parts[4])
    return Image(
        series=first.series,
        number=first.frame,
        frame=first.frame,
        shape=pixels.shape[::-1],
        dtype=dtype,
        encoding=encoding,
        blobs=(blob,),
        extras=extras,
    )


def _blob(
    pixels: _Pixels, blob: Buffer, place: dict[str, int]
) -> tuple[str, str, Buffer]:
    """Return encoding and dtype, and the blob as a chunk of HDF5."""
    count = math.prod(pixels.shape)
    if count > MAX_PIXELS:
        text = f"shape {pixels.shape}, at most {MAX_PIXELS} pixels are allowed"
        raise ProtocolError("too many pixels", text, **place)
    if pixels.size not in (None, len(blob)):
        text = f"{len(blob)} bytes came, size tells {pixels.size}"
        raise ProtocolError("wrong size", text, **place)
    try:
        encoding, dtype = dectris_encoding.read(pixels.encoding, pixels.type)
        if encoding == "lz4":
            blob = lz4.frame_block(blob, count * np.dtype(dtype).itemsize)
    except ValueError as error:
        raise ProtocolError("bad encoding", str(error), **place) from error
    return encoding, dtype, blob


def encode(
    message: Message, *, header_detail: HeaderDetail | None = None
) -> list[Buffer]:
    """Return the parts of a message, as a control unit sends it.

    Args:
        message: Metadata are the configuration, without the `rotate` of the appendix.
        header_detail: Of a Start; by default all that it holds.

    Raises:
        ValueError: The message has what the protocol has no word for.
    """
    match message:
        case Image():
            return _encode_image(message)
        case Start():
            return _encode_start(message, header_detail)
        case End():
            fields = {"htype": "dseries_end-1.0", "series": message.series}
            return [jsontext.write(fields)]


def _encode_start(start: Start, detail: HeaderDetail | None) -> list[Buffer]:
    if detail is None:
        basic = "none" if start.metadata is None else "basic"
        detail = "all" if start.tables else basic
    first = {"htype": "dheader-1.0", "series": start.series, "header_detail": detail}
    parts: list[Buffer] = [jsontext.write(first)]
    if detail != "none":
        config = dict(start.metadata or {})
        config.pop("rotate", None)
        parts.append(jsontext.write(config))
    if detail == "all":
        for name in TABLES:
            parts += dectris_tables.write(name, start.tables)
    return [*parts, start.appendix] if start.appendix else parts


def _encode_image(image: Image) -> list[Buffer]:
    if image.encoding == NO_PIXELS or len(image.blobs) != 1:
        raise ValueError("an image of stream v1 has one blob")
    encoding, name = dectris_encoding.write(image.encoding, image.dtype)
    extras, (blob,) = extras_of(image), image.blobs
    if image.encoding == "lz4":
        blob = lz4.raw_block(blob)
    first = {
        "htype": "dimage-1.0",
        "series": image.series,
        "frame": image.frame,
        "hash": extras.get("hash", ""),
    }
    pixels = {
        "htype": "dimage_d-1.0",
        "shape": image.shape[::-1],
        "type": name,
        "encoding": encoding,
        "size": len(blob),
    }
    times = {key: extras.get(key, 0) for key in _Times.__struct_fields__}
    times = {"htype": "dconfig-1.0", **times}
    parts = [jsontext.write(first), jsontext.write(pixels), blob, jsontext.write(times)]
    appendix = extras.get("image_appendix")
    return [*parts, appendix] if appendix else parts
