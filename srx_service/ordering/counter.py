"""Order by a counter over all messages: the generic stream."""

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from srx_service.messages import NO_PIXELS, End, Image, Message, Start
from srx_service.ordering.holding import (
    NOWHERE,
    Clock,
    Held,
    Strays,
    Track,
    are_images_from,
)
from srx_service.ordering.limits import Limits, Stray, StrayKind

NEAR = 100
"""So far ahead a message of a restarted source is believed, even if the numbers from
before its restart are as near."""


class CounterOrdering:
    """Orders by the source's counter over all messages, across series.

    Sources without a counter are numbered by arrival; a jump of `frame` opens a gap
    there.
    """

    def __init__(self, limits: Limits, *, connections: int = 1) -> None:
        self._limits = limits
        self._single = connections == 1
        self._clock = Clock()
        self._strays = Strays()
        self._track = Track(self._strays)
        self._below = Held()
        """Below the next number, or before there is one: late, or ahead of their
        Start. On several connections only."""
        self._first_start: int | None = None
        """The lowest Start that came before there was a next number."""
        self._before_restart: int | None = None
        """The next number of a source that has been restarted, while messages from
        before may still come."""
        self._by_arrival = False
        self._last_frame: int | None = None

    @property
    def is_waiting(self) -> bool:
        """See Ordering."""
        return bool(self._track.held or self._below)

    @property
    def held_bytes(self) -> int:
        """See Ordering."""
        return self._track.held.size_bytes + self._below.size_bytes

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
        if not self.is_waiting and are_images_from(messages, self._track.next):
            self._track.next += len(messages)
            out += messages
        else:
            self._order(messages, out)
        if drained:
            self._before_restart = None
        return out

    def _order(self, messages: Sequence[Message], out: list[Message]) -> None:
        track, held = self._track, self._track.held.by_number
        append = out.append
        for message in messages:
            if message.number != track.next:
                self._out_of_turn(message, out)
                continue
            append(message)
            if type(message) is Start:
                self._by_arrival, track.first = False, track.next
            track.next += 1
            if held:
                track.drain(out)
        if held or self._below:
            self._run_timers(out)

    def release(self) -> list[Message]:
        """See Ordering."""
        out = self._strays.begin()
        self._settle(self._below.take_all(), out)
        self._track.give_up_all(out)
        return out

    def _out_of_turn(self, message: Message, out: list[Message]) -> None:
        number = message.number
        is_start = isinstance(message, Start)
        if number is None or (self._by_arrival and not is_start):
            self._arrived(message, out)
            return
        if is_start and self._begins_anew(number):
            self._restart(number, message, out)
        elif self._track.next == NOWHERE:
            self._before_any(number, message, out)
        elif number < self._track.next:
            self._late(number, message)
        else:
            self._ahead(number, message, out)
        self._bound(out)

    def _begins_anew(self, number: int) -> bool:
        following = self._track.next
        if following == NOWHERE:
            return self._single
        is_in_turn = following <= number <= following + self._limits.max_gap
        return self._by_arrival or not is_in_turn

    def _restart(self, number: int, start: Message, out: list[Message]) -> None:
        """The source was restarted, or is new: numbers begin with this Start."""
        track = self._track
        track.give_up_all(out)
        if track.next != NOWHERE and not self._single:
            self._before_restart = track.next
        self._by_arrival = False
        track.begin(number)
        track.held.add(number, start, self._clock.now)
        for early in self._below.take_all():
            if _number(early) < number:
                self._turn_away("stale", "stale", early)
            else:
                self._ahead(_number(early), early, out)
        track.drain(out)

    def _is_from_before(self, number: int) -> bool:
        """Nearer to where the source was before its restart than to where it is."""
        before, ahead = self._before_restart, number - self._track.next
        return before is not None and ahead > max(abs(before - number), NEAR)

    def _arrived(self, message: Message, out: list[Message]) -> None:
        """Without a number of its own: one connection keeps the order."""
        track = self._track
        if isinstance(message, Start):
            track.give_up_all(out)
            self._by_arrival, self._last_frame = True, None
            track.first = max(0, track.next)
        elif track.next == NOWHERE:
            self._by_arrival = True
        elif not self._by_arrival:  # others have numbers: it must not take one of them
            if isinstance(message, End):
                track.give_up_all(out)
            out.append(message)
            return
        number = max(0, track.next) + self._frames_skipped(message)
        out.append(replace(message, number=number))
        track.next = number + 1

    def _frames_skipped(self, message: Message) -> int:
        if not isinstance(message, Image) or message.encoding == NO_PIXELS:
            return 0
        last, self._last_frame = self._last_frame, message.frame
        if last is None or not 0 < message.frame - last - 1 <= self._limits.max_gap:
            return 0
        self._strays.lost += message.frame - last - 1
        return message.frame - last - 1

    def _before_any(self, number: int, message: Message, out: list[Message]) -> None:
        """Several connections may bring images before their Start; one does not."""
        if self._single:
            out.append(message)
            self._track.begin(number + 1)
            return
        first = self._first_start
        if isinstance(message, Start) and (first is None or number < first):
            self._first_start = number
        self._hold_below(number, message)

    def _late(self, number: int, message: Message) -> None:
        if self._single:
            self._strays.add(self._track.kind_below(number), message)
        else:
            self._hold_below(number, message)

    def _hold_below(self, number: int, message: Message) -> None:
        if number in self._below:
            self._track.double(number, message)
        else:
            self._below.add(number, message, self._clock.now)

    def _ahead(self, number: int, message: Message, out: list[Message]) -> None:
        if self._is_from_before(number):
            self._turn_away("stale", "stale", message)
            return
        track, now = self._track, self._clock.now
        kind = track.admit(number, message, now, self._limits.max_gap)
        if kind is not None:
            self._turn_away(kind, "duplicate", message)
        elif self._single and isinstance(message, End):
            track.give_up_all(out)  # on one connection nothing before it can still come

    def _turn_away(self, kind: StrayKind, doubled: StrayKind, message: Message) -> None:
        """Find no place for a message, nor for what came doubled while it was held."""
        self._strays.add(kind, message)
        for double in self._track.take_doubles(_number(message)):
            self._strays.add(doubled, double)

    def _bound(self, out: list[Message]) -> None:
        limit, held, below = self._limits.limit_bytes, self._track.held, self._below
        if below and held.weight + below.weight > limit:
            self._settle(below.take_all(), out)
        while held and held.weight > limit:
            self._track.give_up_gap(out)

    def _run_timers(self, out: list[Message]) -> None:
        timeout, now = self._limits.gap_timeout_s, self._clock.now
        if self._track.next == NOWHERE:
            # the Start of a series before this one may still be on its way
            patience = (
                timeout if self._first_start is None else self._limits.end_grace_s
            )
            if now - self._below.since() >= patience:
                self._settle(self._below.take_all(), out)
        elif self._below:
            self._settle(self._below.take_older(now - timeout), out)
        self._track.run_timer(now, timeout, out)

    def _settle(self, below: list[Message], out: list[Message]) -> None:
        """Take or turn away what has been waited for long enough."""
        track, now = self._track, self._clock.now
        without_start: Literal["orphan"] | None = None
        if below and track.next == NOWHERE:
            first, self._first_start = self._first_start, None
            track.begin(_number(below[0]) if first is None else first)
            without_start = "orphan"
        for message in below:
            number = _number(message)
            kind = track.admit(number, message, now, self._limits.max_gap)
            if kind is not None:
                doubled = without_start or "duplicate"
                self._turn_away(without_start or kind, doubled, message)
        track.drain(out)


def _number(message: Message) -> int:
    assert message.number is not None
    return message.number
