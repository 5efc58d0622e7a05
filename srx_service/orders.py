"""What the writer is told to do: one order after the other, rows already given.

The receive thread gives orders in the order of the stream; the writer carries them out.
Rows of an acquisition come without a jump: what is missing is an order of its own.
"""

from concurrent.futures import Future
from typing import Any, Literal

import msgspec

from srx_service.acquisitions import Acquisition, State
from srx_service.holes import LossReason
from srx_service.messages import Image, Start


class Create(msgspec.Struct):
    """Make the file of an acquisition, or open it to append."""

    acquisition: Acquisition
    append: bool
    """True: an existing file is appended to; False: it must not exist."""
    done: Future[None] | None = None
    """Told when the file is there, or why not."""


class Header(msgspec.Struct):
    """A series begins at `row`."""

    acquisition: Acquisition
    start: Start
    row: int


class Rows(msgspec.Struct):
    """Images for the rows from `row` on, one each."""

    acquisition: Acquisition
    row: int
    images: list[Image]
    arrivals_s: list[float]
    """POSIX seconds at which the batch of each was received."""

    def take_up(self, other: "Rows") -> None:
        """Add the rows that follow these."""
        self.images += other.images
        self.arrivals_s += other.arrivals_s


class Holes(msgspec.Struct):
    """Rows from `row` on that stay empty; with `row` none, frames that take no row."""

    acquisition: Acquisition
    row: int | None
    count: int
    reason: LossReason


class Tally(msgspec.Struct):
    """Images that take no row and are only counted."""

    acquisition: Acquisition
    name: Literal["discarded", "unsaved"]
    count: int
    row: int
    """The row the next image takes."""


class Rewind(msgspec.Struct):
    """Take back the rows from `row` on."""

    acquisition: Acquisition
    row: int
    discarded: int = 0
    """Images that were discarded since that row."""
    missing: int = 0
    """Frames that were missing since that row and took none."""
    rejected: int = 0
    """Frames that were rejected since that row and took none."""
    is_stale: bool = False
    """True: the rows were of a series that is not the one meant."""
    done: Future[None] | None = None


class Close(msgspec.Struct):
    """Nothing more comes: flush, close, settle the state."""

    acquisition: Acquisition
    state: State
    done: Future[None] | None = None


Order = Create | Header | Rows | Holes | Tally | Rewind | Close


class Batch(msgspec.Struct):
    """What one round of reception brought, on its way to where the line forks."""

    messages: list[Any]
    """In order, to be forwarded."""
    orders: list[Order]
    start: Start | None
    """The header in force before the first message."""
    live: Image | None
    """The last image seen, whatever became of it."""
    live_start: Start | None
    size_bytes: int

    @property
    def live_row(self) -> tuple[str, int] | None:
        """The acquisition and row of `live`; None where it takes no row."""
        for order in reversed(self.orders):
            if type(order) is Rows:
                is_live = order.images[-1] is self.live
                last = order.row + len(order.images) - 1
                return (order.acquisition.id, last) if is_live else None
        return None
