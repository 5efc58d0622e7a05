"""The `encoding` of DECTRIS stream v1, `[bs<BIT>-][lz4]<|>`, and that of the line.

Source: SIMPLON API reference of DECTRIS, chapter "Stream".
"""

import functools

import numpy as np

from srx_service.codecs.fields import PIXEL_TYPES

_PACKINGS: dict[str, tuple[str, int | None]] = {
    "": ("none", None),
    "lz4": ("lz4", None),
    "-lz4": ("lz4", None),
    "bs8-lz4": ("bslz4", 8),
    "bs16-lz4": ("bslz4", 16),
    "bs32-lz4": ("bslz4", 32),
    "bs8lz4": ("bslz4", 8),
    "bs16lz4": ("bslz4", 16),
    "bs32lz4": ("bslz4", 32),
}
"""To the encoding of an Image, and the bits of a pixel where they are told."""


@functools.lru_cache(maxsize=64)
def read(encoding: str, name: str) -> tuple[str, str]:
    """Return the encoding and the dtype of an Image.

    Args:
        encoding: As it came: "bs32-lz4<".
        name: The `type` that came with it: "uint32".

    Raises:
        ValueError: They are not known, or contradict one another.
    """
    packing, order = encoding[:-1], encoding[-1:]
    if packing not in _PACKINGS or order not in ("<", ">"):
        text = 'known are "<", ">", "lz4<", "bs8-lz4<", "bs16-lz4<", "bs32-lz4<"'
        raise ValueError(f"encoding {encoding[:80]!r}, {text}")
    if PIXEL_TYPES.get(name) != name or name.startswith(">"):
        raise ValueError(f"type {name[:80]!r}, numpy's names are known")
    dtype = np.dtype(name)
    ours, bits = _PACKINGS[packing]
    if bits not in (None, dtype.itemsize * 8):
        raise ValueError(f"encoding {encoding!r} has {bits} bits a pixel, {name} not")
    return ours, PIXEL_TYPES[dtype.newbyteorder(order).str]


def write(encoding: str, name: str) -> tuple[str, str]:
    """Return `encoding` and `type` as they go on the wire.

    Raises:
        ValueError: The protocol has no word for this encoding.
    """
    dtype = np.dtype(name)
    order = ">" if dtype.byteorder == ">" else "<"
    bits = dtype.itemsize * 8
    words = {"none": "", "lz4": "lz4", "bslz4": f"bs{bits}-lz4"}
    if encoding not in words or f"bs{bits}-lz4" not in _PACKINGS:
        text = f"{encoding!r} of {dtype.name}"
        raise ValueError(f"DECTRIS stream v1 has no word for {text}")
    return words[encoding] + order, dtype.name
