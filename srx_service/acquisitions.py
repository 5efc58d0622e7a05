"""What was asked for, what came, what was written, what is missing."""

import threading
import time
import uuid
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from itertools import islice
from typing import Any, Literal

import msgspec

from srx_service.counts import Counts
from srx_service.errors import RequestError
from srx_service.holes import EmptyRows, Rowless
from srx_service.totals import Totals

State = Literal[
    "armed", "running", "finishing", "done", "failed", "aborted", "interrupted"
]
"""What becomes of an acquisition; interrupted: by the end of a service that was
killed."""
TERMINAL = frozenset({"done", "failed", "aborted", "interrupted"})
KEPT = 200
"""Acquisitions of this life of the service that may still change."""
STILL_COUNTED = 8
"""So many acquisitions later no image comes for one that is over."""
PAST_KEPT = 1000
"""Acquisitions that are over and still told of; the oldest go first."""

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
        self._begun_s = time.monotonic()
        self.took_s = 0.0
        """Until it was over, whatever became of the wall clock meanwhile."""
        self.lease_until_s: float | None = None
        self.counts = Counts()
        self.on_state: Callable[[Acquisition], None] = lambda _: None
        """Called with itself at each change of `state`, by the thread that sets it."""
        # the receive thread's, but for the last state, which is the writer's
        self._state: State = "armed"
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
    def state(self) -> State:
        """Where it stands."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self.on_state(self)

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
        self.took_s = time.monotonic() - self._begun_s
        # never before it was created: somebody may have set the clock back
        self.finished_s = max(self.created_s, time.time())
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
    """The acquisitions that are told of: of this life of the service, and before it.

    Args:
        kept: How many of this life may still change.
        past: What is told of those from before, newest first.
        on_state: Called when one is added, and at each change of its state.
    """

    def __init__(
        self,
        kept: int = KEPT,
        *,
        past: Iterable[dict[str, Any]] = (),
        on_state: Callable[[Acquisition], None] = lambda _: None,
    ) -> None:
        self._all: deque[Acquisition] = deque(maxlen=kept)
        self._past: deque[dict[str, Any]] = deque(past, maxlen=PAST_KEPT)
        self._on_state = on_state
        self._ended: dict[str, int] = dict.fromkeys(("done", "failed", "aborted"), 0)
        """How many of this life ended so: the writer's."""
        self._lock = threading.Lock()
        """Each is in one of the next two."""
        self._counting: list[Acquisition] = []
        self._totals = Totals()
        self.error: str | None = None
        """The last failure; it stays until the next header."""

    def add(self, acquisition: Acquisition) -> None:
        """List one more; beyond the number kept nothing changes in the oldest."""
        if len(self._all) == self._all.maxlen:
            self._past.appendleft(self._all[0].as_dict())
        self._all.append(acquisition)
        with self._lock:
            self._counting.append(acquisition)
            for counted in self._counting[:-STILL_COUNTED]:
                if counted.is_over or len(self._counting) > KEPT:
                    self._totals.forget(counted.counts)
                    self._counting.remove(counted)
        acquisition.on_state = self._note
        self._on_state(acquisition)

    def _note(self, acquisition: Acquisition) -> None:
        if acquisition.state in self._ended:
            self._ended[acquisition.state] += 1
        self._on_state(acquisition)

    def totals(self) -> dict[str, dict[str, int]]:
        """Return numbers that only grow: `frames`, `rejected`, `acquisitions` ended."""
        with self._lock:
            listed = [(each.counts, each.is_over) for each in self._counting]
            told = self._totals.told(listed)
        return told | {"acquisitions": dict(self._ended)}

    def get(self, identifier: str) -> Acquisition:
        """Return one by its id.

        Raises:
            RequestError: 404, none has that id; 409, it is one of the past.
        """
        for acquisition in list(self._all):
            if acquisition.id == identifier:
                return acquisition
        told = self.past(identifier)
        if told is not None:
            text = f"acquisition {identifier} is {told['state']} already"
            raise RequestError(409, "over", text)
        text = f"no acquisition {identifier!r}; GET /api/v1/acquisitions lists them"
        raise RequestError(404, "unknown acquisition", text)

    def past(self, identifier: str) -> dict[str, Any] | None:
        """Return what is told of one that cannot change any more; None: not of one."""
        told = (told for told in list(self._past) if told["id"] == identifier)
        return next(told, None)

    def told(self, limit: int) -> list[dict[str, Any]]:
        """Return what is told of so many, newest first."""
        told = [acquisition.as_dict() for acquisition in islice(self, limit)]
        return told + list(self._past)[: limit - len(told)]

    def __iter__(self) -> Iterator[Acquisition]:
        """Newest first: those of this life."""
        return reversed(list(self._all))
