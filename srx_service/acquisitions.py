"""What was asked for, what came, what was written, what is missing."""

import time
import uuid
from array import array
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, Literal

import msgspec

from srx_service.errors import RequestError
from srx_service.holes import EmptyRows

State = Literal["armed", "running", "finishing", "done", "failed", "aborted"]
TERMINAL = frozenset({"done", "failed", "aborted"})
KEPT = 200
"""Acquisitions that are over and still listed; the oldest go first."""

RECEIVED_AS = (
    "written",
    "discarded",
    "rejected",
    "late",
    "duplicate",
    "stale",
    "surplus",
    "rewound",
    "unsaved",
)
"""What becomes of an image that was received: each is counted in one of these."""
COUNTS = ("received", *RECEIVED_AS, "missing", "short")
ROWLESS = ("discarded", "missing", "rejected")
"""What may become of a place without a row in the file."""


class ArmRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a client asks for: one file, over one or several series."""

    file: str | None = None
    """Absolute path; None: live view only."""
    shape: tuple[int, ...] | None = None
    """Of one frame, slowest axis first; a first frame that differs fails the
    acquisition."""
    dtype: str | None = None
    """numpy's name, as `shape`."""
    series: int | Literal["open"] = 1
    """How many series it takes; "open": until it is stopped."""
    expected: int | None = None
    """Frames; more are surplus and not written."""
    missing: Literal["fill", "skip"] | None = None
    """As in detectors.yaml, for this acquisition."""
    idle_timeout_s: float | None = None
    """A series that is silent for so long ends the acquisition as failed."""
    lease_s: float | None = None
    """Aborted when no call names the acquisition for so long."""
    metadata: dict[str, Any] = {}
    """Written beside the data."""
    await_series_id: bool = False
    """Every Start binds anew until a series id is given."""


class Counts:
    """Images of one acquisition by what became of them.

    `received`, `late`, `duplicate`, `stale` and `surplus` belong to the receive thread,
    the others to the writer: no count has two owners, so none needs a lock.
    """

    __slots__ = (*COUNTS, "given_up")

    def __init__(self) -> None:
        for name in COUNTS:
            setattr(self, name, 0)
        self.given_up = 0
        """The writer's share of `stale`: rows of a series that was not the one
        meant."""

    received: int
    written: int
    discarded: int
    rejected: int
    late: int
    duplicate: int
    stale: int
    surplus: int
    rewound: int
    unsaved: int
    missing: int
    short: int

    def as_dict(self) -> dict[str, int]:
        """Return all counts by name."""
        counts = {name: getattr(self, name) for name in COUNTS}
        counts["stale"] += self.given_up
        return counts

    def imbalance(self, expected: int | None) -> str | None:
        """Return what does not add up, or None; to be asked once it is over."""
        counts = self.as_dict()
        sum_received = sum(counts[name] for name in RECEIVED_AS)
        if sum_received != self.received:
            return f"received {self.received}, accounted for {sum_received}"
        if expected is None:
            return None
        places = (
            self.written + self.discarded + self.rejected + self.missing + self.short
        )
        if places != expected and not self.unsaved:
            return f"expected {expected}, accounted for {places}"
        return None


class Rowless:
    """Places that took no row, by the row that came next; sixteen bytes a row."""

    def __init__(self) -> None:
        self._rows = array("Q")
        self._counts = array("Q")
        self.total = 0

    def add(self, row: int, count: int) -> None:
        """Note places before a row; rows never go down."""
        if self._rows and self._rows[-1] == row:
            self._counts[-1] += count
        else:
            self._rows.append(row)
            self._counts.append(count)
        self.total += count

    def take_back(self, row: int) -> int:
        """Forget the places from a row on; return how many they were."""
        before = self.total
        while self._rows and self._rows[-1] >= row:
            self._rows.pop()
            self.total -= self._counts.pop()
        return before - self.total

    def cut(self, total: int) -> int:
        """Forget the last places, down to a total; return how many they were."""
        before = self.total
        while self.total > total:
            gone = min(self._counts[-1], self.total - total)
            self._counts[-1] -= gone
            self.total -= gone
            if not self._counts[-1]:
                self._rows.pop()
                self._counts.pop()
        return before - self.total


