"""A broken message, and what it must be refused as."""

from collections.abc import Callable
from dataclasses import dataclass, field

Sent = tuple[int, list[bytes]]
"""A message: the detector module it comes from, and its parts."""


@dataclass(frozen=True)
class Hostile:
    """One broken message."""

    kind: str
    """As ProtocolError counts it."""
    parts: list[bytes] | Callable[[], list[bytes]]
    """A function where it is too large to be kept."""
    place: dict[str, int] = field(default_factory=dict)
    """Series and number that can still be read."""
    module: int = 0
    """Of the detector, where the message comes from."""
    after: tuple[Sent, ...] = ()
    """What came before, where that makes it broken."""

    def make(self) -> list[bytes]:
        return self.parts() if callable(self.parts) else self.parts


def deep(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def replaced(parts: list[bytes], index: int, part: bytes) -> list[bytes]:
    return [*parts[:index], part, *parts[index + 1 :]]
