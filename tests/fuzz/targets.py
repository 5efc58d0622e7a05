"""All targets by name."""

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from srx_service.protocols import DECODERS, RunDecoder
from tests.fuzz.configuration import ConfigurationTarget
from tests.fuzz.decoders import DecoderTarget, RunTarget
from tests.fuzz.repair import RepairTarget

HOSTILE = "hostile: "
"""In the name of an input that is refused as it is."""
FOUND = "found: "
"""What the name of an input begins with that once made a target raise."""


class Target(Protocol):
    """What takes an input."""

    def seeds(self) -> Iterator[tuple[str, bytes]]:
        """Yield inputs to begin with, each with a name."""
        ...

    def mutate(self, rng: random.Random, text: bytes) -> bytes:
        """Return the input with something wrong with it."""
        ...

    def run(self, text: bytes) -> str:
        """Take an input and return in a word what became of it; raise at a defect."""
        ...

    def close(self) -> None:
        """Leave nothing behind."""
        ...


def _decoder(protocol: str) -> Callable[[], Target]:
    return lambda: DecoderTarget(protocol)


def _run(protocol: str) -> Callable[[], Target]:
    return lambda: RunTarget(protocol)


TARGETS: dict[str, Callable[[], Target]] = {
    **{name: _decoder(name) for name in DECODERS},
    **{
        f"{name} run": _run(name)
        for name, decoder in DECODERS.items()
        if isinstance(decoder(), RunDecoder)
    },
    "configuration": ConfigurationTarget,
    "repair": RepairTarget,
}
"""By name: each decoder as `class:` calls it, and what reads files."""


def mutations(
    target: Target, inputs: Mapping[str, bytes], count: int, seed: str
) -> Iterator[bytes]:
    """Yield so many mutations of some inputs, the same ones for the same seed.

    Most are of good inputs: what is refused at once reaches little code.
    """
    rng = random.Random(seed)
    every = list(inputs.values())
    good = [
        text
        for name, text in inputs.items()
        if HOSTILE not in name and not name.startswith(FOUND)
    ]
    for _ in range(count):
        yield target.mutate(rng, rng.choice(every if rng.random() < 0.2 else good))
