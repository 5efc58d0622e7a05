"""`srx simulate psi-eiger`: a quad of slsDetectorPackage, its two ports published.

The picture is cut into what the ports send; what it has in the gaps between the chips
is nowhere sent, see `sent`.
"""

from typing import ClassVar

import numpy as np
from msgspec.structs import replace

from srx_service.codecs import psi_modules
from srx_service.codecs.psi_modules import Layout
from srx_service.errors import RequestError
from srx_service.messages import Image, Message, Start
from srx_service.protocols import psi_eiger
from srx_service.simulators import detector
from srx_service.simulators.detector_rest import DetectorConfig, Dtype
from srx_service.simulators.pictures import Compression
from srx_service.simulators.stream import Kind, Sending

NAME = "psi-eiger"
CLOCK_HZ = 10e6
"""Of timestamp and expLength."""
PACKETS = 64
"""In which a port sends a frame of 16 bits."""


class PsiEigerWire:
    """Pictures in, two halves of each out; `fileIndex` is the number of the series."""

    kind: ClassVar[Kind] = "pub"
    modules: ClassVar[int] = 2
    chunks: ClassVar[int] = 1
    shape: ClassVar[tuple[int, ...]] = psi_eiger.QUAD.shape
    dtypes: ClassVar[tuple[Dtype, ...]] = ("uint16", "uint8", "uint32")
    compressions: ClassVar[tuple[Compression, ...]] = ("none",)

    def messages(self, message: Message, config: DetectorConfig) -> Sending:
        """Return what each port sends for a message of the line; nothing for a Start.

        Raises:
            RequestError: Two ports and the gaps between chips have no such shape.
        """
        layout = layout_of(config)
        if isinstance(message, Image):
            ticks = round(config.exposure_s * CLOCK_HZ)
            extras = {
                "timestamp": [ticks * message.frame] * self.modules,
                "expLength": [ticks] * self.modules,
                "packetNumber": [PACKETS] * self.modules,
            }
            message = replace(message, extras=extras)
        fields: dict[str, object] = {"fileIndex": message.series, "quad": 1}
        if config.metadata:
            texts = {key: str(value) for key, value in config.metadata.items()}
            fields["addJsonHeader"] = texts
        start = Start(filename=config.filename, metadata=fields)
        return psi_eiger.encode(message, start, layout)


def layout_of(config: DetectorConfig) -> Layout:
    """Return how two ports make the configured shape.

    Raises:
        RequestError: They cannot.
    """
    try:
        return psi_modules.layout_for(psi_eiger.QUAD.ports, tuple(config.shape))
    except ValueError as error:
        raise RequestError(422, "bad value", f"shape: {error}") from error


def sent(picture: np.ndarray) -> np.ndarray:
    """Return a picture as it can be received: gaps between chips are 0."""
    layout = psi_modules.layout_for(psi_eiger.QUAD.ports, picture.shape)
    images = {
        (row, 0): psi_modules.cut(layout, picture, row, 0)
        for row in range(layout.ports[0])
    }
    return psi_modules.join(layout, picture.dtype.name, images)


def main(argv: list[str]) -> int:
    """Run `srx simulate psi-eiger`."""
    text = "A PSI Eiger of two ports, published as slsDetectorPackage's receivers do."
    return detector.serve(NAME, text, PsiEigerWire(), argv)
