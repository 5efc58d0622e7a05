"""The writer: orders to files, in a thread of its own; the only place that calls h5py.

Rows count as written once they are flushed. An error while writing makes the
acquisition failed; orders go on being taken, so that reception never waits for a broken
disk.
"""

import logging
import queue
import time
from collections.abc import Callable
from concurrent.futures import Future

from srx_service.acquisitions import Acquisition
from srx_service.errors import WriteError
from srx_service.h5file import AcquisitionFile, FileOptions
from srx_service.openfiles import OpenFiles
from srx_service.orders import Close, Create, Header, Holes, Order, Rewind, Rows, Tally

logger = logging.getLogger(__name__)

FLUSH_APART_S = 0.005
"""Two flushes are never closer than this."""


class Writer:
    """Carries out orders; `run` is the body of its thread.

    Args:
        options: How files are made.
        open_files: The list of files open for writing, kept on disk.
        flush_interval_s: At the latest after so long rows are durable.
        notify: Called after rows became durable or a state changed.
        on_error: Told the cause when an acquisition fails.
    """

    def __init__(
        self,
        options: FileOptions,
        open_files: OpenFiles,
        *,
        flush_interval_s: float,
        notify: Callable[[], None],
        on_error: Callable[[str], None],
    ) -> None:
        self._options = options
        self._open_files = open_files
        self._flush_interval_s = flush_interval_s
        self._notify = notify
        self._on_error = on_error
        self._queue: queue.SimpleQueue[tuple[list[Order], int] | None] = (
            queue.SimpleQueue()
        )
        self._put_bytes = 0
        self._done_bytes = 0
        self._file: AcquisitionFile | None = None
        self._acquisition: Acquisition | None = None
        self._unflushed_images = 0
        self._flushed_s = 0.0
        self._hole_rows: list[tuple[int, int, str]] = []
        """First row, count and reason of the losses of the open acquisition."""
        self.last_flush_took_s = 0.0

    # -- the line's side --------------------------------------------------------------

    def put(self, orders: list[Order], size_bytes: int) -> None:
        """Queue orders; never waits: callers look at `queued_bytes` first."""
        self._put_bytes += size_bytes
        self._queue.put((orders, size_bytes))

    @property
    def queued_bytes(self) -> int:
        """Bytes of the images not yet written."""
        return self._put_bytes - self._done_bytes

    def stop(self) -> None:
        """Let `run` return once all that is queued is written."""
        self._queue.put(None)

    # -- the thread -------------------------------------------------------------------

    def run(self) -> None:
        """Carry out orders until `stop`; the open file is closed on the way out."""
        try:
            while (item := self._next_item()) is not None:
                orders, size_bytes = item
                for order in orders:
                    self._carry_out(order)
                self._done_bytes += size_bytes
                self._flush_if_due()
        finally:
            self._close_file()

    def _next_item(self) -> tuple[list[Order], int] | None:
        while True:
            try:
                return self._queue.get(timeout=self._patience_s())
            except queue.Empty:
                self._flush()

    def _patience_s(self) -> float | None:
        """How long to wait for orders before unflushed rows are flushed."""
        if self._file is None or not self._file.is_dirty:
            return None
        since = time.monotonic() - self._flushed_s
        return max(0.0, FLUSH_APART_S - since)

    def _flush_if_due(self) -> None:
        if self._file is None or not self._file.is_dirty:
            return
        since = time.monotonic() - self._flushed_s
        if since >= (FLUSH_APART_S if self._is_wanted() else self._flush_interval_s):
            self._flush()

    def _is_wanted(self) -> bool:
        """True while somebody waits for rows that are written but not yet durable."""
        acquisition = self._acquisition
        if acquisition is None or acquisition.wanted_rows is None:
            return False
        return acquisition.rows < acquisition.wanted_rows <= acquisition.rows_written

    def _carry_out(self, order: Order) -> None:
        match order:
            case Rows():
                self._rows(order)
            case Holes():
                self._holes(order)
            case Tally():
                self._tally(order)
            case Header():
                self._header(order)
            case Create():
                self._create(order)
            case Rewind():
                self._rewind(order)
            case Close():
                self._close(order)

    def _fail(self, acquisition: Acquisition, error: WriteError) -> None:
        if acquisition.error is None:
            logger.error("acquisition %s failed: %s", acquisition.id, error)
        self._blame(acquisition, error)
        self._flush_what_is_there()
        self._close_file()
        self._notify()

    def _blame(self, acquisition: Acquisition, error: WriteError) -> None:
        acquisition.fail(str(error))
        self._on_error(str(error))

    def _flush_what_is_there(self) -> None:
        """After an error: rows written before it are still to be durable."""
        file, acquisition = self._file, self._acquisition
        if file is None or acquisition is None or not file.is_dirty:
            return
        try:
            file.flush()
        except WriteError:
            acquisition.counts.unsaved += self._unflushed_images
        else:
            self._count_flushed(acquisition, file)
        self._unflushed_images = 0

    def _create(self, order: Create) -> None:
        acquisition = order.acquisition
        self._close_file()
        self._acquisition = acquisition
        self._hole_rows, self._unflushed_images = [], 0
        try:
            self._file = AcquisitionFile(
                acquisition, self._options, self._open_files, append=order.append
            )
        except WriteError as error:
            self._blame(acquisition, error)
            logger.error("acquisition %s: %s", acquisition.id, error)
            _tell(order.done, error)
        else:
            _tell(order.done, None)
        self._notify()

    def _header(self, order: Header) -> None:
        if self._file is None:
            return
        try:
            self._file.header(order.start, order.row)
        except WriteError as error:
            self._fail(order.acquisition, error)

    def _rows(self, order: Rows) -> None:
        acquisition, count = order.acquisition, len(order.images)
        if self._file is None:
            acquisition.counts.unsaved += count
            return
        try:
            rejected = self._file.rows(order.images, order.arrival_s)
        except WriteError as error:
            acquisition.counts.unsaved += count
            self._fail(acquisition, error)
            return
        acquisition.rows_written = order.row + count
        self._unflushed_images += count - len(rejected)
        if rejected:
            self._count_rejected(order, rejected)

    def _count_rejected(self, order: Rows, rejected: list[tuple[int, str]]) -> None:
        acquisition = order.acquisition
        if acquisition.counts.rejected == 0:
            index, cause = rejected[0]
            frame = order.images[index].frame
            logger.warning(
                "acquisition %s: frame %d is rejected: it %s",
                acquisition.id,
                frame,
                cause,
            )
        acquisition.counts.rejected += len(rejected)
        for index, _ in rejected:
            self._hole_rows.append((order.row + index, 1, "image"))

    def _holes(self, order: Holes) -> None:
        counts = order.acquisition.counts
        if order.reason == "missing":
            counts.missing += order.count
        else:
            counts.rejected += order.count
        if order.row is None or self._file is None:
            return
        self._hole_rows.append((order.row, order.count, order.reason))
        try:
            self._file.holes(order.count, order.reason)
        except WriteError as error:
            self._fail(order.acquisition, error)
            return
        order.acquisition.rows_written = order.row + order.count

    def _tally(self, order: Tally) -> None:
        counts = order.acquisition.counts
        if order.name == "discarded":
            counts.discarded += order.count
        else:
            counts.unsaved += order.count

    def _rewind(self, order: Rewind) -> None:
        acquisition, file = order.acquisition, self._file
        try:
            if file is not None:
                self._flush()
                file.rewind(order.row)
                self._uncount(order)
                acquisition.rows_written = min(acquisition.rows_written, order.row)
                acquisition.rows = min(acquisition.rows, order.row)
        except WriteError as error:
            self._fail(acquisition, error)
            _tell(order.done, error)
        else:
            _tell(order.done, None)
        self._notify()

    def _uncount(self, order: Rewind) -> None:
        """Count images taken back as rewound; a place that was lost is open again."""
        acquisition = order.acquisition
        counts = acquisition.counts
        kept: list[tuple[int, int, str]] = []
        lost = 0
        for first, count, reason in self._hole_rows:
            gone = max(0, first + count - max(first, order.row))
            if count - gone:
                kept.append((first, count - gone, reason))
            if reason == "missing":
                counts.missing -= gone
            else:
                counts.rejected -= gone
                self._count_back(order, gone)
            lost += gone
        self._hole_rows = kept
        images = max(0, acquisition.rows_written - order.row) - lost
        counts.written -= images
        counts.discarded -= order.discarded
        self._count_back(order, order.discarded)
        self._count_back(order, images)

    @staticmethod
    def _count_back(order: Rewind, images: int) -> None:
        counts = order.acquisition.counts
        if order.is_stale:
            counts.given_up += images
        else:
            counts.rewound += images

    def _close(self, order: Close) -> None:
        acquisition = order.acquisition
        if acquisition is self._acquisition and self._file is not None:
            self._flush()
            self._close_file()
        counts = acquisition.counts
        if acquisition.expected is not None:
            places = (
                counts.written + counts.discarded + counts.rejected + counts.missing
            )
            counts.short = max(0, acquisition.expected - places - counts.unsaved)
        acquisition.finish(order.state)
        self._report(acquisition)
        _tell(order.done, None)
        self._notify()

    @staticmethod
    def _report(acquisition: Acquisition) -> None:
        counts = {k: n for k, n in acquisition.counts.as_dict().items() if n}
        seconds = (acquisition.finished_s or 0.0) - acquisition.created_s
        logger.info(
            "acquisition %s %s after %.3f s: %s%s",
            acquisition.id,
            acquisition.state,
            seconds,
            counts or "no image",
            f"; {acquisition.error}" if acquisition.error else "",
        )
        imbalance = acquisition.counts.imbalance(acquisition.expected)
        if imbalance is not None:
            logger.error(
                "acquisition %s does not add up: %s", acquisition.id, imbalance
            )

    # -- flushing ---------------------------------------------------------------------

    def _flush(self) -> None:
        file, acquisition = self._file, self._acquisition
        if file is None or acquisition is None or not file.is_dirty:
            return
        begun_s = time.monotonic()
        try:
            file.flush()
        except WriteError as error:
            acquisition.counts.unsaved += self._unflushed_images
            self._unflushed_images = 0
            self._file_is_broken(file)
            self._fail(acquisition, error)
            return
        self._count_flushed(acquisition, file)
        self._flushed_s = time.monotonic()
        self.last_flush_took_s = self._flushed_s - begun_s
        self._notify()

    @staticmethod
    def _file_is_broken(file: AcquisitionFile) -> None:
        file.is_dirty = False  # what could not be flushed once is not tried again

    def _count_flushed(self, acquisition: Acquisition, file: AcquisitionFile) -> None:
        acquisition.counts.written += self._unflushed_images
        self._unflushed_images = 0
        acquisition.rows = acquisition.rows_written

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.close()
        except WriteError as error:
            logger.error("%s", error)
            if self._acquisition is not None:
                self._blame(self._acquisition, error)
                self._acquisition.counts.unsaved += self._unflushed_images
        else:
            if self._acquisition is not None and self._unflushed_images:
                self._count_flushed(self._acquisition, file)
        self._unflushed_images = 0


def _tell(done: Future[None] | None, error: Exception | None) -> None:
    if done is None or done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
