"""The generic stream, message by message: the parts and what they mean."""

import json

from srx_service.messages import End, Image, Start

PIXELS = bytes(range(24))


def text(**fields) -> bytes:
    """Return JSON as our own encoder writes it."""
    return json.dumps(fields, separators=(",", ":")).encode()


PLAIN = text(
    htype="image",
    msg_number=26,
    frame=0,
    shape=[3, 4],
    type="uint16",
    compression="none",
)
# Key order and spaces as recorded at DanMAX.
ORCA = (
    b'{"htype": "image", "frame": 1, "shape": [3, 4], "type": "uint16", "timestamps": '
    b'{"dcu": "2024-10-28T14:02:38.534415+00:00"}, "compression": "none", '
    b'"msg_number": 27}'
)
DISCARD = text(
    htype="image",
    msg_number=28,
    frame=2,
    shape=[3, 4],
    type="uint16",
    compression="none",
    discard=True,
)
MODULES = text(
    htype="image",
    msg_number=29,
    frame=3,
    shape=[2, 3, 4],
    type="uint16",
    compression="none",
    chunks=[1, 3, 4],
    x=[0, 10],
)
PACKED = text(
    htype="image",
    msg_number=30,
    frame=4,
    shape=[3, 4],
    type="mono12p",
    compression="none",
)
PILATUS = text(
    htype="image",
    msg_number=31,
    frame=5,
    shape=[3, 4],
    type="int32",
    compression="cbf",
)
COMPRESSED = text(
    htype="image",
    msg_number=32,
    frame=6,
    shape=[1475, 1679],
    type="int32",
    compression="bslz4",
    exposure_time=0.1,
)


def _image(raw, *blobs, **fields):
    shared = {"shape": (3, 4), "dtype": "uint16", "encoding": "none"}
    return Image(**{**shared, **fields}, blobs=blobs, extras=raw)


CASES = {
    "header": (
        [text(htype="header", msg_number=25, filename="/data/a.h5")],
        Start(number=25, filename="/data/a.h5"),
    ),
    "header of the live view": (
        [text(htype="header", msg_number=0, filename="")],
        Start(number=0),
    ),
    "header with metadata": (
        [
            text(htype="header", msg_number=25, filename="/data/a.h5"),
            text(label="", expected={"shape": [4, 128], "type": "uint16"}, exptime=0.1),
        ],
        Start(
            number=25,
            filename="/data/a.h5",
            metadata={
                "label": "",
                "expected": {"shape": [4, 128], "type": "uint16"},
                "exptime": 0.1,
            },
        ),
    ),
    "header that forbids writing": (
        [
            text(htype="header", msg_number=25, filename="/data/a.h5"),
            text(save_raw=False),
        ],
        Start(
            number=25, filename="/data/a.h5", save=False, metadata={"save_raw": False}
        ),
    ),
    "image": ([PLAIN, PIXELS], _image(PLAIN, PIXELS, number=26, frame=0)),
    "image with times": ([ORCA, PIXELS], _image(ORCA, PIXELS, number=27, frame=1)),
    "image to discard": (
        [DISCARD, PIXELS],
        _image(DISCARD, PIXELS, number=28, frame=2, discard=True),
    ),
    "image of two modules": (
        [MODULES, PIXELS, PIXELS],
        _image(MODULES, PIXELS, PIXELS, number=29, frame=3, shape=(2, 3, 4)),
    ),
    "image in 12 bits": (
        [PACKED, bytes(18)],
        _image(PACKED, bytes(18), number=30, frame=4, dtype="mono12p"),
    ),
    "image in cbf": (
        [PILATUS, b"###CBF"],
        _image(PILATUS, b"###CBF", number=31, frame=5, dtype="int32", encoding="cbf"),
    ),
    "image in bslz4": (
        [COMPRESSED, b"packed"],
        _image(
            COMPRESSED,
            b"packed",
            number=32,
            frame=6,
            shape=(1475, 1679),
            dtype="int32",
            encoding="bslz4",
        ),
    ),
    "end": ([text(htype="series_end", msg_number=33)], End(number=33)),
}
"""By name: (parts, message); the message's number is the msg_number it came with."""
