"""Rows and counts: what becomes of each image of a series, as orders to the writer.

A series fills places, one for each image that it has or has lost. A place takes a row
of the file, unless the image is discarded, or lost where `missing: skip` is set, or
there is no file.
"""

from concurrent.futures import Future

from srx_service.acquisitions import ROWLESS, Acquisition
from srx_service.messages import Image
from srx_service.orders import Holes, LossReason, Order, Rewind, Rows, Tally


class Books:
    """Gives rows to images and to losses. Used by the receive thread alone.

    Args:
        leaves_out: The source leaves frames out by design: with `missing: skip` they
            are no loss and have no place.
    """

    def __init__(self, *, leaves_out: bool = False) -> None:
        self._leaves_out = leaves_out
        self._orders: list[Order] = []
        self._series_places = 0
        """Places given before the series that was opened last."""
        self._series_rowless: dict[str, int] = {}

    def order(self, order: Order) -> None:
        """Add an order that is about no image."""
        self._orders.append(order)

    def take_orders(self) -> list[Order]:
        """Return the orders given since the last call."""
        orders, self._orders = self._orders, []
        return orders

    # -- images -----------------------------------------------------------------------

    def write(
        self, acquisition: Acquisition, images: list[Image], arrival_s: float
    ) -> None:
        """Give rows to images that follow one another."""
        count = len(images)
        acquisition.counts.received += count
        if acquisition.expected is not None:
            images = images[: _room(acquisition, count)]
            acquisition.counts.surplus += count - len(images)
            count = len(images)
        if not count:
            return
        row = acquisition.rows_given
        acquisition.places_given += count
        if acquisition.file is None:
            self._orders.append(Tally(acquisition, "unsaved", count, row))
            return
        acquisition.rows_given = row + count
        self._orders.append(Rows(acquisition, row, images, [arrival_s] * count))

    def discard(self, acquisition: Acquisition) -> None:
        """Count an image that is not to be written."""
        acquisition.counts.received += 1
        if not _room(acquisition, 1):
            acquisition.counts.surplus += 1
            return
        row = acquisition.rows_given
        acquisition.places_given += 1
        self._note(acquisition, "discarded", 1)
        self._orders.append(Tally(acquisition, "discarded", 1, row))

    def reject(self, acquisition: Acquisition) -> None:
        """Leave a hole for an image that came but could not be read."""
        acquisition.counts.received += 1
        if _room(acquisition, 1):
            self._lose(acquisition, 1, "rejected")
        else:
            acquisition.counts.surplus += 1

    def miss(self, acquisition: Acquisition, count: int) -> None:
        """Leave holes for frames that did not come; none beyond what is expected."""
        if self._leaves_out and acquisition.skip_missing:
            return
        count = _room(acquisition, count)
        if count > 0:
            self._lose(acquisition, count, "missing")

    def _lose(self, acquisition: Acquisition, count: int, reason: LossReason) -> None:
        acquisition.places_given += count
        if acquisition.file is None or acquisition.skip_missing:
            self._note(acquisition, reason, count)
            self._orders.append(Holes(acquisition, None, count, reason))
            return
        row = acquisition.rows_given
        acquisition.rows_given = row + count
        self._orders.append(Holes(acquisition, row, count, reason))

    @staticmethod
    def _note(acquisition: Acquisition, what: str, count: int) -> None:
        """Keep what a rewind has to take back: only a client's file knows rewinds."""
        if acquisition.origin == "api" and acquisition.file is not None:
            acquisition.rowless[what].add(acquisition.rows_given, count)

    # -- series -----------------------------------------------------------------------

    def open_series(self, acquisition: Acquisition) -> None:
        """Note where a series begins, in case it has to be given up."""
        acquisition.series_rows.append(acquisition.rows_given)
        acquisition.series_seen += 1
        self._series_places = acquisition.places_given
        self._series_rowless = {k: r.total for k, r in acquisition.rowless.items()}

    def give_up_series(self, acquisition: Acquisition) -> None:
        """Take back all of the last series: it was not the one meant."""
        row = acquisition.series_rows.pop()
        acquisition.series_seen -= 1
        if acquisition.file is None:
            return  # unsaved is what its images stay
        taken = {
            name: acquisition.rowless[name].cut(self._series_rowless[name])
            for name in ROWLESS
        }
        if acquisition.rows_given > row or any(taken.values()):
            self._orders.append(_rewind(acquisition, row, taken, is_stale=True))
        acquisition.rows_given = row
        acquisition.places_given = self._series_places

    def rewind(self, acquisition: Acquisition, row: int) -> Future[None]:
        """Take back the rows from `row` on, and what stood between them.

        A series that loses rows, or its end, may come once more.
        """
        firsts, end = acquisition.series_rows, acquisition.rows_given
        is_cut = acquisition.is_series_open
        while firsts and (is_cut or end > row):
            end, is_cut = firsts.pop(), False
            acquisition.series_seen -= 1
        taken = {name: acquisition.rowless[name].take_back(row) for name in ROWLESS}
        rows = acquisition.rows_given - row
        acquisition.places_given -= rows + sum(taken.values())
        acquisition.rows_given = row
        done: Future[None] = Future()
        if acquisition.file is None:
            done.set_result(None)
        else:
            self._orders.append(_rewind(acquisition, row, taken, done=done))
        return done


def _rewind(
    acquisition: Acquisition,
    row: int,
    taken: dict[str, int],
    *,
    is_stale: bool = False,
    done: Future[None] | None = None,
) -> Rewind:
    return Rewind(
        acquisition,
        row,
        discarded=taken["discarded"],
        missing=taken["missing"],
        rejected=taken["rejected"],
        is_stale=is_stale,
        done=done,
    )


def _room(acquisition: Acquisition, count: int) -> int:
    """Return how many of so many places are still expected."""
    if acquisition.expected is None:
        return count
    return max(0, min(count, acquisition.expected - acquisition.places_given))
