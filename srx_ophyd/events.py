"""Which rows of the file the next exposure gets, and which events were published.

Row k of the file is frame k of the events, without an orphan between them: readers
count rows. So whatever the RunEngine did not take - a point interrupted by a pause, one
whose event was dropped - is rewound before the next exposure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from srx_ophyd.status import FramesStatus

Mode = Literal["step", "fly"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next frames go."""

    start: int
    """Their first row."""
    rewind_to: int | None
    """Rows that stay; None: all, the exposure just goes on."""
    new_file: bool


class EventDocuments(Protocol):
    """Which events of one file the RunEngine has had, in one flavour of documents."""

    published: int
    """Events that documents were composed of; the next one's index."""

    def publish(self, stop: int) -> None:
        """Compose what tells of the events before `stop` that nothing told of yet."""
        ...

    def take_back(self) -> bool:
        """Count events whose documents were dropped as not published.

        Returns:
            True when there were some: their frames are to be taken again.
        """
        ...

    @property
    def is_taken(self) -> bool:
        """True once the RunEngine emitted one of the documents."""
        ...

    def mixes_streams(self, described: int) -> bool:
        """Return True when the events went into more than one stream.

        Args:
            described: How often the RunEngine asked for the data keys, once a stream.
        """
        ...


class Events:
    """The events of one staging.

    Args:
        frames_per_event: Rows an event takes.
        new_documents: Called for each file.
        starts_exposures: False: frames may come that nobody asked for yet.
    """

    def __init__(
        self,
        frames_per_event: int,
        new_documents: Callable[[], EventDocuments],
        *,
        starts_exposures: bool,
    ) -> None:
        self._n = frames_per_event
        self._new_documents = new_documents
        self.starts_exposures = starts_exposures
        self._documents = new_documents()
        self.mode: Mode | None = None
        """Of the last exposure."""
        self._described: dict[Mode, int] = {"step": 0, "fly": 0}
        self._paused = False
        self.describes: Mode = "step"
        """What the RunEngine asked for the data keys of last."""
        self.status: FramesStatus | None = None
        """Of the last exposure; None before the first."""

    @property
    def is_complete(self) -> bool:
        """True when the last exposure brought all its frames."""
        return self.status is None or self.status.has_all

    @property
    def mixes_streams(self) -> bool:
        """True when events of one file went into more than one stream."""
        described = self._described[self.mode] if self.mode else 0
        return self._documents.mixes_streams(described)

    @property
    def is_half_told(self) -> bool:
        """True when a pause came after events of its exposure had been published."""
        began = 0 if self.status is None else self.status.start
        return self._paused and self._documents.published * self._n > began

    @property
    def kept_rows(self) -> int | None:
        """Rows that stay at the end: of a step scan those of its events; None: all."""
        if self.mode != "step":
            return None
        self._documents.take_back()
        # Nothing emitted: no RunEngine steers it, and all frames are wanted.
        if not self._documents.is_taken:
            return None
        return self._documents.published * self._n

    def describe(self, mode: Mode) -> None:
        """Note that the RunEngine asked for the data keys: it begins a stream."""
        self._described[mode] += 1
        self.describes = mode

    def next(self, mode: Mode, rows: int) -> Place:
        """Return where the next exposure goes, `rows` being durable now."""
        broken = self._is_broken()
        new_file = self._needs_new_file(mode)
        if new_file:
            self._documents = self._new_documents()
            self._described[mode] = min(1, self._described[mode])
        self.mode = mode
        if new_file:
            return Place(0, None, new_file=True)
        start = self._documents.published * self._n
        if mode == "fly" and not broken and self.status is not None:
            # Two kickoffs: the frames of the first may still wait to be collected.
            start = self.status.target
        ahead = self.starts_exposures and rows != start
        return Place(start, start if broken or ahead else None, new_file=False)

    def pause(self, rows: int) -> None:
        """Note that the RunEngine pauses: it will ask for the last point again."""
        self._documents.take_back()
        self._paused = (
            not self.is_complete or rows != self._documents.published * self._n
        )

    def index(self, rows: int) -> int:
        """Return how many events are there, `rows` being durable."""
        if self.status is None:
            return 0
        return min(rows, self.status.target) // self._n

    def publish(self, rows: int, index: int | None = None) -> None:
        """Compose what tells of the events that are there, `rows` being durable.

        Args:
            rows: Durable rows of the file.
            index: No more events than that; None: all.
        """
        there = self.index(rows)
        self._documents.publish(there if index is None else min(index, there))

    def _is_broken(self) -> bool:
        took_back = self._documents.take_back()
        paused, self._paused = self._paused, False
        return took_back or paused or not self.is_complete

    def _needs_new_file(self, mode: Mode) -> bool:
        if not self._documents.published:
            return False
        # Stepping asks for the keys only when its first frame is there.
        again = mode == "fly" and self._described["fly"] > 1
        return again or mode != self.mode
