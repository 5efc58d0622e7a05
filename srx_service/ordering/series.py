"""Order by series and frame: DECTRIS."""

from collections import deque
from collections.abc import Sequence

from srx_service.messages import End, Image, Message, Start
from srx_service.ordering.holding import Clock, Held, Strays, Track
from srx_service.ordering.limits import Limits, Stray

OVER_KEPT = 64
"""Ids of series that are over and still known as stale."""
WAITING_KEPT = 64
"""Series that wait for their Start or their turn; one more makes room at once."""


class _Series:
    """One series on its way: what came of it so far."""

    def __init__(self, now: float, strays: Strays) -> None:
        self.start: Start | None = None
        self.end: End | None = None
        self.track = Track(strays)
        self.track.begin(0)
        self.since = now
        """When the first of it came; from its End on, when that came."""

    @property
    def is_complete(self) -> bool:
        """True when its End came and no image can be missing."""
        announced = self.start.announced if self.start is not None else None
        return (
            self.end is not None
            and announced is not None
            and self.track.next >= announced
        )


class SeriesOrdering:
    """Orders by (series, frame): the Start before frame 0, arrival never numbers.

    One series is open at a time. On several connections others wait: for their Start,
    or until the open one is over.
    """

    def __init__(self, limits: Limits, *, connections: int = 1) -> None:
        self._limits = limits
        self._single = connections == 1
        self._clock = Clock()
        self._open: _Series | None = None
        self._open_id: int | None = None
        self._below = Held()
        """Of the id that is open, below its next frame: late, or ahead of the Start of
        another series with that id. On several connections only."""
        self._waiting: dict[int, _Series] = {}
        self._over: deque[int] = deque(maxlen=OVER_KEPT)
        self._strays = Strays()

    @property
    def is_waiting(self) -> bool:
        """See Ordering."""
        series = self._open
        if series is not None and (series.track.held or series.end):
            return True
        return bool(self._waiting or self._below)

    @property
    def held_bytes(self) -> int:
        """See Ordering."""
        return sum(held.size_bytes for held in self._all_held())

    @property
    def lost(self) -> int:
        """See Ordering."""
        return self._strays.lost

    def take_strays(self) -> list[Stray]:
        """See Ordering."""
        return self._strays.take()

    def push(
        self, messages: Sequence[Message], now_s: float, drained: bool
    ) -> list[Message]:
        """See Ordering."""
        self._clock.advance(now_s, drained)
        out = self._strays.begin()
        for message in messages:
            series = self._open
            if (
                series is not None
                and type(message) is Image
                and message.number == series.track.next
                and message.series == self._open_id
            ):
                out.append(message)
                series.track.next += 1
                if series.track.held.by_number:
                    series.track.drain(out)
            else:
                self._out_of_turn(message, out)
        if self.is_waiting:
            self._run_timers(out)
        return out

    def release(self) -> list[Message]:
        """See Ordering."""
        out = self._strays.begin()
        if self._open is not None:
            self._open.track.give_up_all(out)
        return out

    # -- messages ---------------------------------------------------------------------

    def _out_of_turn(self, message: Message, out: list[Message]) -> None:
        match message:
            case Start():
                self._start(message, out)
            case Image():
                self._image(message, out)
            case End():
                self._end(message, out)
        self._bound(out)

    def _start(self, start: Start, out: list[Message]) -> None:
        identifier = start.series or 0
        is_again = identifier == self._open_id
        if self._open is None or self._single or is_again:
            early = self._below.take_all() if is_again else []
            self._close(out)
            self._of(identifier).start = start
            self._begin_at(start, self._of(identifier).track)
            self._open_series(identifier, out)
            for image in early:
                self._out_of_turn(image, out)
        else:
            self._of(identifier).start = start

    def _begin_at(self, start: Start, track: Track) -> None:
        """A Start that was made up in mid-series knows of the first image there is."""
        number = start.number if start.number is not None else -1
        if number >= 0 and not track.held:
            # on several connections some before it may still come
            reach = 0 if self._single else self._limits.max_gap // 2
            track.begin(max(0, number + 1 - reach))

    def _image(self, image: Image, out: list[Message]) -> None:
        identifier, number, now = image.series or 0, image.number, self._clock.now
        is_of_open = self._open is not None and identifier == self._open_id
        if number is None:
            self._strays.add("rejected", image)
        elif self._single and not is_of_open:
            self._turn_away_other(identifier, image)
        else:
            track = self._of(identifier).track
            kind = track.admit(number, image, now, self._limits.max_gap)
            is_below = is_of_open and number < track.next and not self._single
            if is_below and number not in self._below:
                self._below.add(number, image, now)
            elif kind is not None:
                self._strays.add(kind, image)
            elif is_of_open:
                track.drain(out)

    def _end(self, end: End, out: list[Message]) -> None:
        identifier = end.series or 0
        is_of_open = self._open is not None and identifier == self._open_id
        is_new = not self._single and (
            identifier in self._waiting or identifier not in self._over
        )
        if not (is_of_open or is_new):
            return  # one more End is harmless
        series = self._of(identifier)
        if series.end is None:
            series.end = end
            if is_of_open:
                self._end_seen(series, out)

    def _of(self, identifier: int) -> _Series:
        if self._open is not None and identifier == self._open_id:
            return self._open
        if identifier not in self._waiting:
            self._waiting[identifier] = _Series(self._clock.now, self._strays)
        return self._waiting[identifier]

    def _turn_away_other(self, identifier: int, message: Message) -> None:
        """Of a series that is not open, nor will be."""
        self._strays.add("stale" if identifier in self._over else "orphan", message)

    # -- series -----------------------------------------------------------------------

    def _open_series(self, identifier: int, out: list[Message]) -> None:
        series = self._waiting.pop(identifier)
        assert series.start is not None
        self._open, self._open_id = series, identifier
        if identifier in self._over:
            self._over.remove(identifier)
        out.append(series.start)
        series.track.drain(out)
        if series.end is not None:
            self._end_seen(series, out)

    def _end_seen(self, series: _Series, out: list[Message]) -> None:
        series.since = self._clock.now
        if self._single or series.is_complete:
            self._close(out)
            self._open_next(out)

    def _close(self, out: list[Message]) -> None:
        """End the open series: what is held passes, its gaps are given up."""
        series, identifier = self._open, self._open_id
        if series is None or identifier is None:
            return
        series.track.give_up_all(out)
        if series.end is not None:
            out.append(series.end)
        self._turn_away(self._below.take_all())
        self._over.append(identifier)
        self._open, self._open_id = None, None

    def _turn_away(self, below: list[Message]) -> None:
        """Of the open series, after their place was taken or given up."""
        assert self._open is not None or not below
        for image in below:
            if self._open and isinstance(image, Image) and image.number is not None:
                self._strays.add(self._open.track.kind_below(image.number), image)

    def _followers(self) -> list[int]:
        """Ids of the series that have their Start and wait for their turn."""
        return [k for k, series in self._waiting.items() if series.start is not None]

    def _open_next(self, out: list[Message]) -> bool:
        # the lower id first: Starts that come so close overtake one another, too
        identifier = min(self._followers(), default=None)
        if self._open is not None or identifier is None:
            return False
        self._open_series(identifier, out)
        return True

    def _forget(self, identifier: int) -> None:
        """Turn away what came of a series that has no Start."""
        track = self._waiting.pop(identifier).track
        for message in track.held.take_all():
            for one in (message, *track.take_doubles(message.number or 0)):
                self._turn_away_other(identifier, one)

    # -- bounds and time --------------------------------------------------------------

    def _all_held(self) -> list[Held]:
        held = [series.track.held for series in self._waiting.values()]
        if self._open is not None:
            held.append(self._open.track.held)
        held.append(self._below)
        return held

    def _is_full(self) -> bool:
        if len(self._waiting) > WAITING_KEPT:
            return True
        limit = self._limits.limit_bytes
        for held in self._all_held():
            limit -= held.weight
        return limit < 0

    def _bound(self, out: list[Message]) -> None:
        """Make room: the oldest gap first, then the open series for its followers."""
        while self._is_full():
            if self._below:
                self._turn_away(self._below.take_all())
            elif self._open is not None and self._open.track.held:
                self._open.track.give_up_gap(out)
            elif self._followers():
                self._close(out)
                self._open_next(out)
            else:
                self._forget(next(iter(self._waiting)))

    def _run_timers(self, out: list[Message]) -> None:
        now, timeout = self._clock.now, self._limits.gap_timeout_s
        self._turn_away(self._below.take_older(now - timeout))
        series = self._open
        if series is not None:
            series.track.run_timer(now, timeout, out)
            if self._is_over(series):
                self._close(out)
        self._open_next(out)
        for identifier, early in list(self._waiting.items()):
            if early.start is None and now - early.since >= timeout:
                self._forget(identifier)

    def _is_over(self, series: _Series) -> bool:
        """An End is final once nothing is missing and nothing came for a while."""
        followers = self._followers()
        if series.is_complete:
            return True
        if series.end is not None:
            begun = series.since
        elif followers:
            begun = self._waiting[followers[0]].since
        else:
            return False
        waited = self._clock.now - begun
        if series.track.held:
            return waited >= self._limits.gap_timeout_s
        return waited >= self._limits.end_grace_s
