"""Which series goes into which acquisition: arms, Starts, Ends and pins.

A series opens at its Start: into the armed acquisition that takes it, else into one
made for the file that the stream names. It may open without any: too early for an arm,
or not the one that was pinned.
"""

import logging
from concurrent.futures import Future
from pathlib import Path
from typing import Literal

from srx_service.acquisitions import Acquisition, Acquisitions, ArmRequest, State
from srx_service.books import Books
from srx_service.confinement import stream_path
from srx_service.errors import WriteError
from srx_service.messages import Start
from srx_service.orders import Close, Create, Header

logger = logging.getLogger(__name__)


class Binding:
    """Opens and closes series and acquisitions. Used by the receive thread alone."""

    def __init__(
        self,
        acquisitions: Acquisitions,
        books: Books,
        *,
        dataset: str,
        missing: Literal["fill", "skip"],
        write_root: Path | None,
        idle_timeout_s: float | None,
    ) -> None:
        self._acquisitions = acquisitions
        self._books = books
        self._dataset = dataset
        self._missing: Literal["fill", "skip"] = missing
        self._write_root = write_root
        self._idle_timeout_s = idle_timeout_s
        self._is_candidate = False
        """True while the bound series may prove not to be the one meant."""
        self._unbound: Start | None = None
        """Of the series that goes on without an acquisition; a pin may bind it."""
        self.is_draining = False
        """True from an arm until the sockets were found empty: no Start binds."""
        self.current: Acquisition | None = None
        self.next = 0
        """Number of the image that comes next in the bound series."""

    @property
    def bound(self) -> Acquisition | None:
        """The acquisition that images go into, while a series is open in it."""
        current = self.current
        return current if current is not None and current.is_series_open else None

    # -- series -----------------------------------------------------------------------

    def begin(self, start: Start) -> None:
        """A series begins, and so the one before is over."""
        self._acquisitions.error = None
        self.end()
        acquisition = self.current
        if acquisition is None:
            self._make_for(start)
        elif self._is_meant(acquisition, start):
            if self._is_candidate:
                self._unbind(acquisition)
            self._bind(acquisition, start)
        else:
            self._unbound = start

    def end(self) -> None:
        """No more comes of the series that is open, if one is."""
        self._unbound = None
        if self.bound is not None:
            self._end_series(self.bound)

    def _is_meant(self, acquisition: Acquisition, start: Start) -> bool:
        pinned = acquisition.pinned_id
        if self.is_draining or (pinned is not None and start.series != pinned):
            return False
        return self._is_candidate or acquisition.series_left

    def _bind(self, acquisition: Acquisition, start: Start) -> None:
        self._unbound = None
        self.next = (start.number if start.number is not None else -1) + 1
        self._books.open_series(acquisition)
        acquisition.state = "running"
        acquisition.series_id = start.series
        acquisition.announced = start.announced
        acquisition.is_series_open = True
        awaits = acquisition.request.await_series_id
        self._is_candidate = awaits and acquisition.pinned_id is None
        logger.info(
            "series %s begins: acquisition %s, file %s, row %d",
            "without id" if start.series is None else start.series,
            acquisition.id,
            acquisition.file or "none",
            acquisition.rows_given,
        )
        if acquisition.file is not None:
            self._books.order(Header(acquisition, start, acquisition.rows_given))

    def _unbind(self, acquisition: Acquisition) -> None:
        """Give up what a series brought that is not the one meant."""
        self._books.give_up_series(acquisition)
        self._is_candidate = False
        acquisition.is_series_open = False
        acquisition.series_id = None
        if not acquisition.series_seen:
            acquisition.state = "armed"

    def _end_series(self, acquisition: Acquisition) -> None:
        acquisition.is_series_open = False
        acquisition.pinned_id = None  # a pin is for one series
        is_last = acquisition.origin == "stream" or not acquisition.series_left
        if is_last and not self._is_candidate:
            self.close(acquisition, "done")

    def pin(self, acquisition: Acquisition, series_id: int) -> None:
        """Take this series alone; another one that is bound is given up."""
        acquisition.pinned_id = series_id
        is_bound = acquisition.is_series_open or self._is_candidate
        if is_bound and acquisition.series_id != series_id:
            self._unbind(acquisition)
            is_bound = False
        self._is_candidate = False
        start = self._unbound
        if is_bound and not acquisition.is_series_open:
            self._end_series(acquisition)  # it was the one meant, and is over already
        elif not is_bound and start is not None and start.series == series_id:
            self._bind(acquisition, start)

    def rewind(self, acquisition: Acquisition, row: int) -> Future[None]:
        """Take back rows; what still comes of the open series is for nobody."""
        done = self._books.rewind(acquisition, row)
        acquisition.is_series_open = False
        acquisition.pinned_id = acquisition.series_id = None
        self._is_candidate = False
        self._unbound = None
        return done

    # -- acquisitions -----------------------------------------------------------------

    def arm(self, request: ArmRequest, path: str | None) -> Future[None]:
        """Make the acquisition a client asks for; told when its file is there."""
        self.is_draining = True
        return self._create(self._make(request, "api", path))

    def arm_again(self, request: ArmRequest, identifier: str) -> Acquisition:
        """Make an acquisition once more that waited for its first series at a crash."""
        acquisition = self._make(request, "api", request.file, identifier)
        self._create(acquisition)
        return acquisition

    def _create(self, acquisition: Acquisition) -> Future[None]:
        created: Future[None] = Future()
        if acquisition.file is None:
            created.set_result(None)
        else:
            self._books.order(Create(acquisition, append=False, done=created))
        return created

    def _make_for(self, start: Start) -> None:
        """Make the acquisition of a series that nobody armed for."""
        request = ArmRequest(idle_timeout_s=self._idle_timeout_s)
        path, in_the_way = None, None
        if start.filename and start.save:
            try:
                path = str(stream_path(start.filename, self._write_root))
            except WriteError as error:
                in_the_way = str(error)
        acquisition = self._make(request, "stream", path)
        if in_the_way is not None:
            self.fail(acquisition, in_the_way)
        if acquisition.file is not None:
            self._books.order(Create(acquisition, append=True))
        self._bind(acquisition, start)

    def _make(
        self,
        request: ArmRequest,
        origin: Literal["api", "stream"],
        path: str | None,
        identifier: str | None = None,
    ) -> Acquisition:
        missing = request.missing or self._missing
        acquisition = Acquisition(
            request,
            origin=origin,
            dataset=self._dataset,
            skip_missing=missing == "skip",
        )
        acquisition.file = path
        acquisition.id = identifier or acquisition.id
        self._acquisitions.add(acquisition)
        self.current = acquisition
        return acquisition

    def fail(self, acquisition: Acquisition, text: str) -> None:
        """Keep the cause, for /status too."""
        logger.error("acquisition %s: %s", acquisition.id, text)
        acquisition.fail(text)
        self._acquisitions.error = acquisition.error

    def close(self, acquisition: Acquisition, state: State) -> Future[None]:
        """Nothing more goes into it; told once its file is closed."""
        if acquisition.closing is None:
            acquisition.is_series_open = False
            acquisition.state = "finishing"
            acquisition.closing = Future()
            self._books.order(Close(acquisition, state, acquisition.closing))
        if self.current is acquisition:
            self._is_candidate = False
            self.current = None
        return acquisition.closing
