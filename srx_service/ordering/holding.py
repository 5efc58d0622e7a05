"""What both orderings hold messages with: a clock, what is lost, what is ahead."""

from collections import deque

from srx_service.messages import Image, Message
from srx_service.ordering.limits import StrayKind

LOST_KEPT = 10_000
"""Gaps of the open series remembered to tell late images from duplicates."""


def size_of(message: Message) -> int:
    """Return the bytes a message holds."""
    if isinstance(message, Image):
        return sum(len(blob) for blob in message.blobs)
    return 0


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
    """The ranges given up in the open series."""

    def __init__(self) -> None:
        self._ranges: deque[range] = deque(maxlen=LOST_KEPT)

    def add(self, first: int, stop: int) -> None:
        """Note the numbers from first up to stop as given up."""
        if stop > first:
            self._ranges.append(range(first, stop))

    def take(self, number: int) -> StrayKind:
        """Return whether a number below the next was given up (late) or passed."""
        for index in range(len(self._ranges) - 1, -1, -1):
            if number in self._ranges[index]:
                return "late"
        return "duplicate"

    def clear(self) -> None:
        """Forget all: another series begins."""
        self._ranges.clear()


class Held:
    """Messages ahead of a gap, by number, with the time the line last moved on."""

    def __init__(self) -> None:
        self.by_number: dict[int, Message] = {}
        self.size_bytes = 0
        self.since = 0.0

    def __len__(self) -> int:
        return len(self.by_number)

    def __contains__(self, number: int) -> bool:
        return number in self.by_number

    def add(self, number: int, message: Message, now: float) -> None:
        """Hold one more."""
        if not self.by_number:
            self.since = now
        self.by_number[number] = message
        self.size_bytes += size_of(message)

    def pop(self, number: int) -> Message | None:
        """Give back the message of a number, if it is held."""
        message = self.by_number.pop(number, None)
        if message is not None:
            self.size_bytes -= size_of(message)
        return message

    def first(self) -> int:
        """Return the lowest number held."""
        return min(self.by_number)

    def take_all(self) -> list[Message]:
        """Give back all, by number."""
        messages = [self.by_number[number] for number in sorted(self.by_number)]
        self.by_number.clear()
        self.size_bytes = 0
        return messages
