"""Headers and ends on their way to clients: what marks a series is never dropped.

| class | a header, an end | who comes in mid-series |
|---|---|---|
| `InTurn` | to one client, as any message; kept till one takes it | the first: it |
| `ToAll` | to every client, with one number | each: it |
"""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from srx_service.messages import Buffer, End, Start
from srx_service.protocols.stins import encode

PENDING_LIMIT = 1000
"""Headers and ends kept for a client that takes none; beyond, series without a single
forwarded image are left out, the oldest first."""


class Marks(Protocol):
    """How headers and ends go out."""

    def add(self, mark: Start | End) -> None:
        """Take one, to be sent when it is its turn."""
        ...

    def send(self, number: int) -> int:
        """Send what can be sent; return the number of the next message."""
        ...

    def changed(self, had: int, clients: int, start: Start | None) -> None:
        """Clients came or went; a series may be open."""
        ...

    @property
    def are_waiting(self) -> bool:
        """True while some could not be sent: no image may overtake them."""
        ...


class OneTakes(Protocol):
    """A socket that gives a message to one client."""

    def send(self, parts: Sequence[Buffer]) -> bool:
        """Send all parts, or none where nobody has room."""
        ...


class AllTake(Protocol):
    """A socket that can give a message to every client."""

    def announce(self, parts: Sequence[Buffer]) -> None:
        """Send it to all who have been welcomed."""
        ...

    def welcome(self, parts: Sequence[Buffer] | None) -> None:
        """Let in who is new; with a message that is for them alone."""
        ...


class InTurn:
    """Each goes to one client."""

    def __init__(self, outlet: OneTakes) -> None:
        self._outlet = outlet
        self._waiting: deque[Start | End] = deque()

    @property
    def are_waiting(self) -> bool:
        """True while no client has room."""
        return bool(self._waiting)

    def add(self, mark: Start | End) -> None:
        """Keep it, and not too many of them."""
        self._waiting.append(mark)
        if len(self._waiting) > PENDING_LIMIT:
            self._collapse()

    def _collapse(self) -> None:
        """Leave out the oldest series that has nothing but its header and its end."""
        # An end that stands first belongs to a series whose header was sent.
        first = int(isinstance(self._waiting[0], End))
        del self._waiting[first]
        if isinstance(self._waiting[first], End):
            del self._waiting[first]

    def send(self, number: int) -> int:
        """Send as many as find room."""
        while self._waiting:
            if not self._outlet.send(encode(self._waiting[0], number)):
                break
            self._waiting.popleft()
            number += 1
        return number

    def changed(self, had: int, clients: int, start: Start | None) -> None:
        """Begin anew where all clients are."""
        if not had or not clients:
            self._waiting.clear()
        if not had and start is not None:
            self._waiting.append(start)


class ToAll:
    """Each goes to every client."""

    def __init__(self, outlet: AllTake) -> None:
        self._outlet = outlet
        self._waiting: list[Start | End] = []
        self._announced: tuple[Start, Sequence[Buffer]] | None = None
        """The last header, and as it was sent."""

    @property
    def are_waiting(self) -> bool:
        """Never after a `send`: who takes none is cut off, not waited for."""
        return bool(self._waiting)

    def add(self, mark: Start | End) -> None:
        """Keep it till the next `send`."""
        self._waiting.append(mark)

    def send(self, number: int) -> int:
        """Send all; each client gets the same number."""
        for mark in self._waiting:
            parts = encode(mark, number)
            self._outlet.announce(parts)
            number += 1
            if isinstance(mark, Start):
                self._announced = mark, parts
        self._waiting.clear()
        return number

    def changed(self, had: int, clients: int, start: Start | None) -> None:
        """Give who is new the header of the open series."""
        if clients <= had:
            return
        sent = self._announced
        header = sent[1] if sent is not None and sent[0] is start else None
        if header is None and start is not None and not self._waiting:
            self._waiting.append(start)  # nobody was there when it came
        self._outlet.welcome(header)
