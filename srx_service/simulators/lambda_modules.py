"""`srx simulate lambda`: an X-Spectrum Lambda of four modules, a socket for each.

The modules stand in two rows of two, some pixels apart, the right ones upside down.
"""

from typing import Any, ClassVar

from msgspec.structs import replace

from srx_service.messages import Message, Start
from srx_service.protocols import lambda_modules
from srx_service.simulators import detector
from srx_service.simulators.detector_rest import DetectorConfig, Dtype
from srx_service.simulators.pictures import Compression
from srx_service.simulators.stream import Kind, Sending

NAME = "lambda"
GAP = 40
"""In pixels, between modules."""


class LambdaWire:
    """Four modules, each a generic stream of its own."""

    kind: ClassVar[Kind] = "push"
    modules: ClassVar[int] = lambda_modules.MODULES
    chunks: ClassVar[int] = lambda_modules.MODULES
    shape: ClassVar[tuple[int, ...]] = (lambda_modules.MODULES, 516, 1556)
    """Of modules of twelve Medipix3 chips each."""
    dtypes: ClassVar[tuple[Dtype, ...]] = ("uint16", "uint8", "uint32")
    compressions: ClassVar[tuple[Compression, ...]] = ("bslz4", "none")

    def messages(self, message: Message, config: DetectorConfig) -> Sending:
        """Return what each module sends."""
        if isinstance(message, Start):
            metadata = geometry(config.shape) | (message.metadata or {})
            message = replace(message, metadata=metadata)
        return list(enumerate(lambda_modules.encode(message)))


def geometry(shape: list[int]) -> dict[str, Any]:
    """Return where the modules of a shape [4, y, x] are."""
    _, rows, columns = shape
    right, below = columns + GAP, rows + GAP
    return {
        "x": [0, right, 0, right],
        "y": [0, 0, below, below],
        "rotation": [0, 180, 0, 180],
        "full_shape": [2 * rows + GAP, 2 * columns + GAP],
    }


def main(argv: list[str]) -> int:
    """Run `srx simulate lambda`."""
    text = "X-Spectrum Lambda, with arm and trigger over HTTP."
    return detector.serve(NAME, text, LambdaWire(), argv)
