"""Of DECTRIS stream v1."""

import json

from tests.hostile.case import Hostile, Sent, deep, replaced
from tests.wire import dectris_stream1, stins


def _dectris(index: int, **changes) -> list[bytes]:
    """Return a plain DECTRIS image with fields of one part changed."""
    parts = dectris_stream1.image("<", dectris_stream1.PLAIN)
    fields = {**json.loads(parts[index]), **changes}
    kept = {key: value for key, value in fields.items() if value is not None}
    parts[index] = json.dumps(kept).encode()
    return parts


PLAIN = dectris_stream1.image("<", dectris_stream1.PLAIN)
ALL = dectris_stream1.STARTS["all"][0]
SERIES, PLACE = {"series": 14}, {"series": 14, "number": 7}

HOSTILE = {
    "no parts": Hostile("part count", []),
    "junk": Hostile("not JSON", [b"emptyness"]),
    "pixels alone": Hostile("not JSON", [dectris_stream1.PLAIN]),
    "cut JSON": Hostile("not JSON", replaced(PLAIN, 0, PLAIN[0][:-5])),
    "a JSON list": Hostile("not JSON", [b"[]"]),
    "a configuration by itself": Hostile("unknown htype", [ALL[1]]),
    "a table by itself": Hostile("unknown htype", ALL[2:4]),
    "the generic stream": Hostile("unknown htype", [stins.PLAIN, stins.PIXELS]),
    "part 0 of 100 MB": Hostile("too large", lambda: [b" " * 100_000_000]),
    "5,000 lists in one another": Hostile(
        "not JSON", [b'{"htype":"dimage-1.0","x":' + deep(5000) + b"}"]
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
    "part 1 is no JSON": Hostile("not JSON", replaced(PLAIN, 1, b"\xff"), PLACE),
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
    "part 3 is no JSON": Hostile("not JSON", replaced(PLAIN, 3, b""), PLACE),
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
    "configuration is no JSON": Hostile("not JSON", replaced(ALL, 1, b"{"), SERIES),
    "configuration is too deep": Hostile(
        "too deep", replaced(ALL, 1, b'{"x":' + deep(200) + b"}"), SERIES
    ),
    "tables in another order": Hostile(
        "unknown htype", [*ALL[:2], *ALL[4:6], *ALL[2:4], *ALL[6:]], SERIES
    ),
    "table of another size": Hostile("wrong size", replaced(ALL, 3, b"12"), SERIES),
    "table of objects": Hostile(
        "unknown type",
        replaced(ALL, 2, ALL[2].replace(b"float32", b"object")),
        SERIES,
    ),
}

GOOD: list[Sent] = [(0, PLAIN)]
"""A good image."""
