"""`srx simulate pilatus`: the generic stream with CBF files, as PILATUS streamers send.

Old ones number no message, and send no End where the detector failed: `msg_number` and
`end` of PUT /config.
"""

from typing import ClassVar

from msgspec.structs import replace

from srx_service import codecs
from srx_service.codecs import cbf
from srx_service.messages import Image, Message
from srx_service.simulators import detector
from srx_service.simulators.detector_rest import DetectorConfig, Dtype
from srx_service.simulators.pictures import Compression
from srx_service.simulators.stream import Sending
from srx_service.simulators.wire import StinsWire


class PilatusWire(StinsWire):
    """The generic stream, each image a whole CBF file."""

    shape: ClassVar[tuple[int, ...]] = (195, 487)
    dtypes: ClassVar[tuple[Dtype, ...]] = ("int32",)
    compressions: ClassVar[tuple[Compression, ...]] = ("none",)

    def messages(self, message: Message, config: DetectorConfig) -> Sending:
        """Return the one message; an image's pixels as a file."""
        if isinstance(message, Image):
            pixels = codecs.decode(message)
            name = f"scan_{message.frame:05d}"
            blob = cbf.encode(pixels, name, config.exposure_s)
            message = replace(message, encoding="cbf", blobs=(blob,))
        return super().messages(message, config)


def main(argv: list[str]) -> int:
    """Run `srx simulate pilatus`."""
    text = "A PILATUS: the generic stream with CBF files."
    return detector.serve("pilatus", text, PilatusWire(), argv)
