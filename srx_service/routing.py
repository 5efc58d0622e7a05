"""Series to acquisitions, images to rows: the book-keeping of the receive thread.

Messages come in order; a jump of `number` is frames that are missing. What leaves are
orders to the writer. A series opens at its Start: into the armed acquisition that takes
it, else into one made for the file that the stream names.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Literal

from srx_service.acquisitions import Acquisition, Acquisitions, ArmRequest, State
from srx_service.errors import RequestError, WriteError
from srx_service.messages import NO_PIXELS, End, Image, Message, Start
from srx_service.ordering import Stray
from srx_service.orders import Close, Create, Header, Holes, Order, Rewind, Rows, Tally

logger = logging.getLogger(__name__)

GIVES_WAY_S = 10.0
"""A series named by the stream that is silent for so long gives way to an arm."""


class Router:
    """Binds series to acquisitions and gives rows. Used by the receive thread alone."""

    def __init__(
        self,
        acquisitions: Acquisitions,
        *,
        dataset: str,
        missing: Literal["fill", "skip"],
        write_root: Path | None,
        idle_timeout_s: float | None,
    ) -> None:
        self._acquisitions = acquisitions
        self._dataset = dataset
        self._missing = missing
        self._write_root = write_root
        self._idle_timeout_s = idle_timeout_s
        self._orders: list[Order] = []
        self._next = 0
        """Number of the image that comes next in the open series."""
        self._is_draining = False
        self._last_activity_s = 0.0
        self._arrival_s = 0.0
        self._series_row = 0
        self._series_place = 0
        self._is_candidate = False
        """True while the bound series may prove not to be the one meant."""
        self._unbound_start: Start | None = None
        self.current: Acquisition | None = None
        self.start: Start | None = None
        """The header in force, for live view and forwarding."""
        self.is_open = False
        """True while a series is open, bound or not."""
        self.received = 0
        """Images since the last header, the predecessor's `received_frames`."""
        self.orphans = 0

    # -- messages ---------------------------------------------------------------------

    def route(
        self, messages: Sequence[Message], now_s: float, arrival_s: float
    ) -> list[Order]:
        """Return the orders that these messages, in order, amount to."""
        if messages:
            self._last_activity_s = now_s
        self._arrival_s = arrival_s
        run: list[Image] = []
        expected = self._next if self._takes_images else -1
        for message in messages:
            if (
                type(message) is Image
                and message.number == expected
                and not message.discard
            ):
                run.append(message)
                expected += 1
                continue
            self._end_run(run)
            run = []
            self._out_of_run(message)
            expected = self._next if self._takes_images else -1
        self._end_run(run)
        return self.take_orders()

    def take_orders(self) -> list[Order]:
        """Return the orders given since the last call."""
        orders, self._orders = self._orders, []
        return orders

    @property
    def _takes_images(self) -> bool:
        return self.current is not None and self.current.is_series_open

    def _end_run(self, run: list[Image]) -> None:
        acquisition = self.current
        if not run or acquisition is None:
            return
        count = len(run)
        self.received += count
        acquisition.counts.received += count
        self._next += count
        if acquisition.expected is not None:
            left = max(0, acquisition.expected - acquisition.places_given)
            acquisition.counts.surplus += max(0, count - left)
            run = run[:left]
        if not run:
            return
        count, row = len(run), acquisition.rows_given
        acquisition.places_given += count
        if acquisition.file is None:
            self._orders.append(Tally(acquisition, "unsaved", count, row))
            return
        acquisition.rows_given = row + count
        self._orders.append(Rows(acquisition, row, run, self._arrival_s))

    def _out_of_run(self, message: Message) -> None:
        match message:
            case Start():
                self._on_start(message)
            case Image():
                self._on_image(message)
            case End():
                self._on_end(message)

    def _on_image(self, image: Image) -> None:
        """An image discarded, without pixels, after a loss, or not bound."""
        acquisition = self.current
        if acquisition is None or not acquisition.is_series_open:
            self._unbound(image)
            return
        number = image.number if image.number is not None else self._next
        self._lose(acquisition, number - self._next, "missing")
        self._next = number
        if not image.discard:
            self._end_run([image])
            return
        self._next = number + 1
        acquisition.counts.received += 1
        if image.encoding == NO_PIXELS:
            self._lose(acquisition, 1, "rejected")
        else:
            self.received += 1
            self._discard(acquisition)

    def _discard(self, acquisition: Acquisition) -> None:
        row = acquisition.rows_given
        acquisition.places_given += 1
        if acquisition.origin == "api":
            acquisition.discard_rows.append(row)
        self._orders.append(Tally(acquisition, "discarded", 1, row))

    def _unbound(self, image: Image) -> None:
        if self.current is not None and self.current.origin == "api":
            self.current.counts.received += 1
            self.current.counts.stale += 1
        elif image.encoding != NO_PIXELS:
            self.received += 1
            self.orphans += 1

    def _lose(
        self,
        acquisition: Acquisition,
        count: int,
        reason: Literal["missing", "rejected"],
    ) -> None:
        if count <= 0:
            return
        takes_rows = acquisition.file is not None and not acquisition.skip_missing
        row = acquisition.rows_given if takes_rows else None
        acquisition.places_given += count
        if takes_rows:
            acquisition.rows_given += count
        self._orders.append(Holes(acquisition, row, count, reason))

    def _on_start(self, start: Start) -> None:
        self.start, self.is_open = start, True
        self.received = 0
        self._acquisitions.error = None
        acquisition = self.current
        if acquisition is not None and acquisition.is_series_open:
            self._end_series(acquisition)
        acquisition = self.current
        if acquisition is not None and acquisition.origin == "api":
            self._bind_or_not(acquisition, start)
            return
        self._make_for(start)

    def _bind_or_not(self, acquisition: Acquisition, start: Start) -> None:
        pinned = acquisition.pinned_id
        if self._is_draining or (pinned is not None and start.series != pinned):
            self._unbound_start = start
            return
        if self._is_candidate:
            self._unbind(acquisition)
        if acquisition.state in ("armed", "running") and acquisition.series_left:
            self._bind(acquisition, start)
        else:
            self._unbound_start = start

    def _bind(self, acquisition: Acquisition, start: Start) -> None:
        self._unbound_start = None
        self._next = (start.number if start.number is not None else -1) + 1
        acquisition.state = "running"
        acquisition.series_seen += 1
        acquisition.series_id = start.series
        acquisition.announced = start.announced
        acquisition.is_series_open = True
        self._series_row = acquisition.rows_given
        self._series_place = acquisition.places_given
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
            self._orders.append(Header(acquisition, start, acquisition.rows_given))

    def _make_for(self, start: Start) -> None:
        """Make the acquisition of a series that nobody armed for."""
        request = ArmRequest(idle_timeout_s=self._idle_timeout_s)
        acquisition = Acquisition(
            request,
            origin="stream",
            dataset=self._dataset,
            skip_missing=self._missing == "skip",
        )
        if start.filename and start.save:
            try:
                acquisition.file = str(self._stream_path(start.filename))
            except WriteError as error:
                self._fail(acquisition, str(error))
        self._acquisitions.add(acquisition)
        self.current = acquisition
        if acquisition.file is not None:
            self._orders.append(Create(acquisition, append=True))
        self._bind(acquisition, start)

    def _on_end(self, end: End) -> None:
        self.is_open = False
        acquisition = self.current
        if acquisition is None or not acquisition.is_series_open:
            return
        if end.number is not None:
            self._lose(acquisition, end.number - self._next, "missing")
        self._end_series(acquisition)

    def _end_series(self, acquisition: Acquisition) -> None:
        acquisition.is_series_open = False
        is_last = acquisition.origin == "stream" or not acquisition.series_left
        if is_last and not self._is_candidate:
            self._close(acquisition, "done")

    def _close(
        self, acquisition: Acquisition, state: State, done: Future[None] | None = None
    ) -> None:
        acquisition.is_series_open = False
        self._is_candidate = False
        acquisition.state = "finishing"
        if self.current is acquisition:
            self.current = None
        self._orders.append(Close(acquisition, state, done))

    def count_strays(self, strays: Iterable[Stray]) -> None:
        """Count the images that found no place, with the acquisition they came into."""
        acquisition = self.current
        for kind, image in strays:
            is_bound = acquisition is not None and (
                acquisition.is_series_open or acquisition.origin == "api"
            )
            if not is_bound or acquisition is None or kind == "orphan":
                self.orphans += image.encoding != NO_PIXELS
                continue
            counts = acquisition.counts
            counts.received += 1
            match kind:
                case "late":
                    counts.late += 1
                case "duplicate":
                    counts.duplicate += 1
                case "stale" | "rejected":
                    counts.stale += 1

    # -- requests ---------------------------------------------------------------------

    def arm(
        self, request: ArmRequest, now_s: float
    ) -> tuple[Acquisition, Future[None]]:
        """Make the acquisition a client asks for; what comes until `begin` is stale.

        Raises:
            RequestError: 409 busy, 422 a file that may not be written.
        """
        self._make_way(now_s)
        path = None if request.file is None else self._api_path(request.file)
        missing = request.missing or self._missing
        acquisition = Acquisition(
            request,
            origin="api",
            dataset=self._dataset,
            skip_missing=missing == "skip",
        )
        acquisition.file = None if path is None else str(path)
        created: Future[None] = Future()
        if path is None:
            created.set_result(None)
        else:
            self._orders.append(Create(acquisition, append=False, done=created))
        self._acquisitions.add(acquisition)
        self.current = acquisition
        self._is_draining = True
        return acquisition, created

    def begin(self) -> None:
        """From here on a Start binds: what came before the arm has been read."""
        self._is_draining = False

    def _make_way(self, now_s: float) -> None:
        busy = self.current
        if busy is None:
            return
        is_silent = now_s - self._last_activity_s >= GIVES_WAY_S
        if busy.origin == "stream" and is_silent:
            self._close(busy, "done")
            return
        text = (
            f"acquisition {busy.id} is {busy.state}, file {busy.file or 'none'}; "
            f"POST /api/v1/acquisitions/{busy.id}/stop or /abort ends it"
        )
        raise RequestError(409, "busy", text)

    def patch(
        self, acquisition: Acquisition, *, expected: int | None, series_id: int | None
    ) -> None:
        """Set what was not known when it was armed."""
        self._must_live(acquisition)
        acquisition.expected = expected
        if series_id is None:
            return
        acquisition.pinned_id = series_id
        if acquisition.is_series_open and acquisition.series_id != series_id:
            self._unbind(acquisition)
        self._is_candidate = False
        if not acquisition.is_series_open:
            start = self._unbound_start
            if start is not None and start.series == series_id and self.is_open:
                self._bind(acquisition, start)

    def _unbind(self, acquisition: Acquisition) -> None:
        """Give up what a series brought that is not the one meant."""
        acquisition.is_series_open = False
        acquisition.series_seen -= 1
        acquisition.series_id = None
        acquisition.places_given = self._series_place
        if acquisition.rows_given > self._series_row:
            acquisition.rows_given = self._series_row
            order = Rewind(acquisition, self._series_row, is_stale=True)
            self._orders.append(order)
        acquisition.state = "armed"

    def rewind(self, acquisition: Acquisition, row: int) -> Future[None]:
        """Take back rows; the bound series is over, the next Start goes on at `row`."""
        self._must_live(acquisition)
        if row > acquisition.rows_given or row < 0:
            text = f"rows 0 to {acquisition.rows_given} can be rewound to, not {row}"
            raise RequestError(409, "no such row", text)
        acquisition.is_series_open = False
        acquisition.pinned_id = None
        self._is_candidate = False
        without_row = acquisition.places_given - acquisition.rows_given
        kept = [r for r in acquisition.discard_rows if r < row]
        discarded = len(acquisition.discard_rows) - len(kept)
        without_row -= discarded
        acquisition.discard_rows = kept
        acquisition.rows_given = row
        acquisition.places_given = row + without_row
        done: Future[None] = Future()
        if acquisition.file is None:
            done.set_result(None)
        else:
            self._orders.append(Rewind(acquisition, row, discarded, done=done))
        return done

    def finish(self, acquisition: Acquisition, state: State) -> Future[None]:
        """Stop or abort: close with what is there."""
        done: Future[None] = Future()
        if acquisition.is_over or acquisition.state == "finishing":
            if acquisition.is_over:
                done.set_result(None)
            return done
        self._close(acquisition, state, done)
        return done

    @staticmethod
    def _must_live(acquisition: Acquisition) -> None:
        if acquisition.is_over or acquisition.state == "finishing":
            text = f"acquisition {acquisition.id} is {acquisition.state} already"
            raise RequestError(409, "over", text)

    # -- time -------------------------------------------------------------------------

    def tick(self, now_s: float) -> list[Order]:
        """End what has been silent or forgotten for too long."""
        acquisition = self.current
        if acquisition is None:
            return []
        idle_s = acquisition.request.idle_timeout_s
        is_silent = idle_s is not None and now_s - self._last_activity_s >= idle_s
        if is_silent and acquisition.is_series_open:
            self._fail(acquisition, f"no message for {idle_s} s (idle_timeout)")
            self._close(acquisition, "done")
        elif (
            acquisition.lease_until_s is not None and now_s > acquisition.lease_until_s
        ):
            acquisition.fail(
                f"client gone: no call for {acquisition.request.lease_s} s"
            )
            self._close(acquisition, "aborted")
        elif acquisition.error is not None and acquisition.origin == "api":
            self._close(acquisition, "done")
        return self.take_orders()

    def _fail(self, acquisition: Acquisition, text: str) -> None:
        logger.error("acquisition %s: %s", acquisition.id, text)
        acquisition.fail(text)
        self._acquisitions.error = acquisition.error

    # -- paths ------------------------------------------------------------------------

    def _stream_path(self, name: str) -> Path:
        if "\0" in name:
            raise WriteError(f"file name {name!r} from the stream holds a NUL")
        if self._write_root is None:
            return Path(name)
        path = Path(os.path.realpath(self._write_root / name))
        if not path.is_relative_to(os.path.realpath(self._write_root)):
            text = f"file {name!r} from the stream is not under write_root"
            raise WriteError(f"{text} {self._write_root}; nothing is written")
        return path

    def _api_path(self, name: str) -> Path:
        if self._write_root is None:
            text = "files can be asked for only where `write_root` is set in the YAML"
            raise RequestError(422, "no write_root", text)
        path = Path(os.path.realpath(name))
        root = Path(os.path.realpath(self._write_root))
        if (
            "\0" in name
            or not Path(name).is_absolute()
            or not path.is_relative_to(root)
        ):
            text = f"file {name!r} must be an absolute path under write_root {root}"
            raise RequestError(422, "file outside write_root", text)
        if path.exists():
            text = f"{path} exists and is never overwritten; choose another name"
            raise RequestError(409, "file exists", text)
        return path
