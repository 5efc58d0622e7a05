"""What the writer counts of one acquisition: what became of each image it was given.

Images count as written once they are durable. Every image is in one count, also where
the storage fails in the midst of a batch.
"""

import logging
from typing import Literal

from srx_service.acquisitions import Acquisition
from srx_service.counts import COUNT_NAMES, settle, short_of
from srx_service.fitting import UNREAD
from srx_service.orders import Holes, Rewind, Rows, Tally
from srx_service.pixels import Rejected

logger = logging.getLogger(__name__)


class Ledger:
    """The writer's share of the counts. Used by its thread alone."""

    def __init__(self, acquisition: Acquisition) -> None:
        self.acquisition = acquisition
        self._counts = acquisition.counts
        self._unflushed = 0
        self._lost_as: Literal["unsaved", "rejected"] = "unsaved"

    def refuse(self) -> None:
        """From here on images are rejected: they may not go into the file."""
        self._lost_as = "rejected"

    def lost(self, count: int) -> None:
        """Count images that have no file to go into."""
        if self._lost_as == "rejected":
            self._counts.rejected += count
            self._counts.rejected_as["refused"] += count
        else:
            self._counts.unsaved += count

    def wrote(self, order: Rows, kept: int, rejected: Rejected) -> None:
        """Count images that are in the file, though not yet durable.

        Args:
            order: What was to be written.
            kept: How many of its rows are there.
            rejected: Which of these are empty, and why.
        """
        self.acquisition.rows_written = order.row + kept
        self._unflushed += kept - len(rejected)
        if not rejected:
            return
        if self._counts.rejected == 0:
            index, cause = rejected[0]
            text = "acquisition %s: frame %d is rejected: it %s"
            frame = order.images[index].frame
            logger.warning(text, self.acquisition.id, frame, cause)
        self._counts.rejected += len(rejected)
        for index, cause in rejected:
            kind = "undecodable" if cause == UNREAD else "unfit"
            self._counts.rejected_as[kind] += 1
            self.acquisition.holes.add(order.row + index, 1, "rejected")

    def missed(self, order: Holes) -> None:
        """Count places that no image came for, or one that could not be read."""
        if order.reason == "missing":
            self._counts.missing += order.count
        else:
            self._counts.rejected += order.count
            self._counts.rejected_as["undecodable"] += order.count
        if order.row is not None:
            self.acquisition.holes.add(order.row, order.count, order.reason)

    def left_empty(self, order: Holes) -> None:
        """Note that the rows of a loss are in the file."""
        if order.row is not None:
            self.acquisition.rows_written = order.row + order.count

    def tally(self, order: Tally) -> None:
        """Count images that take no row."""
        if order.name == "discarded":
            self._counts.discarded += order.count
        else:
            self._counts.unsaved += order.count

    def durable(self) -> None:
        """Count what was in the file as written: it survives from here on."""
        self._counts.written += self._unflushed
        self._unflushed = 0
        self.acquisition.rows = self.acquisition.rows_written

    def not_durable(self) -> None:
        """Count what was in the file as lost: it could not be flushed."""
        self.lost(self._unflushed)
        self._unflushed = 0
        self.acquisition.rows_written = self.acquisition.rows

    def taken_back(self, order: Rewind) -> None:
        """Count images as rewound; a place that was lost is open again."""
        counts = self._counts
        gone = self.acquisition.holes.cut(order.row)
        missing, rejected = gone["missing"], gone["rejected"]
        rows = max(0, self.acquisition.rows_written - order.row)
        images = rows - missing - rejected
        counts.take_back("missing", missing + order.missing)
        counts.take_back("rejected", rejected + order.rejected)
        counts.take_back("discarded", order.discarded)
        counts.take_back("written", images)
        returned = images + rejected + order.rejected + order.discarded
        if order.is_stale:
            counts.given_up += returned
        else:
            counts.rewound += returned
        self.acquisition.rows_written -= rows
        self.acquisition.rows = min(self.acquisition.rows, order.row)

    def settle(self) -> None:
        """Count the tail that never came."""
        counts = self._counts.as_dict()
        counts["written"] += self._unflushed
        self._counts.short = short_of(counts, self.acquisition.expected)

    def row(self) -> list[int]:
        """Return the counts for the file, and at the end what is expected, or -1.

        What is in the file counts as written there. Of an acquisition that failed this
        may be the last row: what is still on its way to the file counts as lost.
        """
        counts, expected = self._counts.as_dict(), self.acquisition.expected
        counts["written"] += self._unflushed
        if self.acquisition.error is not None:
            # read last: it is never behind what it is the sum of
            counts["received"] = self._counts.received
            settle(counts, expected, lost_as=self._lost_as)
        counts["expected"] = -1 if expected is None else expected
        return [counts[name] for name in COUNT_NAMES]
