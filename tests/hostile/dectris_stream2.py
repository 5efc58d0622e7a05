"""Of DECTRIS stream v2."""

import struct

import cbor2

from tests.hostile.case import Hostile, Sent
from tests.wire import dectris_stream1
from tests.wire import dectris_stream2 as wire
from tests.wire.dectris_stream2 import MAGIC, PIXELS, array, image, start, tagged

SERIES, PLACE = {"series": 14}, {"series": 14, "number": 7}
UINT32 = 70


def _sent(fields: dict) -> list[bytes]:
    """Return an image with fields changed; None takes one away."""
    known = {"type": "image", **wire.IDS, "image_id": 7, "data": DATA}
    kept = {k: v for k, v in {**known, **fields}.items() if v is not None}
    return [MAGIC + cbor2.dumps(kept)]


def _one(value) -> list[bytes]:
    return image({"threshold_1": value})


def _typed(value) -> list[bytes]:
    return _one(tagged(40, [[10, 6], value]))


def _packed(*value) -> list[bytes]:
    return _typed(tagged(UINT32, tagged(56500, list(value))))


def _raw(text: bytes) -> list[bytes]:
    return [MAGIC + text]


def _with_table(table) -> list[bytes]:
    return start(pixel_mask={"threshold_1": table})


DATA = {"threshold_1": array(PIXELS, UINT32)}
PLAIN = _one(DATA["threshold_1"])
BOMB = struct.pack(">QI", 1 << 40, 8192) + bytes(1000)
SMALL = array(PIXELS[:5], UINT32)

