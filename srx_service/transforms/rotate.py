"""Quarter turns, for a detector that is mounted on its side."""

import numpy as np
from msgspec.structs import replace

from srx_service import codecs
from srx_service.errors import ProtocolError
from srx_service.messages import Image, extras_of


def rotate(image: Image, turns: int) -> Image:
    """Return the image turned, its pixels packed as they came.

    Args:
        image: Its last two axes are turned.
        turns: Quarter turns, counter-clockwise.

    Raises:
        ProtocolError: The pixels cannot be read; it carries series and number.
    """
    if not turns % 4:
        return image
    try:
        if len(image.shape) < 2:
            raise ValueError(f"shape {image.shape} cannot be turned")
        pixels = np.rot90(codecs.decode(image), turns, axes=(-2, -1))
        pixels = np.ascontiguousarray(pixels)
        blobs = tuple(
            codecs.encode(part, image.encoding)
            for part in np.split(pixels, len(image.blobs))
        )
    except ValueError as error:
        raise ProtocolError(
            "unreadable pixels", str(error), series=image.series, number=image.number
        ) from error
    # The source's JSON text tells the shape as it was.
    return replace(image, shape=pixels.shape, blobs=blobs, extras=extras_of(image))
