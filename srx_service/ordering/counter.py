"""Order by a counter over all messages: the generic stream."""

from collections.abc import Sequence

from msgspec.structs import replace

from srx_service.messages import End, Image, Message, Start
from srx_service.ordering.holding import Clock, Held, Lost
from srx_service.ordering.limits import Limits, Stray


class CounterOrdering:
    """Orders by the source's counter over all messages, across series.

    Sources without a counter are numbered by arrival; a jump of `frame` opens a gap
    there.
    """

    def __init__(self, limits: Limits, *, connections: int = 1) -> None:
        self._limits = limits
        self._single = connections == 1
        self._clock = Clock()
        self._next: int | None = None
        self._held = Held()
        self._below = Held()
        self._lost = Lost()
        self._strays: list[Stray] = []
        self._by_arrival = False
        self._last_frame: int | None = None

    @property
    def is_waiting(self) -> bool:
        """See Ordering."""
        return bool(self._held or self._below)

    @property
    def held_bytes(self) -> int:
        """See Ordering."""
        return self._held.size_bytes + self._below.size_bytes

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
        expected = self._next
        append = out.append
        for message in messages:
            if message.number == expected and expected is not None:
                append(message)
                expected += 1
                if type(message) is not Image:
                    self._passed(message)
                if self._held:
                    self._next = expected
                    self._drain(out)
                    expected = self._next
                continue
            self._next = expected
            self._out_of_turn(message, out)
            expected = self._next
        self._next = expected
        if self._held or self._below:
            self._run_timers(out)
        return out

    def _passed(self, message: Message) -> None:
        if isinstance(message, Start):
            self._lost.clear()
            self._by_arrival = False

    def _out_of_turn(self, message: Message, out: list[Message]) -> None:
        number = message.number
        if number is None or (self._by_arrival and not isinstance(message, Start)):
            self._arrived(message, out)
        elif isinstance(message, Start) and not self._takes_its_turn(number):
            self._resync(number)
            self._pass(number, message, out)
        elif self._next is None:
            self._before_any_start(number, message, out)
        elif number < self._next:
            self._late(number, message)
        else:
            self._ahead(number, message, out)

    def _takes_its_turn(self, number: int) -> bool:
        if self._next is None or self._by_arrival:
            return False
        return self._next <= number <= self._next + self._limits.max_gap

    def _pass(self, number: int, message: Message, out: list[Message]) -> None:
        out.append(message)
        self._next = number + 1
        self._passed(message)
        self._drain(out)

    def _drain(self, out: list[Message]) -> None:
        while self._held and self._next is not None:
            message = self._held.pop(self._next)
            if message is None:
                return
            self._held.since = self._clock.now
            out.append(message)
            self._passed(message)
            self._next += 1

    def _arrived(self, message: Message, out: list[Message]) -> None:
        """Number a message by its arrival: one connection keeps the order."""
        number = self._next or 0
        if isinstance(message, Start):
            self._give_up_all(out)
            number = self._next or 0
            self._lost.clear()
            self._by_arrival, self._last_frame = True, None
        elif isinstance(message, Image) and self._by_arrival:
            number += self._frames_skipped(message)
        self._lost.add(self._next or 0, number)
        out.append(replace(message, number=number))
        self._next = number + 1
        self._drain(out)

    def _frames_skipped(self, image: Image) -> int:
        last, self._last_frame = self._last_frame, image.frame
        if last is None or not 0 < image.frame - last - 1 <= self._limits.max_gap:
            return 0
        return image.frame - last - 1

    def _resync(self, number: int) -> None:
        """A restarted source: numbers begin anew, what is of the old ones is void."""
        kept = {n: m for n, m in self._below.by_number.items() if n > number}
        for held in (self._held, self._below):
            for message in held.take_all():
                if message.number not in kept and isinstance(message, Image):
                    self._strays.append(Stray("stale", message))
        for kept_number, message in kept.items():
            self._held.add(kept_number, message, self._clock.now)
        self._by_arrival = False

    def _before_any_start(
        self, number: int, message: Message, out: list[Message]
    ) -> None:
        """Several connections may bring images before their Start; one does not."""
        if self._single:
            self._pass(number, message, out)
        elif number not in self._below:
            self._below.add(number, message, self._clock.now)

    def _late(self, number: int, message: Message) -> None:
        if not isinstance(message, Image):
            return  # an End, or a Start seen twice: harmless
        if self._single or number in self._below:
            self._strays.append(Stray(self._lost.take(number), message))
        else:
            self._below.add(number, message, self._clock.now)

    def _ahead(self, number: int, message: Message, out: list[Message]) -> None:
        assert self._next is not None
        if number - self._next > self._limits.max_gap:
            if isinstance(message, Image):
                self._strays.append(Stray("rejected", message))
            return
        if number in self._held:
            if isinstance(message, Image):
                self._strays.append(Stray("duplicate", message))
            return
        self._held.add(number, message, self._clock.now)
        if self._single and isinstance(message, End):
            self._give_up_all(out)  # on one connection nothing before it can still come
        while self._held.size_bytes > self._limits.limit_bytes:
            self._give_up_gap(out)

    def _give_up_gap(self, out: list[Message]) -> None:
        if self._next is None or not self._held:
            return
        first = self._held.first()
        self._lost.add(self._next, first)
        self._next = first
        self._drain(out)

    def _give_up_all(self, out: list[Message]) -> None:
        while self._held:
            self._give_up_gap(out)

    def _run_timers(self, out: list[Message]) -> None:
        timeout, now = self._limits.gap_timeout_s, self._clock.now
        if self._held and now - self._held.since >= timeout:
            self._give_up_gap(out)
            self._held.since = now
        if not self._below:
            return
        is_full = self._below.size_bytes > self._limits.limit_bytes
        if is_full or now - self._below.since >= timeout:
            self._settle_below(out)

    def _settle_below(self, out: list[Message]) -> None:
        if self._next is None:  # no Start came: the line begins in mid-series
            self._next = self._below.first()
            for message in self._below.take_all():
                assert message.number is not None
                self._held.add(message.number, message, self._clock.now)
            self._drain(out)
            return
        for message in self._below.take_all():
            if isinstance(message, Image) and message.number is not None:
                self._strays.append(Stray(self._lost.take(message.number), message))
