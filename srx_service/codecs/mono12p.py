"""Mono12p: pixels of 12 bits without gaps, two in three bytes, the lowest bits first.

Source: EMVA, Pixel Format Naming Convention 2.5, "Mono12p". GigE Vision's
"Mono12Packed" has the same size and another order of bits.

| byte | bits 7-4 | bits 3-0 |
|---|---|---|
| 0 | pixel 0, 7-4 | pixel 0, 3-0 |
| 1 | pixel 1, 3-0 | pixel 0, 11-8 |
| 2 | pixel 1, 11-8 | pixel 1, 7-4 |

Rows are not padded. Of an odd last pixel there are two bytes.
"""

from math import prod

import numpy as np

from srx_service.codecs.library import as_bytes
from srx_service.messages import Buffer

MAX_VALUE = 2**12 - 1


def decode(blob: Buffer, shape: tuple[int, ...]) -> np.ndarray:
    """Return the pixels of a blob as uint16.

    Raises:
        ValueError: It has not the size that the shape makes.
    """
    # Not at the top: numba is imported only where something is to be decoded.
    from srx_service.codecs import kernels

    wanted = (prod(shape) * 12 + 7) // 8
    if len(blob) != wanted:
        text = f"mono12p: {len(blob)} bytes came, shape {shape} makes {wanted}"
        raise ValueError(f"{text} (12 bits a pixel, rows not padded)")
    pixels = np.empty(shape, np.uint16)
    kernels.unpack_12_bits(as_bytes(blob), pixels.reshape(-1))
    return pixels


def encode(pixels: np.ndarray) -> bytes:
    """Return the pixels as a blob.

    Raises:
        ValueError: One does not fit into 12 bits.
    """
    values = np.asarray(pixels).reshape(-1)
    if values.size and not 0 <= values.min() <= values.max() <= MAX_VALUE:
        text = f"mono12p: pixels of {values.min()} to {values.max()}"
        raise ValueError(f"{text}, 0 to {MAX_VALUE} are allowed")
    even = np.zeros((values.size + 1) // 2, np.uint16)
    odd = np.zeros_like(even)
    even[:] = values[::2]
    odd[: values.size // 2] = values[1::2]
    packed = np.stack([even & 0xFF, even >> 8 | (odd & 0x0F) << 4, odd >> 4], axis=1)
    return packed.astype(np.uint8).tobytes()[: (values.size * 12 + 7) // 8]
