"""`srx simulate xspress3`: spectra and counts, published as an Xspress3 streamer does.

With `--messages 3` an image is three messages of one part, as from older streamers.
"""

import argparse
from typing import ClassVar, Literal

import numpy as np
from msgspec.structs import replace

from srx_service.codecs.xspress3_counts import SCALARS
from srx_service.messages import Image, Message, Start
from srx_service.protocols import xspress3
from srx_service.simulators.control import add_arguments, run
from srx_service.simulators.detector import DetectorSimulator
from srx_service.simulators.detector_rest import DetectorConfig, Dtype
from srx_service.simulators.pictures import Compression
from srx_service.simulators.stream import Kind, Sending

NAME = "xspress3"
CLOCK_HZ = 80e6
"""Of the counters of ticks."""
WINDOWS = ([0, 100], [100, 200])
"""In bins: [lowest, highest) of each of the two windows, for all channels."""


class Xspress3Wire:
    """Spectra in, and counts that a test can know beforehand, see `scalars`."""

    kind: ClassVar[Kind] = "pub"
    modules: ClassVar[int] = 1
    chunks: ClassVar[int] = 1
    shape: ClassVar[tuple[int, ...]] = (4, 4096)
    dtypes: ClassVar[tuple[Dtype, ...]] = ("uint32",)
    compressions: ClassVar[tuple[Compression, ...]] = ("none",)

    def __init__(self, messages: Literal[1, 3] = 1) -> None:
        self._messages: Literal[1, 3] = messages

    def messages(self, message: Message, config: DetectorConfig) -> Sending:
        """Return what is sent for a message of the line: (0, parts) each."""
        if isinstance(message, Start):
            message = replace(message, metadata=_header(message, config))
        elif isinstance(message, Image):
            counts = scalars(message.frame, config.shape[0], config.exposure_s)
            extras = {"exposure_time": config.exposure_s, **counts}
            message = replace(message, extras=extras)
        sent = xspress3.encode(message, messages=self._messages)
        return [(0, parts) for parts in sent]


def _header(start: Start, config: DetectorConfig) -> dict[str, object]:
    limits = [[window] * config.shape[0] for window in WINDOWS]
    own = {"overwritable": False, "limits": limits, "extra_tags": list(SCALARS)}
    return own | (start.metadata or {})


def scalars(frame: int, channels: int, exposure_s: float) -> dict[str, np.ndarray]:
    """Return the counts of a frame: no two channels or frames are alike."""
    place = np.arange(channels) + channels * frame
    ticks = np.full(channels, round(exposure_s * CLOCK_HZ))
    arrays = (
        (1000.5 + place).astype(np.float64),
        (10_000 + place).astype(np.uint32),
        (9_000 + place).astype(np.uint32),
        (ticks % 2**32).astype(np.uint32),
        ((ticks + place) % 2**32).astype(np.uint32),
        (place % 7).astype(np.uint32),
        (6 - place % 3).astype(np.int32),
        1 + place / 1024,
        np.stack([place, 2 * place]).astype(np.uint32),
    )
    return dict(zip(SCALARS, arrays, strict=True))


def main(argv: list[str]) -> int:
    """Run `srx simulate xspress3`."""
    parser = argparse.ArgumentParser(
        f"srx simulate {NAME}",
        description="Spectra and counts, published as an Xspress3 streamer does.",
    )
    dtypes = Xspress3Wire.dtypes
    add_arguments(parser, shape=",".join(map(str, Xspress3Wire.shape)))
    parser.add_argument("--dtype", choices=dtypes, default=dtypes[0])
    text = "that an image takes: one of three parts, or three of one part each"
    parser.add_argument("--messages", type=int, choices=(1, 3), default=1, help=text)
    options = vars(parser.parse_args(argv))
    wire = Xspress3Wire(options.pop("messages"))
    return run(NAME, DetectorSimulator(wire=wire, **options))
