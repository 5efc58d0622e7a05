"""Protocols: the parts of a ZeroMQ message in, messages of the line out.

A protocol is one module and one line in `DECODERS`. Decoders are pure: no sockets,
threads, clocks; what they cannot read raises ProtocolError, and reception goes on.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal, Protocol

from srx_service.messages import Buffer, Message
from srx_service.protocols.dectris_stream1 import DectrisStream1Decoder
from srx_service.protocols.stins import StinsDecoder


class Decoder(Protocol):
    """Parts in, messages out."""

    socket: ClassVar[Literal["pull", "sub"]]
    """The default; detectors.yaml may choose the other."""
    ports: ClassVar[tuple[int, ...]]
    """The default ports, one per detector module, in the order `decode` counts them."""
    order: ClassVar[Literal["counter", "series"]]
    """What `number` counts: all messages of the stream, or the images of a series."""

    def decode(self, parts: Sequence[Buffer], module: int = 0) -> Iterable[Message]:
        """Return what these parts complete; nothing while modules are missing.

        Raises:
            ProtocolError: The parts are not what the protocol demands.
        """
        ...


DECODERS: dict[str, type[Decoder]] = {
    "Detector": StinsDecoder,
    "Eiger": DectrisStream1Decoder,
}
"""The `class:` of an entry in detectors.yaml."""
