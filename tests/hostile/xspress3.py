"""Of Xspress3: JSON, sizes, pieces of images, and pickles that are programs."""

import pickle

from tests.hostile.case import Hostile, Sent, deep, replaced
from tests.wire import xspress3

IMAGE = xspress3.image(26, xspress3.COUNTS)
FIRST, SPECTRA, COUNTS = ((0, [part]) for part in IMAGE)
NP = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"


def _image(**changes) -> list[bytes]:
    """Return an image with fields changed; None takes one away."""
    return xspress3.image(26, xspress3.COUNTS, **changes)


def _call(function: str, *arguments: str) -> list[bytes]:
    """Return an image whose pickle calls something."""
    module, _, name = function.rpartition(".")
    given = "".join(f"V{argument}\n" for argument in arguments)
    pickled = f"c{module}\n{name}\n({given}tR.".encode()
    return replaced(IMAGE, 2, pickled)


def _pickled(pickled: bytes) -> Hostile:
    return Hostile("refused pickle", replaced(IMAGE, 2, pickled))


HOSTILE = {
    "no parts": Hostile("part count", []),
    "two parts": Hostile("part count", IMAGE[:2]),
    "four parts": Hostile("part count", [*IMAGE, b""]),
    "an empty part": Hostile("not JSON", [b""]),
    "junk": Hostile("not JSON", [b"emptyness"]),
    "spectra alone": Hostile("not JSON", [IMAGE[1]]),
    "a pickle alone": Hostile("not JSON", [IMAGE[2]]),
    "a pickle first": Hostile("not JSON", IMAGE[::-1]),
    "cut JSON": Hostile("not JSON", replaced(IMAGE, 0, IMAGE[0][:-5])),
    "a JSON list": Hostile("not JSON", [b"[1,2,3]"]),
    "too deep": Hostile("too deep", [IMAGE[0][:-1] + b',"x":' + deep(100) + b"}"]),
    "100 MB of JSON": Hostile(
        "too large", lambda: [b'{"x":"' + b"a" * 100_000_000 + b'"}']
    ),
    "no htype": Hostile("unknown htype", [b"{}"]),
    "another htype": Hostile("unknown htype", _image(htype="status")),
    "no frame": Hostile("bad field", _image(frame=None)),
    "negative frame": Hostile("bad field", _image(frame=-1)),
    "no shape": Hostile("bad field", _image(shape=None)),
    "shape of nothing": Hostile("bad field", _image(shape=[4, 0])),
    "exposure is text": Hostile("bad field", _image(exptime="long")),
    "compressed": Hostile("bad field", _image(compression="bslz4")),
    "unknown type": Hostile("unknown type", _image(type="object")),
    "too many pixels": Hostile("too many pixels", _image(shape=[40_000, 40_000])),
    "spectra that are cut": Hostile("wrong size", replaced(IMAGE, 1, b"\0" * 95)),
    "no spectra": Hostile("wrong size", replaced(IMAGE, 1, b"")),
    "header with spectra": Hostile("part count", [*xspress3.HEADER, *IMAGE[1:]]),
    "end with spectra": Hostile("part count", [*xspress3.END, *IMAGE[1:]]),
    "file name is a number": Hostile(
        "bad field", [xspress3.text(htype="header", filename=5)]
    ),
    "tags are numbers": Hostile(
        "bad field", [xspress3.text(htype="header", extra_tags=[1, 2])]
    ),
    "a tag twice": Hostile(
        "bad field", [xspress3.text(htype="header", extra_tags=["a", "a"])]
    ),
    "a thousand tags": Hostile(
        "bad field",
        [xspress3.text(htype="header", extra_tags=[f"t{k}" for k in range(1000)])],
    ),
    "a pickle where spectra are due": Hostile("wrong size", [IMAGE[2]], after=(FIRST,)),
    "junk where spectra are due": Hostile("wrong size", [b"{junk}"], after=(FIRST,)),
    "junk where the pickle is due": Hostile(
        "refused pickle", [b"emptyness"], after=(FIRST, SPECTRA)
    ),
    "spectra where the pickle is due": Hostile(
        "refused pickle", [IMAGE[1]], after=(FIRST, SPECTRA)
    ),
    "end where spectra are due": Hostile(
        "incomplete image", xspress3.END, after=(FIRST,)
    ),
    "end where the pickle is due": Hostile(
        "incomplete image", xspress3.END, after=(FIRST, SPECTRA)
    ),
    "an image where the pickle is due": Hostile(
        "incomplete image", IMAGE, after=(FIRST, SPECTRA)
    ),
    "a broken image where the pickle is due": Hostile(
        "wrong size", replaced(IMAGE, 1, b""), after=(FIRST, SPECTRA)
    ),
    "empty pickle": _pickled(b""),
    "cut pickle": _pickled(IMAGE[2][:-20]),
    "pickled text": _pickled(pickle.dumps("text")),
    "pickled text in a list": _pickled(pickle.dumps(["text"])),
    "an array that has no state": _pickled(b"(l" + NP + b"a."),
    "os.system": Hostile("refused pickle", _call("os.system", "true")),
    "eval": Hostile("refused pickle", _call("builtins.eval", "1")),
    "numpy.load": Hostile("refused pickle", _call("numpy.load", "/etc/passwd")),
    "100 MB of pickle": Hostile(
        "refused pickle", lambda: replaced(IMAGE, 2, bytes(100_000_000))
    ),
}

GOOD: list[Sent] = [
    (0, xspress3.HEADER),
    (0, xspress3.image(26, {"output_count_rate": xspress3.COUNTS["all_events"][:1]})),
]
"""Of one channel: arrays of one number can be compared as numbers can."""
