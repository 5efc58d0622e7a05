"""`srx simulate jungfrau`: Jungfraujoch's preview, or with `--push` its writer stream.

After the start a calibration message follows, as Jungfraujoch sends one.
"""

import argparse
from typing import Any, ClassVar

import msgspec
import numpy as np
from msgspec.structs import replace

from srx_service.codecs import cbor
from srx_service.console import within
from srx_service.messages import Image, Message, Start
from srx_service.protocols import jungfraujoch
from srx_service.simulators.control import add_arguments, run
from srx_service.simulators.detector import DetectorSimulator
from srx_service.simulators.detector_rest import DetectorConfig, Dtype
from srx_service.simulators.pictures import Compression
from srx_service.simulators.stream import Kind, Sending

NAME = "jungfrau"
RUN_NAME = "simulated"


class PreviewWire:
    """What is published.

    Args:
        every: Only each n-th image is, counted from the first.
    """

    kind: ClassVar[Kind] = "pub"
    modules: ClassVar[int] = 1
    chunks: ClassVar[int] = 1
    shape: ClassVar[tuple[int, ...]] = (514, 1030)
    dtypes: ClassVar[tuple[Dtype, ...]] = ("int32", "int16", "uint32", "uint16")
    compressions: ClassVar[tuple[Compression, ...]] = ("bslz4", "none")

    def __init__(self, every: int = 1) -> None:
        self._every = every

    def messages(self, message: Message, config: DetectorConfig) -> Sending:
        """Return what is sent for a message of the line: (0, parts) each."""
        if isinstance(message, Start):
            sent = [jungfraujoch.encode(_start(message, config)), _calibration(message)]
            return [(0, parts) for parts in sent]
        if isinstance(message, Image):
            if (message.frame - config.first_frame) % self._every:
                return []
            message = replace(message, extras={"spots": spots(message.frame)})
        return [(0, jungfraujoch.encode(message))]


class WriterWire(PreviewWire):
    """What is pushed to writers: all of it."""

    kind: ClassVar[Kind] = "push"


def _start(start: Start, config: DetectorConfig) -> Start:
    rows, columns = config.shape
    own: dict[str, Any] = {
        "series_unique_id": RUN_NAME,
        "number_of_images": config.frames,
        "image_size_x": columns,
        "image_size_y": rows,
        "image_dtype": config.dtype,
        "frame_time": config.exposure_s,
    }
    if config.dtype.startswith("int"):
        own["error_value"] = int(np.iinfo(config.dtype).min)
    user = {"user": {"filename": start.filename}} if start.filename else {}
    appendix = msgspec.json.encode(user) if user else b""
    metadata = own | (start.metadata or {})
    return replace(start, metadata=metadata, appendix=appendix)


def _calibration(start: Start) -> list[bytes]:
    fields = {"type": "calibration", "series_id": start.series, "data": {}}
    return [cbor.MAGIC + cbor.dumps(fields)]


def spots(frame: int) -> list[dict[str, float]]:
    """Return the spots that a frame is said to have: none, one or two."""
    return [{"x": 1.5 + frame, "y": 2.5 + k, "I": 100.0} for k in range(frame % 3)]


def main(argv: list[str]) -> int:
    """Run `srx simulate jungfrau`."""
    parser = argparse.ArgumentParser(
        f"srx simulate {NAME}",
        description="Jungfraujoch's preview, or its stream for writers.",
    )
    add_arguments(parser, shape=",".join(map(str, PreviewWire.shape)))
    dtypes = PreviewWire.dtypes
    parser.add_argument("--dtype", choices=dtypes, default=dtypes[0])
    text = "push all images to a writer, instead of publishing a preview"
    parser.add_argument("--push", action="store_true", help=text)
    count = within(int, 1, 1_000_000)
    parser.add_argument("--every", type=count, default=1, help="publish each n-th one")
    options = vars(parser.parse_args(argv))
    every = options.pop("every")
    wire = WriterWire() if options.pop("push") else PreviewWire(every)
    return run(NAME, DetectorSimulator(wire=wire, **options))
