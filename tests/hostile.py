"""Messages that no decoder may take: by protocol, as detectors.yaml calls it, and kind.

Each must raise ProtocolError and nothing else, with the place where that can still be
read; and the next good message must be decoded as if nothing had been.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.wire import dectris_stream1, stins


@dataclass(frozen=True)
class Hostile:
    """One broken message."""

    kind: str
    """As ProtocolError counts it."""
    parts: list[bytes] | Callable[[], list[bytes]]
    """A function where it is too large to be kept."""
    place: dict[str, int] = field(default_factory=dict)
    """Series and number that can still be read."""

    def make(self) -> list[bytes]:
        return self.parts() if callable(self.parts) else self.parts


def _image(*blobs: bytes, **changes) -> list[bytes]:
    """Return a generic image with fields changed; None takes one away."""
    fields = {**json.loads(stins.PLAIN), **changes}
    kept = {key: value for key, value in fields.items() if value is not None}
    return [json.dumps(kept).encode(), *(blobs or (stins.PIXELS,))]


def _deep(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def _with(raw: bytes, field: bytes) -> bytes:
    return raw[:-1] + b"," + field + b"}"


AT = {"number": 26}
HEADER = b'{"htype":"header","msg_number":26,"filename":"/data/a.h5"}'

STINS = {
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
        "not JSON", [_with(stins.PLAIN, b'"x":' + _deep(5000)), stins.PIXELS]
    ),
    "100 lists in one another": Hostile(
        "too deep", [_with(stins.PLAIN, b'"x":' + _deep(100)), stins.PIXELS], AT
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
        "too deep", [HEADER, b'{"x":' + _deep(200) + b"}"], AT
    ),
    "header of three parts": Hostile("part count", [HEADER, b"{}", b"{}"], AT),
    "file name is a number": Hostile(
        "bad field", [b'{"htype":"header","msg_number":26,"filename":5}'], AT
    ),
    "end with pixels": Hostile(
        "part count", [b'{"htype":"series_end","msg_number":26}', stins.PIXELS], AT
    ),
}


def _dectris(index: int, **changes) -> list[bytes]:
    """Return a plain DECTRIS image with fields of one part changed."""
    parts = dectris_stream1.image("<", dectris_stream1.PLAIN)
    fields = {**json.loads(parts[index]), **changes}
    kept = {key: value for key, value in fields.items() if value is not None}
    parts[index] = json.dumps(kept).encode()
    return parts


def _replaced(parts: list[bytes], index: int, part: bytes) -> list[bytes]:
    return [*parts[:index], part, *parts[index + 1 :]]


PLAIN = dectris_stream1.image("<", dectris_stream1.PLAIN)
ALL = dectris_stream1.STARTS["all"][0]
SERIES, PLACE = {"series": 14}, {"series": 14, "number": 7}

DECTRIS = {
    "no parts": Hostile("part count", []),
    "junk": Hostile("not JSON", [b"emptyness"]),
    "pixels alone": Hostile("not JSON", [dectris_stream1.PLAIN]),
    "cut JSON": Hostile("not JSON", _replaced(PLAIN, 0, PLAIN[0][:-5])),
    "a JSON list": Hostile("not JSON", [b"[]"]),
    "a configuration by itself": Hostile("unknown htype", [ALL[1]]),
    "a table by itself": Hostile("unknown htype", ALL[2:4]),
    "the generic stream": Hostile("unknown htype", [stins.PLAIN, stins.PIXELS]),
    "part 0 of 100 MB": Hostile("too large", lambda: [b" " * 100_000_000]),
    "5,000 lists in one another": Hostile(
        "not JSON", [b'{"htype":"dimage-1.0","x":' + _deep(5000) + b"}"]
    ),
    "no series": Hostile("bad field", _dectris(0, series=None), {"number": 7}),
    "series is text": Hostile("bad field", _dectris(0, series="14"), {"number": 7}),
    "negative series": Hostile("bad field", _dectris(0, series=-1), {"number": 7}),
    "no frame": Hostile("bad field", _dectris(0, frame=None), SERIES),
    "negative frame": Hostile("bad field", _dectris(0, frame=-1), SERIES),
    "huge frame": Hostile("bad field", _dectris(0, frame=2**70), SERIES),
    "image of one part": Hostile("part count", PLAIN[:1], PLACE),
    "image without times": Hostile("part count", PLAIN[:3], PLACE),
    "image of six parts": Hostile("part count", [*PLAIN, b"", b""], PLACE),
    "part 1 is no JSON": Hostile("not JSON", _replaced(PLAIN, 1, b"\xff"), PLACE),
    "part 1 of another kind": Hostile("bad field", _dectris(1, htype="x"), PLACE),
    "no shape": Hostile("bad field", _dectris(1, shape=None), PLACE),
    "shape of one axis": Hostile("bad field", _dectris(1, shape=[60]), PLACE),
    "shape of nothing": Hostile("bad field", _dectris(1, shape=[0, 10]), PLACE),
    "too many pixels": Hostile(
        "too many pixels", _dectris(1, shape=[40_000, 40_000]), PLACE
    ),
    "no encoding": Hostile("bad field", _dectris(1, encoding=None), PLACE),
    "unknown encoding": Hostile("bad encoding", _dectris(1, encoding="zip<"), PLACE),
    "no byte order": Hostile("bad encoding", _dectris(1, encoding=""), PLACE),
    "shuffled, not packed": Hostile(
        "bad encoding", _dectris(1, encoding="bs32<"), PLACE
    ),
    "bits unlike the type": Hostile(
        "bad encoding", _dectris(1, encoding="bs8-lz4<"), PLACE
    ),
    "unknown type": Hostile("bad encoding", _dectris(1, type="object"), PLACE),
    "size unlike the blob": Hostile("wrong size", _dectris(1, size=100), PLACE),
    "raw lz4 as long as its pixels, but not lz4": Hostile(
        "bad encoding", _dectris(1, encoding="lz4<"), PLACE
    ),
    "part 3 is no JSON": Hostile("not JSON", _replaced(PLAIN, 3, b""), PLACE),
    "times are text": Hostile("bad field", _dectris(3, start_time="now"), PLACE),
    "end of two parts": Hostile(
        "part count", [b'{"htype":"dseries_end-1.0","series":14}', b""], SERIES
    ),
    "end without series": Hostile("bad field", [b'{"htype":"dseries_end-1.0"}']),
    "unknown header_detail": Hostile(
        "bad field", [dectris_stream1.header("most")], SERIES
    ),
    "header without its configuration": Hostile(
        "part count", [dectris_stream1.header("basic")], SERIES
    ),
    "header of two appendices": Hostile(
        "part count", [dectris_stream1.header("none"), b"a", b"b"], SERIES
    ),
    "header without its tables": Hostile("part count", ALL[:2], SERIES),
    "configuration is no JSON": Hostile("not JSON", _replaced(ALL, 1, b"{"), SERIES),
    "configuration is too deep": Hostile(
        "too deep", _replaced(ALL, 1, b'{"x":' + _deep(200) + b"}"), SERIES
    ),
    "tables in another order": Hostile(
        "unknown htype", [*ALL[:2], *ALL[4:6], *ALL[2:4], *ALL[6:]], SERIES
    ),
    "table of another size": Hostile("wrong size", _replaced(ALL, 3, b"12"), SERIES),
    "table of objects": Hostile(
        "unknown type",
        _replaced(ALL, 2, ALL[2].replace(b"float32", b"object")),
        SERIES,
    ),
}

HOSTILE: dict[str, dict[str, Hostile]] = {"Detector": STINS, "Eiger": DECTRIS}
"""By `class:` in detectors.yaml, then by what is wrong."""
GOOD: dict[str, list[bytes]] = {
    "Detector": [stins.PLAIN, stins.PIXELS],
    "Eiger": PLAIN,
}
"""A good image of each; in the generic stream its place is that of the broken ones."""
