"""How long and how much an ordering holds, and what it turns away."""

from typing import Literal, NamedTuple

from srx_service.messages import Image

StrayKind = Literal["late", "duplicate", "stale", "orphan", "rejected"]


class Stray(NamedTuple):
    """An image that has no place in the line any more."""

    kind: StrayKind
    image: Image
    place: int
    """How many of the messages that pass with it pass before it."""


class Limits(NamedTuple):
    """How long and how much an ordering holds."""

    gap_timeout_s: float = 2.0
    """A gap waits so long; then its frames are missing."""
    end_grace_s: float = 0.2
    """Sockets empty for so long make an End final where several connections may
    race."""
    limit_bytes: int = 128 << 20
    """Held in all; beyond, the oldest gap is missing at once."""
    max_gap: int = 1_000_000
    """A number further ahead than this is not believed."""
