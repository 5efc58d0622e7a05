"""The writer: orders to files, in a thread of its own; the only place that calls h5py.

Rows count as written once they are flushed. An error while writing makes the
acquisition failed; orders go on being taken, so that reception never waits for a broken
disk.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from queue import Empty

from srx_service.acquisitions import Acquisition
from srx_service.durations import Durations
from srx_service.errors import WriteError
from srx_service.filing import Filing, Repair
from srx_service.h5file import FileOptions, Interrupted
from srx_service.inbox import Inbox
from srx_service.openfiles import OpenFiles
from srx_service.orders import Close, Create, Header, Holes, Order, Rewind, Rows, Tally
from srx_service.turns import Turns

logger = logging.getLogger(__name__)

MANY = 32
"""Images in a batch, from which on its writing is not worth a waking at once."""
BEHIND_BYTES = 8 << 20
"""With more in the queue, reading on takes cores from writing and fills memory only."""
TOGETHER_BYTES = 16 << 20
TOGETHER_IMAGES = 1024
"""Batches that wait are written together until they are this large: to extend the
dataset and to keep the books costs as much for one image as for many."""


class Writer:
    """Carries out orders; `run` is the body of its thread.

    Args:
        options: How files are made.
        open_files: The list of files open for writing, kept on disk.
        flush_interval_s: At the latest after so long rows are durable.
        notify: Called after rows became durable or a state changed.
        on_error: Told the cause when an acquisition fails.
        turns: Taken with the receive thread.
        repair: Makes a file readable, with so many rows, that had to be given up; None:
            it is left to the next start.
        clock: Seconds, ever growing.
    """

    def __init__(
        self,
        options: FileOptions,
        open_files: OpenFiles,
        *,
        flush_interval_s: float,
        notify: Callable[[], None],
        on_error: Callable[[str], None],
        turns: Turns | None = None,
        repair: Repair | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notify = notify
        self._turns = turns or Turns()
        self._filing = Filing(
            options,
            open_files,
            flush_interval_s=flush_interval_s,
            notify=notify,
            on_error=on_error,
            repair=repair,
            clock=clock,
        )
        self._inbox: Inbox[tuple[list[Order], int] | None] = Inbox()
        self._writing = Durations(clock)
        self._put_bytes = 0
        self._done_bytes = 0
        self._are_small = False
        """True while batches are of many small images."""

    # -- the line's side --------------------------------------------------------------

    def put(self, orders: list[Order], size_bytes: int) -> None:
        """Queue orders; never waits: callers look at `queued_bytes` first."""
        self._put_bytes += size_bytes
        self._inbox.put((orders, size_bytes))

    @property
    def queued_bytes(self) -> int:
        """Bytes of the images not yet written."""
        return self._put_bytes - self._done_bytes

    def timings(self) -> dict[str, dict[str, float]]:
        """Return how long it took to write images, a batch each, and to flush."""
        return {
            "write_seconds": self._writing.as_dict(),
            "flush_seconds": self._filing.flushing.as_dict(),
        }

    def stop(self) -> None:
        """Let `run` return once all that is queued is written."""
        self._inbox.put(None)

    # -- the thread -------------------------------------------------------------------

    def run(self) -> None:
        """Carry out orders until `stop`; the open file is closed on the way out."""
        try:
            while (item := self._next_item()) is not None:
                orders, size_bytes = item
                if len(orders) == 1 and type(orders[0]) is Rows:
                    size_bytes = self._take_up(orders[0], size_bytes)
                for order in orders:
                    self._carry_out(order)
                self._done_bytes += size_bytes
                self._filing.flush_if_due()
        finally:
            self._filing.close()

    def _take_up(self, rows: Rows, size_bytes: int) -> int:
        """Add the rows that wait behind these; return the bytes of all."""
        inbox, images = self._inbox, rows.images
        while size_bytes < TOGETHER_BYTES and len(images) < TOGETHER_IMAGES:
            following = inbox.peek()
            if following is None or len(following[0]) != 1:
                break
            order = following[0][0]
            if type(order) is not Rows or order.acquisition is not rows.acquisition:
                break
            rows.take_up(order)
            size_bytes += following[1]
            inbox.get()
        return size_bytes

    def _next_item(self) -> tuple[list[Order], int] | None:
        """Return what is queued next; flush where nothing is."""
        while True:
            try:
                return self._inbox.get(self._filing.patience_s, may_nap=self._are_small)
            except Empty:
                self._filing.flush()

    def _carry_out(self, order: Order) -> None:
        match order:
            case Rows():
                self._rows(order)
            case Holes():
                self._holes(order)
            case Tally():
                self._filing.ledger_of(order.acquisition).tally(order)
            case Header():
                self._header(order)
            case Create():
                self._create(order)
            case Rewind():
                self._rewind(order)
            case Close():
                self._close(order)

    def _create(self, order: Create) -> None:
        error = self._filing.open(order.acquisition, append=order.append)
        _tell(order.done, error)
        self._notify()

    def _header(self, order: Header) -> None:
        file = self._filing.file_of(order.acquisition)
        if file is None:
            return
        try:
            file.header(order.start, order.row)
        except WriteError as error:
            self._filing.fail(error)
        self._notify()  # a pin may wait for its series

    def _rows(self, order: Rows) -> None:
        filing, count = self._filing, len(order.images)
        self._are_small = count >= MANY
        file, ledger = filing.file, filing.ledger
        if file is None or ledger.acquisition is not order.acquisition:
            filing.ledger_of(order.acquisition).lost(count)
            return
        is_behind = self.queued_bytes >= BEHIND_BYTES
        self._turns.are_taken = is_behind or file.takes_each_alone
        is_our_turn = self._turns.take()
        try:
            with self._writing:
                rejected = file.rows(order.images, order.arrivals_s)
        except Interrupted as error:
            ledger.wrote(order, error.kept, error.rejected)
            filing.fail(error, lost=count - error.kept)
        except WriteError as error:
            filing.fail(error, lost=count)
        else:
            ledger.wrote(order, count, rejected)
        finally:
            if is_our_turn:
                self._turns.give_back()

    def _holes(self, order: Holes) -> None:
        file = self._filing.file_of(order.acquisition)
        ledger = self._filing.ledger_of(order.acquisition)
        ledger.missed(order)
        if file is None or order.row is None:
            return
        try:
            file.holes(order.count, order.reason)
        except WriteError as error:
            self._filing.fail(error)
        else:
            ledger.left_empty(order)

    def _rewind(self, order: Rewind) -> None:
        filing, acquisition = self._filing, order.acquisition
        filing.flush()
        file = filing.file_of(acquisition)
        try:
            if file is not None:
                file.rewind(order.row)
                filing.ledger.taken_back(order)
                filing.flush()
        except WriteError as error:
            filing.fail(error)
        failure = acquisition.error
        _tell(order.done, None if failure is None else WriteError(failure))
        self._notify()

    def _close(self, order: Close) -> None:
        acquisition = order.acquisition
        if self._filing.file_of(acquisition) is not None:
            self._filing.close()
        self._filing.ledger_of(acquisition).settle()
        acquisition.finish(order.state)
        _report(acquisition)
        _tell(order.done, None)
        self._notify()


def _report(acquisition: Acquisition) -> None:
    counts = {k: n for k, n in acquisition.counts.as_dict().items() if n}
    logger.info(
        "acquisition %s %s after %.3f s: %s%s",
        acquisition.id,
        acquisition.state,
        acquisition.took_s,
        counts or "no image",
        f"; {acquisition.error}" if acquisition.error else "",
    )
    # what a failure cut off has no place any more
    expected = acquisition.expected if acquisition.error is None else None
    imbalance = acquisition.counts.imbalance(expected)
    if imbalance is not None:
        logger.error("acquisition %s does not add up: %s", acquisition.id, imbalance)


def _tell(done: Future[None] | None, error: Exception | None) -> None:
    if done is None:
        return
    with suppress(InvalidStateError):  # who asked has given up
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
