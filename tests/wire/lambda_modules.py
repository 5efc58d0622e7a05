"""X-Spectrum Lambda, message by message: the parts of each module, what they mean."""

import json

import numpy as np

from srx_service.codecs import bslz4
from srx_service.messages import End, Image, Start

MODULES = 4
STACK = np.arange(48, dtype=np.uint16).reshape(MODULES, 3, 4)
"""The pixels of a frame, (module, row, column)."""
GEOMETRY = {
    "x": [0, 5, 0, 6],
    "y": [0, 0, 4, 4],
    "rotation": [0, 180, 0, 90],
    "full_shape": [8, 9],
}
"""What a Start and every image say of all modules."""


def text(**fields) -> bytes:
    """Return JSON as our own encoder writes it."""
    return json.dumps(fields, separators=(",", ":")).encode()


def place(module: int) -> dict:
    """Return what a header says of its module."""
    fields = {key: GEOMETRY[key][module] for key in ("x", "y", "rotation")}
    return {**fields, "full_shape": GEOMETRY["full_shape"]}


def header(module: int, number: int = 25, **more) -> list[bytes]:
    first = text(htype="header", msg_number=number, filename="/data/a.h5")
    return [first, text(**more, **place(module))]


def image(module: int, number: int = 26, **changes) -> list[bytes]:
    """Return an image of one module with fields changed; None takes one away."""
    fields = {
        "htype": "image",
        "msg_number": number,
        "frame": 0,
        "shape": [MODULES, 3, 4],
        "type": "uint16",
        "compression": "none",
        "chunks": [1, 3, 4],
        **changes,
    }
    kept = {key: value for key, value in fields.items() if value is not None}
    packed = fields["compression"] == "bslz4"
    pixels = STACK[module]
    return [text(**kept), bslz4.compress(pixels) if packed else pixels.tobytes()]


def end(number: int = 27) -> list[bytes]:
    return [text(htype="series_end", msg_number=number)]


def sent(number: int, **changes) -> list[tuple[int, list[bytes]]]:
    """Return an image as all modules send it."""
    return [(module, image(module, number, **changes)) for module in range(MODULES)]


def _image(encoding: str, number: int, **extras) -> Image:
    parts = [bslz4.compress(m) if encoding == "bslz4" else m.tobytes() for m in STACK]
    return Image(
        number=number,
        frame=0,
        shape=STACK.shape,
        dtype="uint16",
        encoding=encoding,
        blobs=tuple(parts),
        extras=extras,
    )


CASES = {
    "header": (
        [header(module, exptime=0.1) for module in range(MODULES)],
        Start(number=25, filename="/data/a.h5", metadata={"exptime": 0.1, **GEOMETRY}),
    ),
    "header without metadata": (
        [header(module)[:1] for module in range(MODULES)],
        Start(number=25, filename="/data/a.h5"),
    ),
    "image": (
        [image(module) for module in range(MODULES)],
        _image("none", 26),
    ),
    "image in bslz4": (
        [image(k, 28, compression="bslz4", temperature=21) for k in range(MODULES)],
        _image("bslz4", 28, temperature=21),
    ),
    "end": ([end() for _ in range(MODULES)], End(number=27)),
}
"""By name: (parts by module, message); images before any header have no geometry."""