class Acquisition:
    """One file (or none) and the series that go into it.

    The receive thread binds series to it and gives rows; the writer makes rows durable.
    Each attribute is set by one of the two, and read by any thread.
    """

    def __init__(
        self,
        request: ArmRequest,
        *,
        origin: Literal["api", "stream"],
        dataset: str,
        skip_missing: bool,
    ) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.request = request
        self.origin: Literal["api", "stream"] = origin
        self.file = request.file
        self.dataset = dataset
        self.skip_missing = skip_missing
        self.expected = request.expected
        self.created_s = time.time()
        self.finished_s: float | None = None
        self.lease_until_s: float | None = None
        self.counts = Counts()
        # the receive thread's
        self.state: State = "armed"
        self.series_seen = 0
        self.series_id: int | None = None
        self.pinned_id: int | None = None
        self.announced: int | None = None
        self.is_series_open = False
        self.rows_given = 0
        self.places_given = 0
        """Rows, and what took none: discarded, or missing where it is skipped."""
        self.series_rows = array("Q")
        """The first row of each series bound."""
        self.rowless = {reason: Rowless() for reason in ROWLESS}
        """Places in the file's order that took no row, for a rewind."""
        self.closing: Future[None] | None = None
        """Told by the writer when the file is closed."""
        # the writer's
        self.error: str | None = None
        self.note: str | None = None
        self.shape: tuple[int, ...] | None = request.shape
        self.dtype: str | None = request.dtype
        self.chunk: tuple[int, ...] | None = None
        self.encoding: str | None = None
        self.columns: dict[str, str] = {}
        """Where the file has what every frame has: {"timestamp": "/entry/…"}."""
        self.holes = EmptyRows(rewinds=origin == "api")
        self.rows_written = 0
        self.rows = 0
        # long polls: rows somebody waits for
        self.wanted_rows: int | None = None

    @property
    def is_over(self) -> bool:
        """True once nothing more can happen to it."""
        return self.state in TERMINAL

    @property
    def is_idle(self) -> bool:
        """True between series, with every row durable."""
        return not self.is_series_open and self.rows >= self.rows_given

    @property
    def series_left(self) -> bool:
        """True while another series may be bound."""
        series = self.request.series
        return series == "open" or self.series_seen < series

    def fail(self, text: str) -> None:
        """Keep the first cause; the state follows when the file is closed."""
        if self.error is None:
            self.error = text

    def finish(self, state: State) -> None:
        """Settle the state: a cause makes it failed, unless it was aborted."""
        self.finished_s = time.time()
        self.state = "failed" if self.error and state == "done" else state

    def as_dict(self) -> dict[str, Any]:
        """Return what the HTTP interface tells of it."""
        return {
            "id": self.id,
            "origin": self.origin,
            "state": self.state,
            "error": self.error,
            "note": self.note,
            "file": self.file,
            "dataset": self.dataset,
            "shape": self.shape,
            "dtype": self.dtype,
            "chunk": self.chunk,
            "encoding": self.encoding,
            "columns": self.columns,
            "series": self.request.series,
            "series_seen": self.series_seen,
            "series_id": self.series_id,
            "expected": self.expected,
            "announced": self.announced,
            "rows": self.rows,
            "holes": self.holes.last(),
            "is_idle": self.is_idle,
            "counts": self.counts.as_dict(),
            "created_s": self.created_s,
            "finished_s": self.finished_s,
            "lease_s": self.request.lease_s,
            "metadata": self.request.metadata,
        }


class Acquisitions:
    """The acquisitions of this run of the service, the latest of them."""

    def __init__(self, kept: int = KEPT) -> None:
        self._all: deque[Acquisition] = deque(maxlen=kept)
        self.error: str | None = None
        """The last failure; it stays until the next header."""

    def add(self, acquisition: Acquisition) -> None:
        """List one more; beyond the number kept the oldest goes."""
        self._all.append(acquisition)

    def get(self, identifier: str) -> Acquisition:
        """Return one by its id.

        Raises:
            RequestError: 404, none has that id.
        """
        for acquisition in list(self._all):
            if acquisition.id == identifier:
                return acquisition
        text = f"no acquisition {identifier!r}; GET /api/v1/acquisitions lists them"
        raise RequestError(404, "unknown acquisition", text)

    def __iter__(self) -> Iterator[Acquisition]:
        """Newest first."""
        return reversed(list(self._all))
