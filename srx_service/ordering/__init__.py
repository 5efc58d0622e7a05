"""Messages back into the order they were sent; gaps and loss.

Two streams, two orders. A *counter* numbers every message over all series (the generic
stream); a *series* numbers the images of one series from 0 (DECTRIS). Both hold what is
ahead of a gap, within `limit_bytes`, for at most `gap_timeout_s`; what is lost shows
downstream as a jump of `number`. In order already, a message costs one comparison.

Time is an argument and runs only while the sockets were found empty: a receiver that is
behind must not take what it has not yet read for lost.
"""

from collections.abc import Sequence
from typing import Protocol

from srx_service.messages import Message
from srx_service.ordering.counter import CounterOrdering
from srx_service.ordering.holding import size_of
from srx_service.ordering.limits import Limits, Stray, StrayKind
from srx_service.ordering.series import SeriesOrdering

__all__ = [
    "CounterOrdering",
    "Limits",
    "Ordering",
    "SeriesOrdering",
    "Stray",
    "StrayKind",
    "size_of",
]


class Ordering(Protocol):
    """Messages in as they arrive, out in the order they were sent."""

    def push(
        self, messages: Sequence[Message], now_s: float, drained: bool
    ) -> list[Message]:
        """Return what may now pass; `drained`: the sockets were found empty."""
        ...

    def take_strays(self) -> list[Stray]:
        """Return the images that found no place since the last call."""
        ...

    def release(self) -> list[Message]:
        """Give up every gap: return what was held ahead of one."""
        ...

    @property
    def is_waiting(self) -> bool:
        """True while a timer runs: push again soon, also without messages."""
        ...

    @property
    def lost(self) -> int:
        """Numbers given up so far, for which no message came: of whatever series."""
        ...

    @property
    def held_bytes(self) -> int:
        """Bytes of the images held."""
        ...
