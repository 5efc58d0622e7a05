"""What a simulated EIGER says in its stream: the header and the images of a series."""

import time
from collections.abc import Mapping
from typing import Any, cast

from srx_service.messages import Image, Message, Start
from srx_service.protocols import dectris_stream1
from srx_service.protocols.dectris_stream1 import HeaderDetail
from srx_service.simulators import eiger_cbor, pictures
from srx_service.simulators.parameters import Parameter
from srx_service.simulators.pictures import Compression
from srx_service.simulators.simplon import DetectorConfig
from srx_service.simulators.stream import Sending

COMPRESSIONS: dict[str, Compression] = {
    "bslz4": "bslz4",
    "lz4": "lz4",
    "none": "none",
}


def prepare(config: DetectorConfig, seed: int) -> None:
    """Make all pictures of a series beforehand."""
    compression = COMPRESSIONS[config.text("compression")]
    pictures.prepare(config.shape, config.dtype, seed, compression)


def start(series: int, config: DetectorConfig, appendix: str) -> Start:
    """Return the header of a series, with all that a header of detail `all` holds."""
    return Start(
        series=series,
        number=-1,
        metadata=config.header(),
        tables=config.tables(),
        appendix=appendix.encode(),
        announced=config.announced(),
    )


def image(
    series: int,
    frame: int,
    *,
    config: DetectorConfig,
    seed: int,
    exposure_s: float,
    appendix: str,
    channels: int = 1,
) -> Image:
    """Return one image: the picture of its frame, exposed until now.

    With several channels each shows the picture after that of the one before.
    """
    shape, dtype = config.shape, config.dtype
    compression = COMPRESSIONS[config.text("compression")]
    now_ns = time.monotonic_ns()
    exposure_ns = int(exposure_s * 1e9)
    extras: dict[str, Any] = {
        "hash": "",
        "start_time": now_ns - exposure_ns,
        "stop_time": now_ns,
        "real_time": exposure_ns,
    }
    if appendix:
        extras["image_appendix"] = appendix.encode()
    return Image(
        series=series,
        number=frame,
        frame=frame,
        shape=shape if channels == 1 else (channels, *shape),
        dtype=dtype,
        encoding=compression,
        blobs=tuple(
            pictures.packed(frame + k, shape, dtype, seed, compression)
            for k in range(channels)
        ),
        extras=extras,
    )


def is_cbor(stream: Mapping[str, Parameter]) -> bool:
    """Return True when `stream/config` says stream v2."""
    return "format" in stream and stream["format"].value == "cbor"


def sending(
    message: Message, stream: Mapping[str, Parameter], channels: Mapping[str, float]
) -> Sending:
    """Return what is sent for a message.

    Args:
        message: As stream v1 has it.
        stream: What `stream/config` holds.
        channels: Of stream v2, by name, with their energies.
    """
    detail = cast(HeaderDetail, stream["header_detail"].value)
    if is_cbor(stream):
        return [(0, eiger_cbor.parts(message, channels, with_tables=detail == "all"))]
    return [(0, dectris_stream1.encode(message, header_detail=detail))]
