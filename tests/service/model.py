"""What is to become of messages, said once more and plainly: lists and no bookkeeping.

One source on one connection, one writer that has all the room it wants. A place is a
tuple of what became of it, the row it has or would have had, and its image's token.
"""

from collections import Counter
from dataclasses import dataclass, field

from srx_service.messages import NO_PIXELS, End, Image, Message, Start
from tests.service.line import ROOT, UNFIT

Row = bytes | None
GIVES_WAY_S = 10.0


@dataclass
class Expected:
    """An acquisition, and every place in it."""

    origin: str
    file: str | None
    skips: bool
    series: int | str = 1
    expected: int | None = None
    places: list[tuple[str, int, Row]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """Of images that have no place."""
    firsts: list[int] = field(default_factory=list)
    """The first row of each series."""
    base: int = 0
    """Rows that its file had before."""
    is_open: bool = False
    state: str = "armed"

    @property
    def rows(self) -> list[Row]:
        """What its file holds of it."""
        has_row = ("written", "hole", "rejected hole")
        return [token for what, _, token in self.places if what in has_row]

    def add(self, what: str, token: Row = None) -> bool:
        """Give a place away; False: no more are expected."""
        if self.expected is not None and len(self.places) >= self.expected:
            return False
        self.places.append((what, len(self.rows), token))
        return True

    def lose(self, what: str) -> bool:
        """Leave a hole, where holes are left."""
        has_hole = self.file is not None and not self.skips
        names = {"missing": "hole", "rejected": "rejected hole"}
        return self.add(names[what] if has_hole else what)

    def totals(self) -> dict[str, int]:
        """Return every count that is not zero."""
        found = Counter(what for what, _, _ in self.places)
        found["missing"] += found.pop("hole", 0)
        found["rejected"] += found.pop("rejected hole", 0)
        found += self.counts
        found["received"] = found.total() - found["missing"]
        if self.state in ("done", "aborted") and self.expected is not None:
            found["short"] = self.expected - len(self.places)
        return {name: count for name, count in found.items() if count}


class Model:
    """Ordering and acquisitions. Each method is what the line does at one event."""

    def __init__(self, order: str, *, skips: bool, max_gap: int) -> None:
        self.order = order
        self.max_gap = max_gap
        self.skips = skips
        self.files: dict[str, list[Row]] = {}
        """As they are durable."""
        self.orphans = 0
        self.acquisitions: list[Expected] = []
        self.restart()

    def restart(self) -> None:
        """All is forgotten but what is durable."""
        self.current: Expected | None = None
        self.acquisitions = []
        self.is_draining = False
        self.now_s = self.silent_s = 0.0
        self.orphans = 0
        self.expects = 0
        """The number of the next image, by the acquisitions' books."""
        self.series: int | None = None
        self.over: set[int | None] = set()
        self.next: int | None = None
        """The number of the next message, by the ordering's."""
        self.first = 0
        self.lost: set[int] = set()
        self.held: dict[int, tuple[float, Message, list[Message]]] = {}
        """By number: when it came, what it is, what else came with that number."""

    # -- ordering ---------------------------------------------------------------------

    def arrive(self, message: Message) -> None:
        """A message comes; one at a time."""
        if self.order == "series":
            self._arrive_in_series(message)
        else:
            self._arrive_counted(message)

    def _arrive_counted(self, message: Message) -> None:
        number = message.number
        assert number is not None
        following = number if self.next is None else self.next
        is_in_turn = following <= number <= following + self.max_gap
        if isinstance(message, Start) and not (is_in_turn and self.next is not None):
            self.give_up()
            self._go_on_from(number)
        elif self.next is None:
            self._go_on_from(number)
            self.first = number + 1  # nobody saw a Start
        if number < (self.next or 0):
            self._below(number, message)
            return
        is_ahead = number > (self.next or 0)
        if self._hold(number, message) and is_ahead and isinstance(message, End):
            self.give_up()  # on one connection nothing before it can still come

    def _arrive_in_series(self, message: Message) -> None:
        is_open = self.next is not None and message.series == self.series
        match message:
            case Start():
                self._end_of_series()
                self.series = message.series
                self.over.discard(message.series)
                self._go_on_from(0)
                self._passes(message)
            case Image() if not is_open:
                is_over = message.series in self.over
                self._stray("stale" if is_over else "orphan", message)
            case Image():
                assert message.number is not None
                assert self.next is not None
                if message.number < self.next:
                    self._below(message.number, message)
                else:
                    self._hold(message.number, message)
            case End() if is_open:
                self._end_of_series()
                self._passes(message)

    def _end_of_series(self) -> None:
        self.give_up()
        if self.next is not None:
            self.over.add(self.series)
            self.next = None

    def _go_on_from(self, number: int) -> None:
        self.next = self.first = number
        self.lost = set()

    def _hold(self, number: int, message: Message) -> bool:
        """Keep it until its turn, which may be now; False: it is too far ahead."""
        assert self.next is not None
        if number in self.held:
            self.held[number][2].append(message)
        elif number - self.next > self.max_gap:
            self._stray("stale", message)
            return False
        else:
            self.held[number] = (self.now_s, message, [])
            self._pass_on()
        return True

    def _below(self, number: int, message: Message) -> None:
        kind = "late" if number in self.lost else "duplicate"
        self._stray("stale" if number < self.first else kind, message)

    def _pass_on(self) -> None:
        while self.next is not None and self.next in self.held:
            _, message, others = self.held.pop(self.next)
            if isinstance(message, Start):
                self.first = self.next
            self.next += 1
            self._passes(message)
            for other in others:
                self._stray("duplicate", other)

    def _give_up_gap(self) -> None:
        assert self.next is not None
        lowest = min(self.held)
        self.lost.update(range(self.next, lowest))
        self.next = lowest
        self._pass_on()

    def give_up(self) -> None:
        """Nothing is waited for any more."""
        while self.held:
            self._give_up_gap()

    def wait(self, seconds: float, patience_s: float) -> None:
        """Time passes in which nothing comes."""
        self.now_s += seconds
        self.silent_s += seconds
        while self.held and self.now_s - self._since_s() >= patience_s:
            self._give_up_gap()

    def _since_s(self) -> float:
        return min(came_s for came_s, _, _ in self.held.values())

    # -- acquisitions -----------------------------------------------------------------

    def _passes(self, message: Message) -> None:
        self.silent_s = 0.0
        match message:
            case Start():
                self._begin(message)
            case Image():
                self._image(message)
            case End():
                self._end(message)

    @property
    def _bound(self) -> Expected | None:
        return self.current if self.current and self.current.is_open else None

    def _begin(self, start: Start) -> None:
        self._close_series()
        if self.current is None:
            file = str(ROOT / start.filename) if start.filename else None
            self.arm(Expected("stream", file, self.skips))
            self.is_draining = False
        current = self.current
        assert current is not None
        is_left = current.series == "open" or len(current.firsts) < int(current.series)
        if is_left and not self.is_draining:
            current.firsts.append(len(current.rows))
            current.is_open, current.state = True, "running"
            self.expects = (start.number or 0) + 1 if self.order == "counter" else 0

    def _image(self, image: Image) -> None:
        bound = self._bound
        if bound is None:
            self._stray("stale", image)
            return
        assert image.number is not None
        self._miss_until(image.number, bound)
        self.expects = image.number + 1
        if not self._place(bound, image):
            bound.counts["surplus"] += 1

    def _place(self, bound: Expected, image: Image) -> bool:
        if image.encoding == NO_PIXELS:
            return bound.lose("rejected")
        if image.discard:
            return bound.add("discarded")
        if bound.file is None:
            return bound.add("unsaved")
        if image.encoding == UNFIT:
            return bound.add("rejected hole")
        return bound.add("written", bytes(image.blobs[0]))

    def _miss_until(self, number: int, bound: Expected) -> None:
        for _ in range(number - self.expects):
            bound.lose("missing")

    def _end(self, end: End) -> None:
        if self._bound is not None and end.number is not None:
            self._miss_until(end.number, self._bound)
        self._close_series()

    def _close_series(self) -> None:
        bound = self._bound
        if bound is not None:
            bound.is_open = False
            is_all = bound.series != "open" and len(bound.firsts) >= int(bound.series)
            if is_all:
                self.close("done")

    def _stray(self, kind: str, message: Message) -> None:
        """An image that has no place; a Start or an End seen twice is harmless."""
        if not isinstance(message, Image):
            return
        if self.current is not None and kind != "orphan":
            self.current.counts[kind] += 1
        elif message.encoding != NO_PIXELS:
            self.orphans += 1

    # -- clients ----------------------------------------------------------------------

    @property
    def gives_way(self) -> bool:
        """True where an arm may be met."""
        busy = self.current
        is_silent = self.silent_s >= GIVES_WAY_S
        return busy is None or (busy.origin == "stream" and is_silent)

    def arm(self, wanted: Expected) -> None:
        """An acquisition is made."""
        if self.current is not None:
            self.close("done")
        wanted.base = len(self.given(wanted.file)) if wanted.file else 0
        self.acquisitions.append(wanted)
        self.current, self.is_draining = wanted, True

    def close(self, state: str) -> None:
        """It is stopped or aborted, or its series are used up."""
        assert self.current is not None
        self.current.is_open, self.current.state = False, state
        self.current = None

    def rewind(self, row: int) -> None:
        """Rows are taken back, and every place that stood between them or after."""
        current = self.current
        assert current is not None
        end, is_cut = len(current.rows), current.is_open
        while current.firsts and (is_cut or end > row):
            end, is_cut = current.firsts.pop(), False
        current.is_open = False
        if current.file is None:
            return  # unsaved is what its images stay
        gone = [what for what, at, _ in current.places if at >= row]
        current.places = [place for place in current.places if place[1] < row]
        lost = sum(what in ("missing", "hole") for what in gone)
        current.counts["rewound"] += len(gone) - lost

    # -- the disk ---------------------------------------------------------------------

    def given(self, file: str) -> list[Row]:
        """Return the rows of a file once all is written."""
        rows = list(self.files.get(file, []))
        for each in self.acquisitions:
            if each.file == file:
                rows[each.base :] = each.rows
        return rows

    def write(self) -> None:
        """All that was given becomes durable."""
        names = [each.file for each in self.acquisitions if each.file is not None]
        self.files |= {name: self.given(name) for name in names}
