"""What a simulated detector's messages look like on the wire; one class a protocol.

`DetectorSimulator` makes Start, Image and End, a Wire makes of them what is sent:

- `Start`: `series` counts from 1; `announced` images may come; `filename`, `metadata`.
- `Image`: `frame` counts within the series, from `first_frame` of the configuration;
  `shape` is the configuration's; `blobs` are `Wire.chunks` many, compressed each.
- `number` counts all messages since the process began; a protocol without such a
  counter leaves it out. It is None when the configuration wants none.
"""

from math import prod
from typing import Any, ClassVar, Protocol

import msgspec

from srx_service.errors import RequestError
from srx_service.messages import Buffer, Message
from srx_service.protocols import stins
from srx_service.simulators import pictures
from srx_service.simulators.detector_rest import DetectorConfig, Dtype
from srx_service.simulators.pictures import Compression
from srx_service.simulators.stream import Kind, Sending


class Wire(Protocol):
    """Messages of the line in, what is sent for them out."""

    kind: ClassVar[Kind]
    modules: ClassVar[int]
    """Sockets, one for each module of the detector."""
    chunks: ClassVar[int]
    """Blobs of an image, of as many rows each along the first axis; mostly 1."""
    shape: ClassVar[tuple[int, ...]]
    """The default, [modules,] y, x; others must have as many axes."""
    dtypes: ClassVar[tuple[Dtype, ...]]
    """What pixels may be; the first is the default."""
    compressions: ClassVar[tuple[Compression, ...]]
    """What blobs may be; the first is the default."""

    def messages(self, message: Message, config: DetectorConfig) -> Sending:
        """Return what is sent for a message of the line: (module, parts) each."""
        ...


def first_config(wire: Wire, values: dict[str, Any]) -> DetectorConfig:
    """Return the configuration a detector begins with; a None is the wire's default."""
    config = {
        "shape": list(wire.shape),
        "dtype": wire.dtypes[0],
        "compression": wire.compressions[0],
    }
    given = {key: value for key, value in values.items() if value is not None}
    return checked(wire, config | given)


def checked(wire: Wire, values: dict[str, Any]) -> DetectorConfig:
    """Return a configuration that the wire can send.

    Raises:
        RequestError: The protocol has no such shape, dtype or compression.
        pydantic.ValidationError: A key is not known or has not such a value.
    """
    config = DetectorConfig.model_validate(values)
    if len(config.shape) != len(wire.shape) or config.shape[0] % wire.chunks:
        text = f"shape: {len(wire.shape)} axes, the first a multiple of {wire.chunks}"
        raise RequestError(422, "bad value", text)
    allowed = {"dtype": wire.dtypes, "compression": wire.compressions}
    for key, names in allowed.items():
        if getattr(config, key) not in names:
            raise RequestError(422, "bad value", f"{key}: {', '.join(names)}")
    return config


def blobs(
    frame: int, config: DetectorConfig, seed: int, wire: Wire
) -> tuple[Buffer, ...]:
    """Return the packed picture of a frame; all axes but the last are its rows."""
    *rows, columns = config.shape
    shape = (prod(rows), columns)
    return pictures.chunks(
        frame, shape, config.dtype, seed, config.compression, wire.chunks
    )


class StinsWire:
    """The generic stream."""

    kind: ClassVar[Kind] = "push"
    modules: ClassVar[int] = 1
    chunks: ClassVar[int] = 1
    shape: ClassVar[tuple[int, ...]] = (512, 512)
    dtypes: ClassVar[tuple[Dtype, ...]] = (
        "uint16",
        "uint8",
        "uint32",
        "int16",
        "int32",
        "float32",
    )
    compressions: ClassVar[tuple[Compression, ...]] = ("none", "bslz4", "lz4")

    def messages(self, message: Message, config: DetectorConfig) -> Sending:
        """Return the one message; without msg_number where `number` is None."""
        number = message.number
        parts = stins.encode(message, number or 0, exposure_s=config.exposure_s)
        if number is None:
            header = msgspec.json.decode(parts[0])
            del header["msg_number"]
            parts[0] = msgspec.json.encode(header)
        return [(0, parts)]
