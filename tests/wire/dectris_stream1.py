"""DECTRIS stream v1, message by message: the parts and what they mean."""

import json

import numpy as np

from srx_service.codecs import bslz4, lz4
from srx_service.messages import End, Image, Start

PIXELS = np.arange(60, dtype=np.uint32).reshape(10, 6) % 7
FLATFIELD = np.linspace(0.9, 1.1, 60, dtype=np.float32).reshape(10, 6)
MASK = (PIXELS == 3).astype(np.uint32)
COUNTRATE = np.arange(16, dtype=np.float32).reshape(8, 2)


def text(**fields) -> bytes:
    """Return JSON as our own encoder writes it."""
    return json.dumps(fields, separators=(",", ":")).encode()


def header(detail: str) -> bytes:
    return text(htype="dheader-1.0", series=14, header_detail=detail)


CONFIG = {
    "count_time": 0.5,
    "nimages": 10,
    "ntrigger": 3,
    "trigger_mode": "ints",
    "beam_center_x": 0.0,
    "flatfield": 1,
}
METADATA = {
    "count_time": 0.5,
    "nimages": 10,
    "ntrigger": 3,
    "trigger_mode": "ints",
    "rotate": 0,
    "beam_center_x": 0.0,
    "flatfield": 1,
}
TABLES = [
    text(htype="dflatfield-1.0", shape=[6, 10], type="float32"),
    FLATFIELD.tobytes(),
    text(htype="dpixelmask-1.0", shape=[6, 10], type="uint32"),
    MASK.tobytes(),
    text(htype="dcountrate_table-1.0", shape=[2, 8], type="float32"),
    COUNTRATE.tobytes(),
]
ARRAYS = {"flatfield": FLATFIELD, "pixel_mask": MASK, "countrate_table": COUNTRATE}
BASIC = {"series": 14, "number": -1, "announced": 30}

STARTS = {
    "none": ([header("none")], Start(series=14, number=-1)),
    "none with appendix": (
        [header("none"), b'{"filename":"/data/a.h5","rotate":1}'],
        Start(
            series=14,
            number=-1,
            filename="/data/a.h5",
            appendix=b'{"filename":"/data/a.h5","rotate":1}',
            rotate=1,
        ),
    ),
    "basic": (
        [header("basic"), text(**CONFIG)],
        Start(**BASIC, metadata=METADATA),
    ),
    "basic with plain text": (
        [header("basic"), text(**CONFIG), b"scan 17, hot"],
        Start(**BASIC, metadata=METADATA, appendix=b"scan 17, hot"),
    ),
    "all": (
        [header("all"), text(**CONFIG), *TABLES],
        Start(**BASIC, metadata=METADATA, tables=ARRAYS),
    ),
    "all with appendix": (
        [header("all"), text(**CONFIG), *TABLES, b'{"filename":"", "rotate":-1}'],
        Start(
            **BASIC,
            metadata={**METADATA, "rotate": -1},
            tables=ARRAYS,
            appendix=b'{"filename":"", "rotate":-1}',
            rotate=3,
        ),
    ),
}
"""By name: (parts, message); the name begins with the header_detail."""

TIMES = text(
    htype="dconfig-1.0", start_time=143051295370, stop_time=143551295370, real_time=5
)
EXTRAS = {
    "hash": "ab" * 16,
    "start_time": 143051295370,
    "stop_time": 143551295370,
    "real_time": 5,
}


def image(encoding: str, blob: bytes, dtype: str = "uint32", shape=(6, 10)):
    first = text(htype="dimage-1.0", series=14, frame=7, hash="ab" * 16)
    pixels = text(
        htype="dimage_d-1.0", shape=shape, type=dtype, encoding=encoding, size=len(blob)
    )
    return [first, pixels, blob, TIMES]


def _message(encoding: str, blob: bytes, **fields) -> Image:
    shared = {"shape": (10, 6), "dtype": "uint32", "extras": EXTRAS}
    place = {"series": 14, "number": 7, "frame": 7}
    return Image(**place, **{**shared, **fields}, encoding=encoding, blobs=(blob,))


PLAIN, BIG = PIXELS.tobytes(), PIXELS.astype(">u4").tobytes()
BSLZ4, LZ4 = bslz4.compress(PIXELS), lz4.compress(PIXELS)
BYTES = PIXELS.astype(np.uint8)
STACK = np.stack([PIXELS, PIXELS]).astype(np.uint16)

IMAGES = {
    "<": (image("<", PLAIN), _message("none", PLAIN)),
    ">": (image(">", BIG), _message("none", BIG, dtype=">u4")),
    "bs32-lz4<": (image("bs32-lz4<", BSLZ4), _message("bslz4", BSLZ4)),
    "bs8-lz4<": (
        image("bs8-lz4<", bslz4.compress(BYTES), "uint8"),
        _message("bslz4", bslz4.compress(BYTES), dtype="uint8"),
    ),
    "lz4<": (image("lz4<", LZ4[16:]), _message("lz4", LZ4)),
    "three axes": (
        image("bs16-lz4<", bslz4.compress(STACK), "uint16", (6, 10, 2)),
        _message("bslz4", bslz4.compress(STACK), dtype="uint16", shape=(2, 10, 6)),
    ),
    "image_appendix": (
        [*image("<", PLAIN), b"\xff temperature"],
        _message(
            "none", PLAIN, extras={**EXTRAS, "image_appendix": b"\xff temperature"}
        ),
    ),
}
ENDS = {"end": ([text(htype="dseries_end-1.0", series=14)], End(series=14))}
"""By name: (parts, message)."""
