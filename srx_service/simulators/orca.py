"""`srx simulate orca`: the generic stream with pixels of 12 bits, as Hamamatsu's Orca.

Its frames count from 1, and each has the time that the control unit gave it: recorded
streams of MAX IV have it so.
"""

from datetime import UTC, datetime
from typing import ClassVar

from msgspec.structs import replace

from srx_service import codecs
from srx_service.codecs import mono12p
from srx_service.messages import Image, Message
from srx_service.simulators import detector
from srx_service.simulators.detector_rest import DetectorConfig, Dtype
from srx_service.simulators.pictures import Compression
from srx_service.simulators.stream import Sending
from srx_service.simulators.wire import StinsWire

BEGIN_S = 1_700_000_000
"""Of its clock, seconds since 1970: the same stream at any time."""


class OrcaWire(StinsWire):
    """The generic stream, type mono12p."""

    shape: ClassVar[tuple[int, ...]] = (512, 512)
    dtypes: ClassVar[tuple[Dtype, ...]] = ("uint16",)
    compressions: ClassVar[tuple[Compression, ...]] = ("none",)

    def messages(self, message: Message, config: DetectorConfig) -> Sending:
        """Return the one message; an image with 12 bits a pixel, and its time."""
        if isinstance(message, Image):
            # a masked pixel has all bits set, however many there are
            pixels = codecs.decode(message).clip(max=mono12p.MAX_VALUE)
            message = replace(
                message,
                frame=message.frame + 1,
                dtype="mono12p",
                blobs=(mono12p.encode(pixels),),
                extras={"timestamps": {"dcu": _time_of(message.frame, config)}},
            )
        return super().messages(message, config)


def _time_of(frame: int, config: DetectorConfig) -> str:
    moment = datetime.fromtimestamp(BEGIN_S + frame * config.exposure_s, UTC)
    return moment.isoformat(timespec="microseconds")


def main(argv: list[str]) -> int:
    """Run `srx simulate orca`."""
    text = "An Orca: the generic stream with pixels of 12 bits."
    return detector.serve("orca", text, OrcaWire(), argv)
