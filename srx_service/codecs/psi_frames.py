"""Frames of a PSI Eiger whose ports come one after the other, joined in a window.

Each socket keeps the order in which its port sent; how far one is ahead of another is
chance. So one may be in the next acquisition already, while another is not.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from srx_service.codecs.fields import Frame, Number, Size
from srx_service.codecs.psi_modules import Layout
from srx_service.errors import ProtocolError
from srx_service.messages import Buffer

WINDOW_FRAMES = 512
"""Frames that wait for further ports; when more do, the oldest is dropped. A socket is
ahead of another by two batches of 256 messages at most."""
WINDOW_BYTES = 256 << 20
"""What they hold; likewise: 72 sockets, each a batch of up to 4 MiB ahead."""
TOLD_AT = 4
"""The acquisition of a socket at which it is told that another has never sent any: at
first they may just not have been read."""

Place = Annotated[int, Meta(ge=0, le=65535)]


class Header(msgspec.Struct, rename="camel", frozen=True):
    """What is read of a port's JSON."""

    frame_index: Frame
    frame_number: Number
    bitmode: int
    detshape: tuple[Size, Size]
    shape: tuple[Size, Size]
    size: Number
    row: Place
    column: Place
    fname: str
    file_index: Number = 0
    timestamp: int = 0
    flip_rows: Literal[0, 1] = 0
    complete_image: Literal[0, 1] = 1

    @property
    def layout(self) -> Layout:
        """Of the detector, slowest axis first."""
        (columns, rows), (width, height) = self.detshape, self.shape
        return Layout((rows, columns), (height, width))

    @property
    def key(self) -> tuple[str, int]:
        """The same for all ports of an acquisition."""
        return self.fname, self.file_index

    def continues(self, last: "Header") -> bool:
        """Return True for a later frame of the same acquisition."""
        return (
            self.key == last.key
            and self.frame_index > last.frame_index
            and self.frame_number > last.frame_number
        )

    def told(self, text: str) -> str:
        """Return a text about it that says which one it is."""
        place = f"row {self.row}, column {self.column}"
        return f"frameNumber {self.frame_number}, {place}: {text}"


class Part(NamedTuple):
    """What one port sent of a frame."""

    header: Header
    fields: dict[str, Any]
    """The header as it came."""
    blob: Buffer
    size_bytes: int
    """All of it, the header too."""


class Acquisition:
    """The frames of one acquisition that wait for further ports."""

    def __init__(self, header: Header) -> None:
        self.key = header.key
        self.ports = 0
        """How many send, as the last header told."""
        self.left: set[int] = set()
        """Sockets that have sent all they will."""
        self.waiting: dict[int, dict[tuple[int, int], Part]] = {}
        """By frameNumber, then by row and column."""
        self.size_bytes = 0
        self.is_closed = False
        """True once nothing more is taken from it."""
        self.is_open = False
        """For whoever takes the frames: True once the series has begun."""
        self.lost_before = 0
        """Frames before the first complete one, of which some ports are there."""

    def add(self, part: Part) -> None:
        """Put a part to the others of its frame.

        Raises:
            ProtocolError: It does not go with them. It stays, they are gone: what is
                wrong may be of long ago.
        """
        header = part.header
        number, place = header.frame_number, (header.row, header.column)
        problem = self.misfit(header)
        if problem is not None:
            self.drop(number)
        self.ports = header.detshape[0] * header.detshape[1]
        self.waiting.setdefault(number, {})[place] = part
        self.size_bytes += part.size_bytes
        if problem is not None:
            raise problem

    def misfit(self, header: Header) -> ProtocolError | None:
        """Return why this cannot be a part of the frame of its number."""
        others = self.waiting.get(header.frame_number, {})
        for other in others.values():
            if _form(other.header) != _form(header):
                text = f"{_form(header)}; another port has {_form(other.header)}"
                return ProtocolError("ports differ", header.told(text))
        if (header.row, header.column) in others:
            text = "it came on another socket already; each port has its own place"
            return ProtocolError("duplicate frame", header.told(text))
        return None

    def drop(self, number: int) -> list[Part]:
        """Take a frame out, as far as it is there."""
        parts = self.waiting.pop(number)
        self.size_bytes -= sum(part.size_bytes for part in parts.values())
        return [parts[place] for place in sorted(parts)]

    def take(self) -> Iterator[list[Part]]:
        """Yield the frames whose ports are all there, and drop what they overtook.

        A socket that has sent a frame will send none before it.
        """
        for number in sorted(self.waiting):
            if len(self.waiting[number]) < self.ports:
                continue
            older = sorted(k for k in self.waiting if k < number)
            if older and not self.is_open:
                self.lost_before = min(number - older[0], WINDOW_FRAMES)
            for passed in older:
                self.drop(passed)
            yield self.drop(number)

    @property
    def has_complete(self) -> bool:
        """True when ports of a frame wait for no others."""
        return any(len(parts) >= self.ports for parts in self.waiting.values())

    @property
    def is_over(self) -> bool:
        """True when no socket will send more of it."""
        return len(self.left) >= self.ports


