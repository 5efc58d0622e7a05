"""PSI Eiger, message by message: what its ports send and what it means.

Headers as ZmqSocket.cpp of slsDetectorPackage 7 writes them, for ports of 6 x 4 pixels.
"""

import json

import numpy as np

from srx_service.messages import End, Image, Start

LOWER = np.arange(24, dtype=np.uint16).reshape(4, 6)
UPPER = LOWER + 100
"""As its port sends it: the last row first."""
PICTURE = np.vstack([UPPER[::-1], np.zeros((2, 6), np.uint16), LOWER])


def text(**fields) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def header(module=0, frame=0, **changes) -> bytes:
    """Return the JSON of an image, fields in the order of the receiver."""
    fields = {
        "jsonversion": 4,
        "bitmode": 16,
        "fileIndex": 3,
        "detshape": [1, 2],
        "shape": [6, 4],
        "size": 48,
        "acqIndex": frame + 1,
        "frameIndex": frame,
        "progress": 10.5,
        "fname": "/data/visitors/run",
        "data": 1,
        "completeImage": 1,
        "frameNumber": frame + 1,
        "expLength": 7,
        "packetNumber": 64,
        "detSpec1": 0,
        "timestamp": 1000 * frame + module,
        "modId": module,
        "row": module,
        "column": 0,
        "detSpec2": 0,
        "detSpec3": 0,
        "detSpec4": 0,
        "detType": 1,
        "version": 2,
        "flipRows": module,
        "quad": 1,
        "addJsonHeader": {"sample": "rust"},
        "rx_roi": [-1, -1, -1, -1],
    }
    kept = {key: value for key, value in (fields | changes).items() if value != ...}
    return text(**kept)


def port(module=0, frame=0, **changes) -> list[bytes]:
    """Return the message of a port; fields may be changed, ... takes one away."""
    pixels = (LOWER, UPPER)[module] + frame
    return [header(module, frame, **changes), pixels.tobytes()]


DUMMY = [
    b'{"jsonversion":4, "bitmode":0, "fileIndex":0, "detshape":[0, 0], "shape":[0, 0], '
    b'"size":0, "acqIndex":0, "frameIndex":0, "progress":0, "fname":"", "data":0, '
    b'"completeImage":0, "frameNumber":0, "expLength":0, "packetNumber":0, '
    b'"detSpec1":0, "timestamp":0, "modId":0, "row":0, "column":0, "detSpec2":0, '
    b'"detSpec3":0, "detSpec4":0, "detType":0, "version":0, "flipRows":0, "quad":0, '
    b'"rx_roi":[0, 0, 0, 0]}\n'
]
ENDS = [(0, DUMMY), (1, DUMMY)]

METADATA = {
    "jsonversion": 4,
    "bitmode": 16,
    "fileIndex": 3,
    "detshape": [1, 2],
    "shape": [6, 4],
    "size": 48,
    "fname": "/data/visitors/run",
    "modId": [0, 1],
    "row": [0, 1],
    "column": 0,
    "detSpec2": 0,
    "detSpec3": 0,
    "detSpec4": 0,
    "detType": 1,
    "version": 2,
    "flipRows": [0, 1],
    "quad": 1,
    "addJsonHeader": {"sample": "rust"},
    "rx_roi": [-1, -1, -1, -1],
}
START = Start(filename="/data/visitors/run", metadata=METADATA)


def frame(index=0):
    """Return what both ports send of a frame, each with its module."""
    return [(module, port(module, index)) for module in (0, 1)]


def image(index=0, **changes) -> Image:
    """Return what such a frame is decoded to."""
    pixels = PICTURE + np.uint16(index)
    pixels[4:6] = 0
    extras = {
        "frameNumber": index + 1,
        "completeImage": 1,
        "timestamp": [1000 * index, 1000 * index + 1],
        "expLength": [7, 7],
        "packetNumber": [64, 64],
        "detSpec1": [0, 0],
    }
    fields = {
        "number": None,
        "frame": index,
        "shape": (10, 6),
        "dtype": "uint16",
        "encoding": "none",
        "blobs": (pixels.tobytes(),),
        "extras": extras,
    }
    return Image(**fields | changes)


CASES = {
    "a frame": (frame(), [START, image()]),
    "a series": (
        [*frame(0), *frame(1), *ENDS],
        [START, image(0), image(1), End()],
    ),
    "ends before anything": (ENDS, []),
}
"""By name: ((module, parts) each, messages)."""
