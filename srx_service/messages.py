"""All that flows through the line: a series starts, has images, ends."""

from typing import Any

import msgspec
import numpy as np

Buffer = bytes | bytearray | memoryview

NO_PIXELS = "rejected"
"""The encoding of an image whose place is known but whose message could not be read."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """A series begins: where its images are to go and what the source says of it."""

    series: int | None = None
    """The detector's id of the series; None where the protocol has none."""
    number: int | None = None
    """Place in the stream; -1 where images are numbered within their series (DECTRIS);
    None from a source without a counter."""
    filename: str = ""
    """Where the source wants it written; empty: nowhere."""
    save: bool = True
    """False when the source forbids writing (`save_raw: false`)."""
    metadata: dict[str, Any] | None = None
    """What the source says of the series, nested as it came; None when it said
    nothing."""
    tables: dict[str, np.ndarray] = {}
    """Arrays that come with the header: pixel_mask and flatfield (y, x), with several
    channels one each (pixel_mask_threshold_1); countrate_table (n, 2) or (n,)."""
    appendix: bytes = b""
    """The user's own bytes in a DECTRIS header, verbatim."""
    announced: int | None = None
    """Images the detector may send, an upper bound; never what is waited for."""
    rotate: int = 0
    """Quarter turns, counter-clockwise, that the source asks for."""


class Image(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One detector frame, its pixels still as the detector packed them."""

    series: int | None = None
    """As in Start."""
    number: int | None
    """Place in the stream, the key for ordering: the source's counter over all
    messages, or the frame within its series (DECTRIS); None from a source without a
    counter."""
    frame: int
    """The detector's own index of the frame."""
    shape: tuple[int, ...]
    """In pixels, slowest axis first: (2162, 2068) for an Eiger2 4M."""
    dtype: str
    """numpy's name, with a byte order where it is not little: "uint16", ">u4"."""
    encoding: str
    """How the blobs hold the pixels: "none", "bslz4", "bszstd", "lz4" (the last three
    framed as the HDF5 filters 32008 and 32004 want a chunk), "cbf"; or NO_PIXELS."""
    blobs: tuple[Buffer, ...]
    """The pixels: one blob; several are consecutive chunks along the first axis."""
    extras: bytes | dict[str, Any] = b""
    """What else the source says of this frame: a dict, or the JSON text it came in,
    which may repeat the fields above (see `extras_of`)."""
    discard: bool = False
    """True: show and forward it, do not write it."""


class End(msgspec.Struct, frozen=True, kw_only=True):
    """A series is over."""

    series: int | None = None
    number: int | None = None
    """Place in the stream; None where ends carry none."""


Message = Start | Image | End

IMAGE_FIELDS = frozenset(
    {"htype", "msg_number", "frame", "shape", "type", "compression", "discard"}
)
"""Fields of a JSON image header that Image holds under names of its own."""


def extras_of(image: Image) -> dict[str, Any]:
    """Return what the source said of a frame beyond the fields of Image."""
    extras = image.extras
    if isinstance(extras, dict):
        return extras
    if not extras:
        return {}
    header = msgspec.json.decode(extras)
    return {key: value for key, value in header.items() if key not in IMAGE_FIELDS}
