"""Of the generic stream."""

import json

from tests.hostile.case import Hostile, Sent, deep
from tests.wire import stins


def _image(*blobs: bytes, **changes) -> list[bytes]:
    """Return a generic image with fields changed; None takes one away."""
    fields = {**json.loads(stins.PLAIN), **changes}
    kept = {key: value for key, value in fields.items() if value is not None}
    return [json.dumps(kept).encode(), *(blobs or (stins.PIXELS,))]


def _with(raw: bytes, field: bytes) -> bytes:
    return raw[:-1] + b"," + field + b"}"


AT = {"number": 26}
HEADER = b'{"htype":"header","msg_number":26,"filename":"/data/a.h5"}'

HOSTILE = {
    "no parts": Hostile("part count", []),
    "an empty part": Hostile("not JSON", [b""]),
    "junk": Hostile("not JSON", [b"emptyness"]),
    "a pickle": Hostile("not JSON", [b"\x80\x04]\x94(K\x01K\x02e.", stins.PIXELS]),
    "pixels alone": Hostile("not JSON", [stins.PIXELS]),
    "cut JSON": Hostile("not JSON", [stins.PLAIN[:-10], stins.PIXELS]),
    "JSON and more": Hostile("not JSON", [stins.PLAIN + b"}", stins.PIXELS]),
    "a JSON list": Hostile("not JSON", [b"[1,2,3]"]),
    "a JSON number": Hostile("not JSON", [b"17"]),
    "not UTF-8": Hostile(
        "not JSON", [_with(stins.PLAIN, b'"x":"\xff"'), stins.PIXELS], AT
    ),
    "half a surrogate pair": Hostile(
        "not JSON", [_with(stins.PLAIN, b'"x":"\\ud800"'), stins.PIXELS]
    ),
    "a number that no float can be": Hostile(
        "bad field", [_with(stins.PLAIN, b'"x":1e999'), stins.PIXELS], AT
    ),
    "5,000 lists in one another": Hostile(
        "not JSON", [_with(stins.PLAIN, b'"x":' + deep(5000)), stins.PIXELS]
    ),
    "100 lists in one another": Hostile(
        "too deep", [_with(stins.PLAIN, b'"x":' + deep(100)), stins.PIXELS], AT
    ),
    "no htype": Hostile("unknown htype", [b'{"msg_number":26}'], AT),
    "another htype": Hostile("unknown htype", _image(htype="status"), AT),
    "htype is no text": Hostile("unknown htype", _image(htype=[1]), AT),
    "negative msg_number": Hostile("bad field", _image(msg_number=-1)),
    "huge msg_number": Hostile("bad field", _image(msg_number=2**53 + 1)),
    "enormous msg_number": Hostile("bad field", _image(msg_number=10**40)),
    "msg_number is text": Hostile("bad field", _image(msg_number="26")),
    "msg_number is true": Hostile("bad field", _image(msg_number=True)),
    "no frame": Hostile("bad field", _image(frame=None), AT),
    "negative frame": Hostile("bad field", _image(frame=-1), AT),
    "frame beyond 32 bits": Hostile("bad field", _image(frame=2**32), AT),
    "no shape": Hostile("bad field", _image(shape=None), AT),
    "shape without axes": Hostile("bad field", _image(shape=[]), AT),
    "shape of nothing": Hostile("bad field", _image(shape=[0, 4]), AT),
    "negative shape": Hostile("bad field", _image(shape=[-3, -4]), AT),
    "shape is a number": Hostile("bad field", _image(shape=12), AT),
    "overflowing shape": Hostile("bad field", _image(shape=[2**63, 2]), AT),
    "too many pixels": Hostile("too many pixels", _image(shape=[40_000, 40_000]), AT),
    "no type": Hostile("bad field", _image(type=None), AT),
    "unknown type": Hostile("unknown type", _image(type="object"), AT),
    "structured type": Hostile("unknown type", _image(type="u2,u2"), AT),
    "unknown compression": Hostile(
        "unknown compression", _image(compression="zip"), AT
    ),
    "our own mark as compression": Hostile(
        "unknown compression", _image(compression="rejected"), AT
    ),
    "packed pixels without compression": Hostile(
        "unknown compression", _image(b"packed", compression=None), AT
    ),
    "image without pixels": Hostile("part count", [stins.PLAIN], AT),
    "two blobs without chunks": Hostile(
        "part count", _image(stins.PIXELS, stins.PIXELS), AT
    ),
    "chunks that do not fit": Hostile(
        "bad chunks",
        _image(stins.PIXELS, stins.PIXELS, shape=[2, 3, 4], chunks=[1, 4, 4]),
        AT,
    ),
    "frame twice": Hostile(
        "duplicate key", [_with(stins.PLAIN, b'"frame":1'), stins.PIXELS], AT
    ),
    "frame twice, once disguised": Hostile(
        "duplicate key", [_with(stins.PLAIN, rb'"fr\u0061me":1'), stins.PIXELS], AT
    ),
    "part 0 of 1 MiB": Hostile(
        "too large", lambda: [stins.PLAIN[:-1] + b" " * 2**20 + b"}", stins.PIXELS]
    ),
    "part 0 of 100 MB": Hostile(
        "too large", lambda: [b'{"x":"' + b"a" * 100_000_000 + b'"}']
    ),
    "metadata of 100 MB": Hostile(
        "too large", lambda: [HEADER, b'{"x":"' + b"a" * 100_000_000 + b'"}'], AT
    ),
    "metadata is no JSON": Hostile("not JSON", [HEADER, b"\x00\x01"], AT),
    "metadata is a list": Hostile("not JSON", [HEADER, b"[]"], AT),
    "metadata is too deep": Hostile(
        "too deep", [HEADER, b'{"x":' + deep(200) + b"}"], AT
    ),
    "header of three parts": Hostile("part count", [HEADER, b"{}", b"{}"], AT),
    "file name is a number": Hostile(
        "bad field", [b'{"htype":"header","msg_number":26,"filename":5}'], AT
    ),
    "end with pixels": Hostile(
        "part count", [b'{"htype":"series_end","msg_number":26}', stins.PIXELS], AT
    ),
}

GOOD: list[Sent] = [(0, [stins.PLAIN, stins.PIXELS])]
"""A good image, its place that of the broken ones."""
