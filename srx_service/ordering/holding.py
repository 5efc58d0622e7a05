"""What both orderings hold messages with: a clock, a run of numbers, what is lost."""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from operator import attrgetter
from typing import TypeGuard

from msgspec.structs import replace

from srx_service.messages import Image, Message, Start
from srx_service.ordering.limits import Stray, StrayKind

LOST_KEPT = 10_000
"""Gaps given up that are remembered, to tell late images from duplicates."""
MESSAGE_BYTES = 1024
"""Counted for each message held besides its pixels: small ones need room too."""

_NUMBER = attrgetter("number")
NOWHERE = -1
"""The next number of a run that has not begun: no message has it."""


def size_of(message: Message) -> int:
    """Return the bytes of pixels and tables that a message holds."""
    if type(message) is Image:
        blobs = message.blobs
        return len(blobs[0]) if len(blobs) == 1 else sum(map(len, blobs))
    if isinstance(message, Start):
        tables = sum(table.nbytes for table in message.tables.values())
        return tables + len(message.appendix)
    return 0


def are_images_from(
    messages: Sequence[Message], number: int
) -> TypeGuard[Sequence[Image]]:
    """True for images that follow one another from a number on, and nothing else.

    Nearly all batches of a fast stream are: all at once this costs half as much as one
    by one.
    """
    count = len(messages)
    return [*map(type, messages)].count(Image) == count and [
        *map(_NUMBER, messages)
    ] == [*range(number, number + count)]


class Clock:
    """Seconds during which the sockets were found empty."""

    def __init__(self) -> None:
        self.now = 0.0
        self._last: float | None = None

    def advance(self, now_s: float, drained: bool) -> None:
        """Let time run, if the sockets were found empty."""
        if drained and self._last is not None:
            self.now += max(0.0, now_s - self._last)
        self._last = now_s


class Lost:
    """The ranges that were given up; they only grow upwards."""

    def __init__(self) -> None:
        self._ranges: deque[range] = deque(maxlen=LOST_KEPT)

    def add(self, first: int, stop: int) -> None:
        """Note the numbers from first up to stop as given up."""
        if stop > first:
            self._ranges.append(range(first, stop))

    def __contains__(self, number: int) -> bool:
        index = bisect_right(self._ranges, number, key=attrgetter("start"))
        return index > 0 and number in self._ranges[index - 1]


class Held:
    """Messages by number, each with the time at which it came."""

    def __init__(self) -> None:
        self.by_number: dict[int, Message] = {}
        self._lowest: list[int] = []
        self._arrivals: deque[tuple[float, int]] = deque()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self.by_number)

    def __contains__(self, number: int) -> bool:
        return number in self.by_number

    @property
    def weight(self) -> int:
        """Bytes it takes, the small change of each message included."""
        return self.size_bytes + MESSAGE_BYTES * len(self.by_number)

    def add(self, number: int, message: Message, now: float) -> None:
        """Hold one more."""
        self.by_number[number] = message
        heappush(self._lowest, number)
        self._arrivals.append((now, number))
        self.size_bytes += size_of(message)

    def pop_if_first(self, number: int) -> Message | None:
        """Give back the message of a number, if it is the lowest held."""
        if not self._lowest or self._lowest[0] != number:
            return None
        heappop(self._lowest)
        message = self.by_number.pop(number)
        self.size_bytes -= size_of(message)
        if not self._lowest:
            self._arrivals.clear()
        return message

    def first(self) -> int:
        """Return the lowest number held."""
        return self._lowest[0]

    def since(self) -> float:
        """Return when the one that is held longest came."""
        arrivals = self._arrivals
        while arrivals[0][1] not in self.by_number:
            arrivals.popleft()
        return arrivals[0][0]

    def take_older(self, than: float) -> list[Message]:
        """Give back what came at that time or before, in the order in which it came."""
        messages = []
        while self.by_number and self.since() <= than:
            message = self.by_number.pop(self._arrivals.popleft()[1])
            self.size_bytes -= size_of(message)
            messages.append(message)
        if messages:
            self._lowest = sorted(self.by_number)
        return messages

    def take_all(self) -> list[Message]:
        """Give back all, by number."""
        messages = [self.by_number[number] for number in sorted(self.by_number)]
        self.by_number.clear()
        self._lowest.clear()
        self._arrivals.clear()
        self.size_bytes = 0
        return messages


class Strays:
    """The images that find no place, each between the messages it was found between."""

    def __init__(self) -> None:
        self._passed: list[Message] = []
        self._found: list[Stray] = []
        self.lost = 0
        """Numbers that were given up, since the beginning."""

    def begin(self) -> list[Message]:
        """Return an empty list, for the messages that pass from now on."""
        self._passed = []
        return self._passed

    def add(self, kind: StrayKind, message: Message) -> None:
        """Note an image; a Start or an End seen twice is harmless."""
        if isinstance(message, Image):
            self._found.append(Stray(kind, message, len(self._passed)))

    def take(self) -> list[Stray]:
        """Return what was found since the last call."""
        found, self._found = self._found, []
        self._passed = []  # which would keep its pixels
        return found


class Track:
    """A run of numbers: which comes next, what is ahead of it, what was given up.

    Args:
        strays: Gets the doubles of what is held, once that passes: only then is it
            known whose they are.
    """

    def __init__(self, strays: Strays) -> None:
        self.next = NOWHERE
        self.first = NOWHERE
        """Number of the last Start that passed: what is below is of older series."""
        self.held = Held()
        self._lost = Lost()
        self._strays = strays
        self._doubles: dict[int, list[Image]] = {}

    def begin(self, number: int) -> None:
        """Go on from a number; nothing must be held."""
        self.next = self.first = number
        self._lost = Lost()

    def admit(
        self, number: int, message: Message, now: float, max_gap: int
    ) -> StrayKind | None:
        """Hold a message, or a double of one; or return why there is no place."""
        if number < self.next:
            return self.kind_below(number)
        if number in self.held:
            self.double(number, message)
            return None
        if number - self.next > max_gap:
            return "rejected"
        self.held.add(number, message, now)
        return None

    def double(self, number: int, message: Message) -> None:
        """Note an image, without its pixels, in whose place another is held."""
        if isinstance(message, Image):
            self._doubles.setdefault(number, []).append(replace(message, blobs=()))

    def take_doubles(self, number: int) -> list[Image]:
        """Return the images that came for a place which another had."""
        return self._doubles.pop(number, [])

    def kind_below(self, number: int) -> StrayKind:
        """Return what an image below the next number is."""
        if number < self.first:
            return "stale"
        return "late" if number in self._lost else "duplicate"

    def drain(self, out: list[Message]) -> None:
        """Pass on what is held up to the next gap."""
        pop = self.held.pop_if_first
        while (message := pop(self.next)) is not None:
            if type(message) is Start:
                self.first = self.next
            out.append(message)
            if self._doubles:
                for double in self.take_doubles(self.next):
                    self._strays.add("duplicate", double)
            self.next += 1

    def give_up_gap(self, out: list[Message]) -> None:
        """Take the oldest gap for lost; what is held must not be empty."""
        first = self.held.first()
        self._lost.add(self.next, first)
        self._strays.lost += first - self.next
        self.next = first
        self.drain(out)

    def give_up_all(self, out: list[Message]) -> None:
        """Take every gap for lost."""
        while self.held:
            self.give_up_gap(out)

    def run_timer(self, now: float, timeout: float, out: list[Message]) -> None:
        """Take for lost what others overtook so long ago."""
        while self.held and now - self.held.since() >= timeout:
            self.give_up_gap(out)
