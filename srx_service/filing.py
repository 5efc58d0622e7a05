"""The file that is open: flushed in time, closed; given up when its storage fails."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from srx_service.acquisitions import Acquisition, ArmRequest
from srx_service.durations import Durations
from srx_service.errors import WriteError
from srx_service.h5file import AcquisitionFile, FileOptions, Refused
from srx_service.ledger import Ledger
from srx_service.openfiles import OpenFiles

logger = logging.getLogger(__name__)

FLUSH_APART_S = 0.005
"""Two flushes are never closer than this."""
NOTHING = Acquisition(ArmRequest(), origin="stream", dataset="", skip_missing=False)
"""Stands for the acquisition before the first."""

Repair = Callable[[Path, int], object]


class Filing:
    """The open file of an acquisition, and what is counted of it.

    Args:
        options: How files are made.
        open_files: The list of files open for writing, kept on disk.
        flush_interval_s: At the latest after so long rows are durable.
        notify: Called after rows became durable or a state changed.
        on_error: Told the cause when an acquisition fails.
        repair: Makes a file that was given up readable, with so many rows.
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
        repair: Repair | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._open_files = open_files
        self._flush_interval_s = flush_interval_s
        self._notify = notify
        self._on_error = on_error
        self._repair = repair
        self._clock = clock
        self._flushed_s = clock() - flush_interval_s
        self._left_over: dict[Path, int] = {}
        """Files given up that are not repaired yet, with their durable rows."""
        self.file: AcquisitionFile | None = None
        self.ledger = Ledger(NOTHING)
        """Of the acquisition whose file is open, or was last."""
        self.flushing = Durations(clock)
        """How long flushes took."""

    # -- whose it is ------------------------------------------------------------------

    def file_of(self, acquisition: Acquisition) -> AcquisitionFile | None:
        """Return an acquisition's file while it is open."""
        return self.file if self.ledger.acquisition is acquisition else None

    def ledger_of(self, acquisition: Acquisition) -> Ledger:
        """Return where an acquisition is counted, also one that has no file."""
        is_here = self.ledger.acquisition is acquisition
        return self.ledger if is_here else Ledger(acquisition)

    # -- open, close ------------------------------------------------------------------

    def open(self, acquisition: Acquisition, *, append: bool) -> WriteError | None:
        """Make a file or open it to append; return what is in the way."""
        self.close()
        self.ledger = Ledger(acquisition)
        folder = Path(acquisition.file or "").parent
        # of this disk only: another one may not answer
        for path in [left for left in self._left_over if left.parent == folder]:
            self._mend(path)
        try:
            self.file = AcquisitionFile(
                acquisition, self._options, self._open_files, append=append
            )
            if self._options.space is not None:
                self._options.space.follow(acquisition)
        except WriteError as error:
            if isinstance(error, Refused):
                self.ledger.refuse()
            self.blame(error)
            return error
        return None

    def close(self) -> None:
        """Flush and close, if a file is open."""
        if self.file is None:
            return
        self.ledger.settle()
        self.flush()
        file, self.file = self.file, None
        if file is None:  # given up
            return
        try:
            file.close(self.ledger.row())
        except WriteError as error:
            self.blame(error)
            self._mend_after(file)
        self._leave_space()

    def _leave_space(self) -> None:
        if self._options.space is not None:
            try:
                self._options.space.leave()
            except WriteError as error:
                self.blame(error)

    # -- flush ------------------------------------------------------------------------

    @property
    def patience_s(self) -> float | None:
        """Seconds from now to a flush, where nothing else comes; None: none is due."""
        if self.file is None or not self.file.is_dirty:
            return None
        return max(0.0, FLUSH_APART_S - self._since_s)

    @property
    def _since_s(self) -> float:
        return self._clock() - self._flushed_s

    def flush_if_due(self) -> None:
        """Flush where somebody waits for it, or the last time is too long ago."""
        apart_s = FLUSH_APART_S if self._is_wanted else self._flush_interval_s
        if self._since_s >= apart_s:
            self.flush()

    @property
    def _is_wanted(self) -> bool:
        """True while somebody waits for rows that are written but not yet durable."""
        acquisition = self.ledger.acquisition
        if acquisition.wanted_rows is None:
            return False
        return acquisition.rows < acquisition.wanted_rows <= acquisition.rows_written

    def flush(self) -> None:
        """Make all rows durable, if there are any that are not."""
        file = self.file
        if file is None or not file.is_dirty:
            return
        try:
            with self.flushing:
                file.flush(self.ledger.row())
        except WriteError as error:
            self._give_up(file, error)
            return
        self.ledger.durable()
        self._flushed_s = self._clock()
        self._notify()

    # -- failures ---------------------------------------------------------------------

    def fail(self, error: WriteError, lost: int = 0) -> None:
        """End the file; what was written before is made durable.

        Args:
            error: The cause.
            lost: Images that it costs.
        """
        if isinstance(error, Refused):
            self.ledger.refuse()
        self.ledger.lost(lost)
        self.blame(error)
        self.close()
        self._notify()

    def blame(self, error: WriteError) -> None:
        """Let the acquisition fail."""
        acquisition = self.ledger.acquisition
        if acquisition.error is None:
            logger.error("acquisition %s failed: %s", acquisition.id, error)
        acquisition.fail(str(error))
        self._on_error(str(error))

    def _give_up(self, file: AcquisitionFile, error: WriteError) -> None:
        """Part with a file that cannot be flushed: what is durable remains."""
        self.file = None
        self.ledger.not_durable()
        self.blame(error)
        file.give_up()
        self._mend_after(file)
        self._leave_space()
        self._notify()

    def _mend_after(self, file: AcquisitionFile) -> None:
        """Let every reader open a file that was given up."""
        if not file.is_empty:
            self._left_over[file.path] = file.base + self.ledger.acquisition.rows
            self._mend(file.path)

    def _mend(self, path: Path) -> None:
        if self._repair is None:
            return
        try:
            self._repair(path, self._left_over[path])
        except WriteError as error:
            logger.error("%s; tried again with the next file in its folder", error)
            return
        del self._left_over[path]
        with suppress(OSError):
            self._open_files.remove(path)
