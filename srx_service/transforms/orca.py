"""Hamamatsu Orca: pixels packed in 12 bits to 16 bits.

The pixels are those of OrcaPipeline in github.com/maxiv-science/streaming-receiver.
"""

from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from srx_service.codecs import (
    kernels,  # noqa: F401 - compiled now, not when the first image comes
    mono12p,
)
from srx_service.errors import ProtocolError
from srx_service.messages import Image, Start, extras_of


@dataclass(frozen=True, slots=True)
class OrcaPipeline:
    """Turns images of type mono12p into uint16; others pass as they came."""

    def apply(self, image: Image, start: Start | None) -> Image:
        """Return the image in 16 bits.

        Raises:
            ProtocolError: The blob is not of the size that the shape makes; it carries
                series and number.
        """
        if image.dtype != "mono12p":
            return image
        try:
            if image.encoding != "none" or len(image.blobs) != 1:
                found = f"{len(image.blobs)} blobs of encoding {image.encoding!r}"
                raise ValueError(f"mono12p: {found}, one of 'none' is allowed")
            pixels = mono12p.decode(image.blobs[0], image.shape)
        except ValueError as error:
            raise ProtocolError(
                "unreadable pixels",
                str(error),
                series=image.series,
                number=image.number,
            ) from error
        blob = pixels.reshape(-1).view(np.uint8).data
        # The source's JSON text tells the type as it was.
        extras = extras_of(image)
        return replace(image, dtype="uint16", blobs=(blob,), extras=extras)
