"""Of Jungfraujoch."""

import cbor2
import numpy as np

from tests.hostile.case import Hostile, Sent
from tests.wire import jungfraujoch as wire
from tests.wire.dectris_stream2 import MAGIC, array, tagged

PLACE, SERIES = {"series": 14, "number": 7}, {"series": 14}
INT32 = 78
DATA = {"default": array(wire.PIXELS, INT32)}
PLAIN = wire.image(DATA)


def _sent(**fields) -> list[bytes]:
    """Return an image with fields changed; None takes one away."""
    known = {"type": "image", "series_id": 14, "image_id": 7, "data": DATA}
    kept = {k: v for k, v in {**known, **fields}.items() if v is not None}
    return [MAGIC + cbor2.dumps(kept)]


def _one(value) -> list[bytes]:
    return _sent(data={"default": value})


def _packed(*value) -> list[bytes]:
    return _one(tagged(40, [[10, 6], tagged(INT32, tagged(56500, list(value)))]))


def _bare(**changes) -> tuple[tuple[Sent], list[bytes]]:
    """Return a start that does not tell what bare bytes are, and such an image."""
    known = {"image_size_x": 6, "image_size_y": 10, "image_dtype": "int32"}
    start = wire.old(type="start", **{**known, **changes})
    return ((0, start),), wire.old_image(wire.PLAIN)


def _untold(**changes) -> Hostile:
    after, parts = _bare(**changes)
    return Hostile("no shape", parts, {"number": 7}, after=after)


HOSTILE = {
    "no parts": Hostile("part count", []),
    "two parts": Hostile("part count", [*PLAIN, b""]),
    "junk": Hostile("not CBOR", [b"emptyness"]),
    "pixels alone": Hostile("not CBOR", [wire.PLAIN]),
    "cut in the pixels": Hostile("not CBOR", [PLAIN[0][:-5]], PLACE),
    "bytes behind its end": Hostile("not CBOR", [PLAIN[0] + b"\x00"], PLACE),
    "a list": Hostile("not CBOR", [cbor2.dumps([1, 2])]),
    "a map without end": Hostile("not CBOR", [b"\xbf\x64type\x63end\xff"]),
    "5,000 lists in one another": Hostile("not CBOR", [b"\x81" * 5000 + b"\x00"]),
    "no type": Hostile("unknown type", [cbor2.dumps({"series_id": 14})], SERIES),
    "type is a number": Hostile("unknown type", _sent(type=5), SERIES),
    "a run number that is text": Hostile(
        "bad field", _sent(series_id="14"), {"number": 7}
    ),
    "a negative run number": Hostile("bad field", _sent(series_id=-1), {"number": 7}),
    "a start with a fractional run number": Hostile(
        "bad field", [cbor2.dumps({"type": "start", "series_id": 0.5})]
    ),
    "an end of run -1": Hostile(
        "bad field", [cbor2.dumps({"type": "end", "series_id": -1})]
    ),
    "an image without number": Hostile("bad field", _sent(image_id=None), SERIES),
    "an image number that is text": Hostile("bad field", _sent(image_id="7"), SERIES),
    "an image number of 70 bits": Hostile("bad field", _sent(image_id=2**70), SERIES),
    "no data": Hostile("bad array", _sent(data=None), PLACE),
    "data is a number": Hostile("bad array", _sent(data=5), PLACE),
    "data is a list": Hostile("bad array", _sent(data=[1, 2]), PLACE),
    "no channel": Hostile("bad array", _sent(data={}), PLACE),
    "two channels": Hostile(
        "bad array", _sent(data={**DATA, "other": DATA["default"]}), PLACE
    ),
    "a channel of bytes": Hostile("bad array", _one(wire.PLAIN), PLACE),
    "an array without pixels": Hostile("bad array", _one(tagged(40, [[10]])), PLACE),
    "a column-major array": Hostile(
        "bad array", _one(tagged(1040, [[10, 6], tagged(INT32, wire.PLAIN)])), PLACE
    ),
    "a shape of nothing": Hostile(
        "bad array", _one(array(wire.PIXELS, INT32, shape=(0, 6))), PLACE
    ),
    "too many pixels": Hostile(
        "too many pixels", _one(array(wire.PIXELS, INT32, shape=(40_000,) * 2)), PLACE
    ),
    "an unknown type of pixels": Hostile(
        "unknown type", _one(array(wire.PIXELS, 99)), PLACE
    ),
    "an unknown compression": Hostile(
        "unknown compression", _packed("zip", 4, b""), PLACE
    ),
    "shuffled by another size": Hostile("bad array", _packed("bslz4", 2, b""), PLACE),
    "a mask that is text": Hostile("bad array", wire.start(pixel_mask="no"), SERIES),
    "a mask of objects": Hostile(
        "unknown type",
        wire.start(pixel_mask={"default": array(np.arange(6).reshape(2, 3), 99)}),
        SERIES,
    ),
    "bare bytes before any start": Hostile(
        "no shape",
        wire.old_image(wire.PLAIN),
        {"number": 7},
        after=((0, wire.old(type="start")),),
    ),
    "bare bytes of an unknown type": _untold(image_dtype="object"),
    "bare bytes of a number of rows that is text": _untold(image_size_y="10"),
    "bare bytes of too many pixels": _untold(image_size_x=10**9),
}

GOOD: list[Sent] = [(0, PLAIN)]
"""A good image."""