HOSTILE = {
    "no parts": Hostile("part count", []),
    "two parts": Hostile("part count", [*PLAIN, b""]),
    "junk": Hostile("not CBOR", [b"emptyness"]),
    "an empty part": Hostile("not CBOR", [b""]),
    "the tag alone": Hostile("not CBOR", [MAGIC]),
    "stream v1": Hostile("not CBOR", dectris_stream1.ENDS["end"][0]),
    "pixels alone": Hostile("not CBOR", [PIXELS.tobytes()]),
    "a list": Hostile("not CBOR", _raw(cbor2.dumps([1, 2]))),
    "a number": Hostile("not CBOR", _raw(b"\x05")),
    "cut in the pixels": Hostile("not CBOR", [PLAIN[0][:-5]], PLACE),
    "cut in the first key": Hostile("not CBOR", [PLAIN[0][:6]]),
    "bytes behind its end": Hostile("not CBOR", [PLAIN[0] + b"\x00"], PLACE),
    "two messages in one": Hostile("not CBOR", [PLAIN[0] * 2], PLACE),
    "a map without end": Hostile("not CBOR", _raw(b"\xbf\x64type\x63end\xff")),
    "bytes in pieces": Hostile("not CBOR", _raw(b"\xa1\x64data\x5f\x41a\xff")),
    "a reserved length": Hostile("not CBOR", _raw(b"\xbc")),
    "a length beyond all bytes": Hostile("not CBOR", _raw(b"\xbb" + b"\xff" * 8)),
    "a text beyond all bytes": Hostile("not CBOR", _raw(b"\xa1\x7b" + b"\xff" * 8)),
    "an unknown simple value": Hostile("not CBOR", _raw(b"\xa1\x64type\xe0")),
    "no UTF-8": Hostile("not CBOR", _raw(b"\xa1\x64type\x63\xff\xfe\xfd")),
    "a key twice": Hostile("not CBOR", _raw(b"\xa2\x64type\x63end\x64type\x63end")),
    "a list as a key": Hostile("not CBOR", _raw(b"\xa1\x80\x01")),
    "bytes as a key": Hostile("not CBOR", _raw(b"\xa1\x41a\x01")),
    "5,000 lists in one another": Hostile("not CBOR", _raw(b"\x81" * 5000 + b"\x00")),
    "5,000 tags in one another": Hostile("not CBOR", [b"\xc6" * 5000 + b"\x80"]),
    "a million items": Hostile("not CBOR", lambda: _raw(cbor2.dumps([0] * 1_000_000))),
    "no type": Hostile("unknown type", _sent({"type": None}), SERIES),
    "type is a number": Hostile("unknown type", _sent({"type": 5}), SERIES),
    "a key that is a number": Hostile(
        "bad field", _raw(b"\xa2\x01\x02\x64type\x63end")
    ),
    "no series": Hostile("bad field", _sent({"series_id": None}), {"number": 7}),
    "series is text": Hostile("bad field", _sent({"series_id": "14"}), {"number": 7}),
    "negative series": Hostile("bad field", _sent({"series_id": -1}), {"number": 7}),
    "no frame": Hostile("bad field", _sent({"image_id": None}), SERIES),
    "negative frame": Hostile("bad field", _sent({"image_id": -1}), SERIES),
    "huge frame": Hostile("bad field", _sent({"image_id": 2**64 - 1}), SERIES),
    "frame is true": Hostile("bad field", _sent({"image_id": True}), SERIES),
    "no data": Hostile("bad field", _sent({"data": None}), PLACE),
    "data is an array": Hostile("bad field", _sent({"data": SMALL}), PLACE),
    "data is a list": Hostile("bad field", _sent({"data": [SMALL]}), PLACE),
    "no channel": Hostile("bad array", image({}), PLACE),
    "a channel is bytes": Hostile("bad array", _one(b"1234"), PLACE),
    "a channel is null": Hostile("bad array", _one(None), PLACE),
    "column-major": Hostile("bad array", _one(tagged(1040, [[10, 6], b""])), PLACE),
    "an array of one item": Hostile("bad array", _one(tagged(40, [[10, 6]])), PLACE),
    "an array of bytes": Hostile("bad array", _one(tagged(40, b"abc")), PLACE),
    "shape without axes": Hostile(
        "bad array", _one(array(PIXELS, 70, shape=[0, 6])), PLACE
    ),
    "shape is text": Hostile(
        "bad array", _one(tagged(40, ["10", tagged(UINT32, b"")])), PLACE
    ),
    "negative shape": Hostile(
        "bad array", _one(array(PIXELS, 70, shape=[-1, 6])), PLACE
    ),
    "too many pixels": Hostile(
        "too many pixels", _one(array(PIXELS, 70, shape=[40_000, 40_000])), PLACE
    ),
    "too many channels": Hostile(
        "too many pixels",
        image({f"{k}": array(PIXELS, 70, shape=[20_000, 20_000]) for k in range(3)}),
        PLACE,
    ),
    "a typed array without tag": Hostile("unknown type", _typed(b"1234"), PLACE),
    "floats of 128 bits": Hostile("unknown type", _typed(tagged(87, b"1234")), PLACE),
    "a reserved tag": Hostile("unknown type", _typed(tagged(76, b"1234")), PLACE),
    "a typed array of a list": Hostile("bad array", _typed(tagged(70, [1, 2])), PLACE),
    "trpx": Hostile("unknown compression", _packed("trpx", 4, b"1234"), PLACE),
    "our own mark as compression": Hostile(
        "unknown compression", _packed("rejected", 4, b"1234"), PLACE
    ),
    "compression without a name": Hostile("bad array", _packed(4, 4, b"12"), PLACE),
    "compressed text": Hostile("bad array", _packed("bslz4", 4, "1234"), PLACE),
    "compressed nothing": Hostile("bad array", _packed("bslz4", 4), PLACE),
    "shuffled by another size": Hostile("bad array", _packed("bslz4", 2, b"1"), PLACE),
    "channels of two shapes": Hostile(
        "channels differ", image({"a": DATA["threshold_1"], "b": SMALL}), PLACE
    ),
    "channels of two types": Hostile(
        "channels differ",
        image({"a": array(PIXELS, 70), "b": array(PIXELS, 78)}),
        PLACE,
    ),
    "channels of two encodings": Hostile(
        "channels differ",
        image({"a": DATA["threshold_1"], "b": array(PIXELS, 70, packed=wire.SHUFFLED)}),
        PLACE,
    ),
    "end without series": Hostile("bad field", _raw(cbor2.dumps({"type": "end"}))),
    "start without series": Hostile("bad field", _raw(cbor2.dumps({"type": "start"}))),
    "a mask cut short": Hostile(
        "bad array", _with_table(array(PIXELS, 70, shape=[11, 6])), SERIES
    ),
    "a mask of objects": Hostile("bad array", _with_table([1, 2]), SERIES),
    "a mask that cannot be unpacked": Hostile(
        "bad array", _with_table(array(PIXELS, 70, packed=("bslz4", 4, b"12"))), SERIES
    ),
    "a mask of a terabyte": Hostile(
        "too large", _with_table(tagged(70, tagged(56500, ["bszstd", 4, BOMB]))), SERIES
    ),
}

GOOD: list[Sent] = [(0, PLAIN)]
"""A good image, its place that of the broken ones."""
