"""Protocols: the parts of a ZeroMQ message in, messages of the line out.

A protocol is one module and one line in `DECODERS`. Decoders are pure: no sockets,
threads, clocks; what they cannot read raises ProtocolError, and reception goes on.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal, Protocol, runtime_checkable

from srx_service.messages import Buffer, Message
from srx_service.protocols.dectris_stream1 import DectrisStream1Decoder
from srx_service.protocols.dectris_stream2 import DectrisStream2Decoder
from srx_service.protocols.jungfraujoch import JungfraujochDecoder
from srx_service.protocols.lambda_modules import LambdaDecoder
from srx_service.protocols.psi_eiger import PsiEigerDecoder
from srx_service.protocols.stins import StinsDecoder
from srx_service.protocols.xspress3 import Xspress3Decoder


class Decoder(Protocol):
    """Parts in, messages out.

    One whose source leaves frames out by design where it is published (a preview) says
    so with `leaves_out: ClassVar[bool] = True`: over `sub` such frames are not missing.
    One that needs a known number of endpoints has `modules: ClassVar[int]`.
    """

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
            Ignored: They are, and carry nothing for the line.
        """
        ...


@runtime_checkable
class RunDecoder(Decoder, Protocol):
    """A decoder for streams so fast that messages are read many at a time."""

    @property
    def beginning(self) -> bytes:
        """How the first part of each image begins, and no other; b"": not known."""
        ...

    def decode_run(
        self, messages: Sequence[tuple[Sequence[Buffer], int]]
    ) -> Sequence[Message] | None:
        """Return what these messages are, each with its module.

        None, without a trace, where they are to be decoded one by one.
        """
        ...


DECODERS: dict[str, type[Decoder]] = {
    "Detector": StinsDecoder,
    "Eiger": DectrisStream1Decoder,
    "Lambda": LambdaDecoder,
    "DectrisStream2": DectrisStream2Decoder,
    "Xspress3": Xspress3Decoder,
    "PsiEiger": PsiEigerDecoder,
    "Jungfrau": JungfraujochDecoder,
}
"""The `class:` of an entry in detectors.yaml."""
