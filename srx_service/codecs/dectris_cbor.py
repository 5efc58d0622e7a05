"""What DECTRIS stream v2 puts into CBOR: arrays, compressed bytes, the user's own data.

Sources: github.com/dectris/documentation, stream_v2 and cbor; RFC 8746 for typed
arrays. Jungfraujoch sends the same.

| tag | before | meaning |
|---|---|---|
| 40 | [[y, x], typed array] | an array of several axes, slowest first |
| 64-86 | bytes, or tag 56500 | a typed array; the tag tells type and byte order |
| 56500 | [algorithm, bytes of an item, bytes] | compressed bytes |

Algorithms: "bslz4" and "bszstd" are framed as HDF5 filter 32008 wants a chunk, "lz4" as
filter 32004.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from srx_service.codecs import CODECS, cbor, jsontext
from srx_service.codecs.cbor import Tag
from srx_service.codecs.fields import MAX_PIXELS, Shape, number_in
from srx_service.errors import ProtocolError
from srx_service.messages import Buffer

ARRAY = 40
COLUMN_MAJOR = 1040
COMPRESSED = 56500
ALGORITHMS = ("bslz4", "bszstd", "lz4")
TYPES: dict[int, str] = {
    64: "uint8",
    65: ">u2",
    66: ">u4",
    67: ">u8",
    68: "uint8",  # clamped: a note to who would write it
    69: "uint16",
    70: "uint32",
    71: "uint64",
    72: "int8",
    73: ">i2",
    74: ">i4",
    75: ">i8",
    77: "int16",
    78: "int32",
    79: "int64",
    80: ">f2",
    81: ">f4",
    82: ">f8",
    84: "float16",
    85: "float32",
    86: "float64",
}
"""To the name of Image.dtype."""
MAX_TABLE_BYTES = 1 << 29
"""Of all tables of a header, unpacked; two of 16 million pixels need a quarter."""
MAX_LIST = 1 << 14
"""Bytes of an array that becomes a list in metadata; larger ones are left out."""

_PLAIN = frozenset((str, float, bool, type(None)))
_TAGS = {name: tag for tag, name in reversed(TYPES.items())}


class Packed(NamedTuple):
    """An array as it came: as Image has it."""

    shape: tuple[int, ...]
    dtype: str
    encoding: str
    blob: Buffer


def read_message(parts: Sequence[Buffer]) -> dict[str, Any]:
    """Return the map that a message is; its `type` is a text.

    Raises:
        ProtocolError: It is something else; with series and number where these could
            be read all the same.
    """
    if len(parts) != 1:
        text = f"{len(parts)} parts, a message in CBOR has 1"
        raise ProtocolError("part count", text)
    try:
        found = cbor.loads(parts[0])
    except cbor.CborError as error:
        text = f"{error}: {jsontext.excerpt(parts[0])}"
        raise ProtocolError("not CBOR", text, **place_of(error.outermost)) from None
    if type(found) is not dict:
        text = f"no map, but {type(found).__name__}: {jsontext.excerpt(parts[0])}"
        raise ProtocolError("not CBOR", text)
    if type(found.get("type")) is not str:
        text = f"a message has a text `type`: {jsontext.excerpt(parts[0])}"
        raise ProtocolError("unknown type", text, **place_of(found))
    return found


def place_of(fields: dict[Any, Any]) -> dict[str, int | None]:
    """Return series and number as an error tells them, where they can be read."""
    place = {"series": number_in(fields.get("series_id"))}
    if fields.get("type") == "image":
        place["number"] = number_in(fields.get("image_id"))
    return place


def read_array(found: object, what: str, **place: int | None) -> Packed:
    """Return an array of several axes.

    Args:
        found: As `cbor.loads` returned it.
        what: How messages call it.
        place: Series and number for the error, where known.

    Raises:
        ProtocolError: It is none that a file can hold.
    """
    match found:
        case Tag(number=40, value=[axes, pixels]):
            pass
        case Tag(number=1040):
            text = f"{what} is column-major (tag 1040), row-major (tag 40) is read"
            raise ProtocolError("bad array", text, **place)
        case _:
            text = f"{what} is no array of tag 40 [shape, typed array]: {_short(found)}"
            raise ProtocolError("bad array", text, **place)
    try:
        shape = msgspec.convert(axes, Shape)
    except msgspec.ValidationError as error:
        text = f"shape of {what}: {error}: {_short(axes)}"
        raise ProtocolError("bad array", text, **place) from None
    if math.prod(shape) > MAX_PIXELS:
        text = f"{what} of shape {shape}, at most {MAX_PIXELS} pixels are allowed"
        raise ProtocolError("too many pixels", text, **place)
    return Packed(shape, *read_typed(pixels, what, **place))


def read_typed(
    found: object, what: str, **place: int | None
) -> tuple[str, str, Buffer]:
    """Return dtype, encoding and blob of a typed array.

    Raises:
        ProtocolError: It is none, or of a type or compression that is not known.
    """
    if type(found) is not Tag or found.number not in TYPES:
        text = f"{what} is no typed array of tags {min(TYPES)} to {max(TYPES)}"
        raise ProtocolError("unknown type", f"{text}: {_short(found)}", **place)
    dtype, value = TYPES[found.number], found.value
    if type(value) is memoryview:
        return dtype, "none", value
    match value:
        case Tag(number=56500, value=[str(name), int(size), memoryview() as blob]):
            pass
        case _:
            text = f"{what} holds neither bytes nor tag 56500 [algorithm, size, bytes]"
            raise ProtocolError("bad array", f"{text}: {_short(value)}", **place)
    if name not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        text = f"{what} is compressed with {name[:80]!r}, {known} and none are read"
        raise ProtocolError("unknown compression", text, **place)
    if name != "lz4" and size != np.dtype(dtype).itemsize:
        text = f"{what} is shuffled by {size} bytes, {dtype} has another size"
        raise ProtocolError("bad array", text, **place)
    return dtype, name, blob


def read_table(
    found: object, what: str, limit: int = MAX_TABLE_BYTES, **place: int | None
) -> np.ndarray:
    """Return an array of one or several axes, unpacked; plain it shows the message.

    Args:
        found: As `cbor.loads` returned it.
        what: How messages call it.
        limit: Its bytes when unpacked, at most.
        place: Series and number for the error, where known.

    Raises:
        ProtocolError: It is none, too large, or cannot be unpacked.
    """
    if type(found) is Tag and found.number in TYPES:
        dtype, encoding, blob = read_typed(found, what, **place)
        size = len(blob)
        if encoding != "none":  # each frame begins with the size of what is packed
            size = int.from_bytes(blob[:8])
        shape = (size // np.dtype(dtype).itemsize,)
    else:
        shape, dtype, encoding, blob = read_array(found, what, **place)
    if math.prod(shape) * np.dtype(dtype).itemsize > limit:
        text = f"{what} of shape {shape}, at most {limit} bytes are allowed"
        raise ProtocolError("too large", text, **place)
    try:
        return CODECS[encoding].decompress(blob, shape, np.dtype(dtype))
    except ValueError as error:
        raise ProtocolError("bad array", f"{what}: {error}", **place) from error


def as_plain(found: object) -> Any:  # noqa: ANN401 - JSON
    """Return what came in CBOR as JSON and HDF5 can have it.

    Tags are taken off, bytes become `bytes`, keys texts, and small arrays lists; large
    ones become UNSET.
    """
    if type(found) in _PLAIN:
        return found
    if isinstance(found, dict):
        inner = {str(key): as_plain(value) for key, value in found.items()}
        return {k: v for k, v in inner.items() if v is not msgspec.UNSET}
    if isinstance(found, list):
        inner = [as_plain(value) for value in found]
        return [value for value in inner if value is not msgspec.UNSET]
    if isinstance(found, memoryview):
        return found.tobytes() if len(found) <= MAX_LIST else msgspec.UNSET
    if isinstance(found, int) and found < -(1 << 63):
        return float(found)  # beyond what JSON and HDF5 take
    return _plain_tag(found) if isinstance(found, Tag) else found


def _plain_tag(found: Tag) -> object:
    if found.number not in (ARRAY, *TYPES):
        return as_plain(found.value)
    try:
        return read_table(found, "an array", MAX_LIST).tolist()
    except ProtocolError:
        return msgspec.UNSET


def read_user_data(found: object) -> tuple[bytes, dict[str, Any]]:
    """Return the user's own data as bytes, and as fields where it has any.

    Args:
        found: A text or bytes, often of JSON; or a map, or anything else.
    """
    if found is None:
        return b"", {}
    if not isinstance(found, str | memoryview):
        plain = as_plain(found)
        if isinstance(plain, dict):
            return jsontext.write(plain), plain
        return jsontext.write({"user_data": plain}), {}
    raw = found.encode() if isinstance(found, str) else found.tobytes()
    if not raw.lstrip().startswith(b"{"):
        return raw, {}
    try:
        limit = jsontext.MAX_HEADER_BYTES
        return raw, jsontext.read_object(raw, "user_data", limit)
    except ProtocolError:
        return raw, {}


def write_user_data(raw: bytes) -> str | bytes:
    """Return the user's own data as it goes on the wire: text where it is one."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def write_array(packed: Packed) -> object:
    """Return an array for `cbor.dumps`.

    Raises:
        ValueError: There is no tag for its type, or no word for its encoding.
    """
    if packed.dtype not in _TAGS or packed.encoding not in ("none", *ALGORITHMS):
        text = f"{packed.dtype} pixels in {packed.encoding!r}"
        raise ValueError(f"DECTRIS stream v2 has no word for {text}")
    inner: object = bytes(packed.blob)
    if packed.encoding != "none":
        size = 0 if packed.encoding == "lz4" else np.dtype(packed.dtype).itemsize
        inner = cbor.tagged(COMPRESSED, [packed.encoding, size, inner])
    typed = cbor.tagged(_TAGS[packed.dtype], inner)
    return cbor.tagged(ARRAY, [list(packed.shape), typed])


def write_table(table: np.ndarray) -> object:
    """Return a table for `cbor.dumps`; one of a single axis is a typed array alone."""
    name = table.dtype.str if table.dtype.str.startswith(">") else table.dtype.name
    found = write_array(Packed(table.shape, name, "none", table.tobytes()))
    return found if table.ndim > 1 else found.value[1]  # pyright: ignore[reportAttributeAccessIssue]


def _short(found: object) -> str:
    return repr(found)[:200]
