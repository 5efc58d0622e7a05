"""Of PSI Eiger."""

from tests.hostile.case import Hostile, Sent, deep
from tests.wire import stins
from tests.wire.psi_eiger import DUMMY, ENDS, LOWER, port, text

PIXELS = LOWER.tobytes()


def _bad(**changes) -> Hostile:
    return Hostile("bad field", port(**changes))


def _begun(index: int) -> tuple[Sent, ...]:
    """Return what one port sends first of an acquisition."""
    return (*ENDS, (0, port(fileIndex=index)))


HOSTILE = {
    "no parts": Hostile("part count", []),
    "junk": Hostile("not JSON", [b"emptyness"]),
    "pixels alone": Hostile("not JSON", [PIXELS]),
    "pixels first": Hostile("not JSON", port()[::-1]),
    "cut JSON": Hostile("not JSON", [port()[0][:-9], PIXELS]),
    "a JSON list": Hostile("not JSON", [b"[]", PIXELS]),
    "nothing in it": Hostile("bad field", [b"{}", PIXELS]),
    "the generic stream": Hostile("bad field", [stins.PLAIN, stins.PIXELS]),
    "part 0 of 100 MB": Hostile("too large", lambda: [b" " * 100_000_000, PIXELS]),
    "5,000 lists in one another": Hostile(
        "not JSON", [b'{"data":1,"x":' + deep(5000) + b"}", PIXELS]
    ),
    "too deep": Hostile("too deep", [b'{"data":1,"x":' + deep(200) + b"}", PIXELS]),
    "no pixels": Hostile("part count", port()[:1]),
    "pixels twice": Hostile("part count", [*port(), PIXELS]),
    "an end with pixels": Hostile("part count", [*DUMMY, PIXELS]),
    "no frameIndex": _bad(frameIndex=...),
    "negative frameIndex": _bad(frameIndex=-1),
    "huge frameIndex": _bad(frameIndex=2**33),
    "no frameNumber": _bad(frameNumber=...),
    "frameNumber is text": _bad(frameNumber="1"),
    "frameNumber beyond all counters": _bad(frameNumber=2**70),
    "no detshape": _bad(detshape=...),
    "detshape of one axis": _bad(detshape=[2]),
    "detshape of nothing": _bad(detshape=[0, 2]),
    "negative detshape": _bad(detshape=[1, -2]),
    "huge detshape": Hostile("too many ports", port(detshape=[65535, 65535])),
    "shape of three axes": _bad(shape=[6, 4, 1]),
    "shape of nothing": _bad(shape=[6, 0]),
    "too many pixels": Hostile("too many pixels", port(shape=[40_000, 40_000])),
    "negative row": _bad(row=-1),
    "row outside detshape": Hostile("bad place", port(row=2)),
    "column outside detshape": Hostile("bad place", port(column=1)),
    "fname is a list": _bad(fname=[]),
    "fname is null": _bad(fname=None),
    "flipRows is 2": _bad(flipRows=2),
    "no bitmode": _bad(bitmode=...),
    "bitmode of 24": Hostile("unknown bitmode", port(bitmode=24)),
    "negative bitmode": Hostile("unknown bitmode", port(bitmode=-16)),
    "bitmode unlike the pixels": Hostile("wrong size", port(bitmode=32)),
    "size unlike the pixels": Hostile("wrong size", port(size=47)),
    "shape unlike the pixels": Hostile("wrong size", port(shape=[6, 5])),
    "pixels cut": Hostile("wrong size", [port()[0], PIXELS[:-1]]),
    "pixels of nothing": Hostile("wrong size", [port(size=0)[0], b""]),
    "neither data nor size": Hostile("bad field", port(data=..., size=...)),
    "the same once more": Hostile(
        "duplicate frame", port(fileIndex=5), after=_begun(5)
    ),
    "a place taken by another socket": Hostile(
        "duplicate frame", port(fileIndex=6), module=1, after=_begun(6)
    ),
    "ports of two bitmodes": Hostile(
        "ports differ",
        [port(1, fileIndex=7, bitmode=8, size=24)[0], PIXELS[:24]],
        module=1,
        after=_begun(7),
    ),
    "ports of two detshapes": Hostile(
        "ports differ",
        port(1, fileIndex=8, detshape=[1, 3]),
        module=1,
        after=_begun(8),
    ),
    "only text": Hostile("bad field", [text(htype="header", data=1), b""]),
}

GOOD: list[Sent] = [*ENDS, *((k, port(k, fileIndex=99)) for k in (0, 1))]
"""Ends, so that what follows is a new acquisition, and a frame."""