class _Socket:
    """Where the reading of one socket has come to."""

    def __init__(self) -> None:
        self.acquisition: Acquisition | None = None
        self.last: Header | None = None
        """Of this acquisition."""
        self.begun = 0


class Frames:
    """All that waits, oldest acquisition first; bounded by the two WINDOWs."""

    def __init__(self) -> None:
        self._acquisitions: list[Acquisition] = []
        self._sockets: dict[int, _Socket] = {}

    def leave(self, module: int) -> None:
        """Note that a socket has sent all of its acquisition; again: harmless."""
        socket = self._sockets.setdefault(module, _Socket())
        if socket.acquisition is not None:
            socket.acquisition.left.add(module)
        socket.acquisition = socket.last = None

    def add(self, part: Part, module: int) -> ProtocolError | None:
        """Put a part where it belongs; return what is to be told besides.

        Raises:
            ProtocolError: It has come before, or does not belong to its frame.
        """
        socket = self._sockets.setdefault(module, _Socket())
        if part.header == socket.last:
            text = "the same once more"
            raise ProtocolError("duplicate frame", part.header.told(text))
        begins = socket.last is None or not part.header.continues(socket.last)
        problem = self._enter(part.header, module) if begins else None
        socket.last = part.header
        assert socket.acquisition is not None
        if socket.acquisition.is_closed:
            text = "its acquisition is over: other sockets were too far ahead"
            raise ProtocolError("late frame", part.header.told(text))
        socket.acquisition.add(part)
        dropped = self._make_room()
        problem = problem or dropped
        if problem is None and begins and socket.begun >= TOLD_AT:
            problem = self._missing(part.header)
        return problem

    def _enter(self, header: Header, module: int) -> ProtocolError | None:
        """Let a socket go on with the next acquisition that its part may be of.

        Without one it begins a new one. Returns why it cannot be of the first.
        """
        self.leave(module)
        following = [
            each
            for each in self._acquisitions
            if each.key == header.key and module not in each.left
        ]
        problem = following[0].misfit(header) if following else None
        following = [each for each in following if each.misfit(header) is None]
        if not following:
            following = [Acquisition(header)]
            self._acquisitions += following
        acquisition = following[0]
        for earlier in self._acquisitions[: self._acquisitions.index(acquisition)]:
            earlier.left.add(module)
        socket = self._sockets[module]
        socket.acquisition, socket.begun = acquisition, socket.begun + 1
        return problem

    def _missing(self, header: Header) -> ProtocolError | None:
        """Return what to tell when a port has ended before another ever sent."""
        x, y = header.detshape
        if len(self._sockets) >= x * y:
            return None
        text = (
            f"detshape [{x}, {y}] makes {x * y} ports, from {len(self._sockets)} came"
        )
        text = f"{text} something so far; each needs its entry in dcu_port_purple"
        return ProtocolError("ports missing", header.told(text))

    def _make_room(self) -> ProtocolError | None:
        """Drop the oldest frame of a full window; return what to tell of it."""
        problem = None
        while self._is_full():
            acquisition = self._acquisitions[0]
            if acquisition.has_complete:
                break  # room is made by who takes it
            if not acquisition.waiting:
                # it gives way, and what is complete of its followers can be taken
                acquisition.left.update(range(acquisition.ports))
                break
            parts = acquisition.drop(min(acquisition.waiting))
            header = parts[0].header
            text = f"dropped: {len(parts)} of {acquisition.ports} ports came, with"
            text = f"{text} {WINDOW_FRAMES} frames or {WINDOW_BYTES} bytes after it;"
            text = f"{text} each port needs its entry in dcu_port_purple"
            problem = ProtocolError("ports missing", header.told(text))
        return problem

    def _is_full(self) -> bool:
        frames = sum(len(each.waiting) for each in self._acquisitions)
        size_bytes = sum(each.size_bytes for each in self._acquisitions)
        return frames > WINDOW_FRAMES or size_bytes > WINDOW_BYTES

    def take(self) -> Iterator[tuple[Acquisition, list[Part] | None]]:
        """Yield what is complete, in order; None: the acquisition is over."""
        while self._acquisitions:
            front = self._acquisitions[0]
            for frame in front.take():
                yield front, frame
            followers = self._acquisitions[1:]
            if not (front.is_over or any(each.has_complete for each in followers)):
                return
            front.is_closed = True
            del self._acquisitions[0]
            yield front, None


def _form(header: Header) -> str:
    x, y = header.detshape
    return f"bitmode {header.bitmode}, detshape [{x}, {y}], shape {header.shape}"
