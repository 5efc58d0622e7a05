"""Order by series and frame: DECTRIS."""

from collections import deque
from collections.abc import Sequence

from srx_service.messages import End, Image, Message, Start
from srx_service.ordering.holding import Clock, Held, Lost
from srx_service.ordering.limits import Limits, Stray, StrayKind

OVER_KEPT = 64
"""Ids of series that are over and still known as stale."""


class _Series:
    """One series on its way: what came of it so far."""

    def __init__(self, start: Start | None, now: float) -> None:
        self.start = start
        self.next = 0
        self.held = Held()
        self.lost = Lost()
        self.end: End | None = None
        self.since = now
        """When its Start came; from its End on, when that came."""


class SeriesOrdering:
    """Orders by (series, frame): the Start before frame 0, arrival never numbers."""

    def __init__(self, limits: Limits, *, connections: int = 1) -> None:
        self._limits = limits
        self._single = connections == 1
        self._clock = Clock()
        self._open: _Series | None = None
        self._open_id: int | None = None
        self._waiting: dict[int, _Series] = {}
        self._over: deque[int] = deque(maxlen=OVER_KEPT)
        self._strays: list[Stray] = []

    @property
    def is_waiting(self) -> bool:
        """See Ordering."""
        series = self._open
        return bool(self._waiting) or (
            series is not None and bool(series.held or series.end)
        )

    @property
    def held_bytes(self) -> int:
        """See Ordering."""
        held = sum(series.held.size_bytes for series in self._waiting.values())
        return held + (self._open.held.size_bytes if self._open else 0)

    def take_strays(self) -> list[Stray]:
        """See Ordering."""
        strays, self._strays = self._strays, []
        return strays

    def push(
        self, messages: Sequence[Message], now_s: float, drained: bool
    ) -> list[Message]:
        """See Ordering."""
        self._clock.advance(now_s, drained)
        out: list[Message] = []
        for message in messages:
            series = self._open
            if (
                series is not None
                and type(message) is Image
                and message.number == series.next
                and message.series == self._open_id
            ):
                out.append(message)
                series.next += 1
                if series.held:
                    self._drain(series, out)
            else:
                self._out_of_turn(message, out)
        if self.is_waiting:
            self._run_timers(out)
        return out

    def _out_of_turn(self, message: Message, out: list[Message]) -> None:
        match message:
            case Start():
                self._start(message, out)
            case Image():
                self._image(message, out)
            case End():
                self._end(message, out)

    def _start(self, start: Start, out: list[Message]) -> None:
        identifier = start.series or 0
        if self._open is not None and not self._single:
            if identifier == self._open_id and self._open.next == 0:
                return  # the same header twice
            if self._open.end is None or identifier != self._open_id:
                early = self._waiting.get(identifier)
                if early is None:
                    early = self._waiting[identifier] = _Series(start, self._clock.now)
                early.start = start
                return
        self._close(out)
        self._open_series(identifier, start, out)

    def _open_series(self, identifier: int, start: Start, out: list[Message]) -> None:
        series = self._waiting.pop(identifier, None) or _Series(start, self._clock.now)
        series.start = start
        self._open, self._open_id = series, identifier
        if identifier in self._over:
            self._over.remove(identifier)
        out.append(start)
        self._drain(series, out)
        if series.end is not None:
            self._end_seen(series, out)

    def _image(self, image: Image, out: list[Message]) -> None:
        identifier, number = image.series or 0, image.number
        if number is None:
            self._strays.append(Stray("rejected", image))
        elif self._open is not None and identifier == self._open_id:
            self._of_series(self._open, number, image)
            self._drain(self._open, out)
            self._bound(self._open, out)
        elif identifier in self._waiting:
            self._of_series(self._waiting[identifier], number, image)
            self._bound_early(identifier)
        elif self._single:
            self._strays.append(Stray(self._unknown(identifier), image))
        else:
            early = self._waiting[identifier] = _Series(None, self._clock.now)
            early.held.add(number, image, self._clock.now)

    def _unknown(self, identifier: int) -> StrayKind:
        return "stale" if identifier in self._over else "orphan"

    def _of_series(self, series: _Series, number: int, image: Image) -> None:
        if number < series.next:
            self._strays.append(Stray(series.lost.take(number), image))
        elif number in series.held:
            self._strays.append(Stray("duplicate", image))
        elif number - series.next > self._limits.max_gap:
            self._strays.append(Stray("rejected", image))
        else:
            series.held.add(number, image, self._clock.now)

    def _bound(self, series: _Series, out: list[Message]) -> None:
        while series.held.size_bytes > self._limits.limit_bytes:
            self._give_up_gap(series, out)

    def _bound_early(self, identifier: int) -> None:
        series = self._waiting[identifier]
        if series.held.size_bytes > self._limits.limit_bytes and series.start is None:
            self._forget(identifier)

    def _forget(self, identifier: int) -> None:
        kind = self._unknown(identifier)
        for message in self._waiting.pop(identifier).held.take_all():
            if isinstance(message, Image):
                self._strays.append(Stray(kind, message))

    def _end(self, end: End, out: list[Message]) -> None:
        identifier = end.series or 0
        if self._open is not None and identifier == self._open_id:
            if self._open.end is None:
                self._open.end = end
                self._end_seen(self._open, out)
        elif identifier in self._waiting and self._waiting[identifier].end is None:
            self._waiting[identifier].end = end

    def _end_seen(self, series: _Series, out: list[Message]) -> None:
        series.since = self._clock.now
        announced = series.start.announced if series.start else None
        is_complete = announced is not None and series.next >= announced
        if self._single or is_complete:
            self._close(out)
            self._open_next(out)

    def _drain(self, series: _Series, out: list[Message]) -> None:
        while series.held:
            message = series.held.pop(series.next)
            if message is None:
                return
            series.held.since = self._clock.now
            out.append(message)
            series.next += 1

    def _give_up_gap(self, series: _Series, out: list[Message]) -> None:
        if not series.held:
            return
        first = series.held.first()
        series.lost.add(series.next, first)
        series.next = first
        self._drain(series, out)

    def _close(self, out: list[Message]) -> None:
        """End the open series: what is held passes, its gaps are given up."""
        series = self._open
        if series is None:
            return
        while series.held:
            self._give_up_gap(series, out)
        if series.end is not None:
            out.append(series.end)
        if self._open_id is not None:
            self._over.append(self._open_id)
        self._open, self._open_id = None, None

    def _open_next(self, out: list[Message]) -> None:
        for identifier, series in list(self._waiting.items()):
            if series.start is not None:
                self._open_series(identifier, series.start, out)
                return

    def _run_timers(self, out: list[Message]) -> None:
        now, limits, series = self._clock.now, self._limits, self._open
        if series is not None:
            self._run_gap_timer(series, out)
            if self._is_over(series):
                self._close(out)
        if self._open is None:
            self._open_next(out)
        for identifier, early in list(self._waiting.items()):
            if early.start is None and now - early.since >= limits.gap_timeout_s:
                self._forget(identifier)

    def _run_gap_timer(self, series: _Series, out: list[Message]) -> None:
        now = self._clock.now
        if series.held and now - series.held.since >= self._limits.gap_timeout_s:
            self._give_up_gap(series, out)
            series.held.since = now

    def _is_over(self, series: _Series) -> bool:
        """An End is final once nothing is missing and nothing came for a while."""
        followers = [s for s in self._waiting.values() if s.start is not None]
        if series.end is None and not followers:
            return False
        begun = series.since if series.end is not None else followers[0].since
        waited = self._clock.now - begun
        if series.held:
            return waited >= self._limits.gap_timeout_s
        return waited >= self._limits.end_grace_s
