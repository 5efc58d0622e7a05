"""ZeroMQ sockets to parts: the only poll loop."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import zmq

from srx_service.bell import Bell
from srx_service.curve import ClientKeys
from srx_service.links import Link
from srx_service.messages import Buffer

Socket = zmq.Socket[bytes]
DONTWAIT = int(zmq.DONTWAIT)
"""An enum costs a conversion each time."""
BATCH_MESSAGES = 256
BATCH_BYTES = 1 << 20
NEXT_BATCH_BYTES = 16 << 20
"""After a full batch, when more waits than is kept up with: what is done once a batch
is then done less often, with caches that the copying of pixels has emptied."""
MODULES_BATCH_BYTES = 4 << 20
"""Instead of that, where modules of one detector wait for one another's parts."""
COPY_BELOW_BYTES = 64 << 10
"""Smaller parts are received as bytes: a copy is cheaper than keeping the frame."""
MARK_MIN, MARK_MAX = 4, 1024
"""High-water marks, which count messages: powers of two."""
FIRST_MARK = 16
"""While the size of the images is not known."""


class Received(NamedTuple):
    """What one round brought."""

    messages: list[tuple[list[Buffer], int]]
    """The parts of each message, and the module it came from."""
    size_bytes: int
    drained: bool
    """True when every socket was found empty."""


class Source:
    """All sockets of one detector. Used by the receive thread alone, `wake` excepted.

    Args:
        endpoints: One per module or host: "tcp://172.16.1.5:9999".
        kind: As the source demands; SUB subscribes to everything.
        connections: Sockets per endpoint.
        modules: How many of the endpoints are modules of one detector, in order; 1 when
            all endpoints send whole images.
        budget_bytes: What the sockets may hold of images not yet read.
        keys: Ours and the source's, which has to speak CURVE then; None: in plain.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        kind: Literal["pull", "sub"],
        *,
        connections: int = 1,
        modules: int = 1,
        budget_bytes: int,
        io_threads: int = 1,
        keys: ClientKeys | None = None,
    ) -> None:
        self._keys = keys
        self._context = zmq.Context(io_threads)
        self._budget_bytes = budget_bytes
        self._next_bytes = MODULES_BATCH_BYTES if modules > 1 else NEXT_BATCH_BYTES
        self._wanted_mark = FIRST_MARK
        self._sockets: list[Socket] = []
        self._links: list[Link] = []
        self._turn = 0
        """Index of the socket that is read first."""
        self._connections: dict[Socket, _Connection] = {}
        for index, endpoint in enumerate(endpoints):
            for _ in range(connections):
                self._connect(endpoint, kind, index if modules > 1 else 0)
        self._bell = Bell()
        self._poller, self._idle_poller = zmq.Poller(), zmq.Poller()
        for poller in (self._poller, self._idle_poller):
            poller.register(self._bell.fileno(), zmq.POLLIN)
        for sock in self._sockets:
            self._poller.register(sock, zmq.POLLIN)
        self._is_reading = True
        self._beginning = b""
        self._has_more = False
        """True after a full batch: there is more to read, so no need to look."""

    def _connect(
        self, endpoint: str, kind: Literal["pull", "sub"], module: int
    ) -> None:
        sock = self._context.socket(zmq.PULL if kind == "pull" else zmq.SUB)
        sock.setsockopt(zmq.LINGER, 0)
        sock.setsockopt(zmq.RCVHWM, FIRST_MARK)
        sock.setsockopt(zmq.RECONNECT_IVL, 50)
        sock.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        sock.setsockopt(zmq.TCP_KEEPALIVE, 1)
        sock.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 30)
        if kind == "sub":
            sock.setsockopt(zmq.SUBSCRIBE, b"")
        if self._keys is not None:
            sock.curve_serverkey = self._keys.server
            sock.curve_secretkey = self._keys.secret
            sock.curve_publickey = zmq.curve_public(self._keys.secret)
        self._links.append(Link(sock, endpoint))
        self._sockets.append(sock)
        self._connections[sock] = _Connection(sock, module)

    @property
    def connections(self) -> int:
        """Sockets in all: with one, messages come in the order they were sent."""
        return len(self._sockets)

    def wake(self) -> None:
        """Let a poll return; may be called from any thread."""
        self._bell.ring()

    def poll(self, timeout_ms: int) -> list[Socket]:
        """Wait for messages or a wake-up; return the sockets to read."""
        if self._has_more and self._is_reading:
            return self._sockets
        ready: list[Socket] = []
        poller = self._poller if self._is_reading else self._idle_poller
        for sock, _ in poller.poll(timeout_ms):
            if isinstance(sock, zmq.Socket):
                ready.append(sock)
            else:
                self._bell.hush()
        return ready

    def mend(self, now_s: float) -> None:
        """Connect anew where libzmq has given up; now by a clock that ever grows."""
        for link in self._links:
            link.mend(now_s)

    def pause(self) -> None:
        """Stop reading: what is sent piles up at the sender."""
        self._is_reading = False

    def resume(self) -> None:
        """Read again."""
        self._is_reading = True

    def receive(self, ready: Sequence[Socket]) -> Received:
        """Return a batch: it ends when the sockets are empty, or is full."""
        batch: list[tuple[list[Buffer], int]] = []
        size, limit = 0, self._next_bytes if self._has_more else BATCH_BYTES
        for sock in self._in_turn(ready):
            size, is_empty = self._receive_from(sock, batch, size, limit)
            if not is_empty:
                self._turn = self._sockets.index(sock) + 1
                self._has_more = True
                return Received(batch, size, drained=False)
        self._has_more = False
        return Received(batch, size, drained=True)

    def expect(self, beginning: bytes) -> None:
        """Take messages that begin so for images of one small blob; b"": none.

        That holds until a message begins otherwise. Their blob is received as bytes at
        once, which is not asked whether another follows: one that does is a message of
        its own then, which nobody can read.
        """
        if len(self._sockets) == 1:  # of others a new series may begin elsewhere
            self._beginning = beginning

    def _in_turn(self, ready: Sequence[Socket]) -> Sequence[Socket]:
        """Return sockets so that none waits while another is never found empty.

        What waited there would be taken for lost: the others run ahead of it.
        """
        if len(ready) < 2:
            return ready
        count, turn, index = len(self._sockets), self._turn, self._sockets.index
        return sorted(ready, key=lambda sock: (index(sock) - turn) % count)

    def _receive_from(
        self,
        sock: Socket,
        batch: list[tuple[list[Buffer], int]],
        size: int,
        limit: int,
    ) -> tuple[int, bool]:
        # a Frame knows whether more follow; asking the socket costs twice as much
        connection, before = self._connections[sock], len(batch)
        receive, append, module = sock.recv, batch.append, connection.module
        small, wait, beginning = COPY_BELOW_BYTES, DONTWAIT, self._beginning
        left = BATCH_MESSAGES - before
        try:
            while left > 0 and size < limit:
                frame = receive(wait, False)
                length = len(frame)
                head = frame.bytes if length < small else frame.buffer
                left -= 1
                if beginning:
                    if (
                        type(head) is bytes
                        and frame.more
                        and head.startswith(beginning)
                    ):
                        blob = receive(0)
                        size += len(blob)
                        append(([head, blob], module))
                        continue
                    # a new series, perhaps: its images may come in other parts
                    self._beginning = beginning = b""
                parts: list[Buffer] = [head]
                if not frame.more:  # then its pixels are in it, as CBOR has them
                    size += length
                while frame.more:
                    frame = receive(0, False)
                    length = len(frame)
                    size += length
                    parts.append(frame.bytes if length < small else frame.buffer)
                append((parts, module))
        except zmq.Again:
            left = BATCH_MESSAGES
        connection.count(len(batch) - before, self._wanted_mark)
        return size, left == BATCH_MESSAGES

    def fit_to(self, image_bytes: int) -> None:
        """Let the high-water marks, which count messages, fit the size of an image."""
        fitting = self._budget_bytes // max(1, image_bytes * len(self._sockets))
        fitting = max(MARK_MIN, min(MARK_MAX, fitting))
        self._wanted_mark = 1 << (fitting.bit_length() - 1)

    @property
    def high_water_mark(self) -> int:
        """Messages that each socket may hold, at most."""
        return max(connection.mark for connection in self._connections.values())

    def close(self) -> None:
        """Close all sockets; what they still hold is gone."""
        for link in self._links:
            link.close()
        for sock in self._sockets:
            sock.close(0)
        self._context.term()
        self._bell.close()


class _Connection:
    """A socket, and how its high-water mark is moved to where it is wanted.

    libzmq tells the sending side what was read only at multiples of half the mark, and
    that side waits while a whole mark is untold (libzmq's pipe.cpp, `_lwm`). A mark
    moved at will may leave it waiting for ever, up or down, when what was read is never
    told. Halved or doubled it cannot, if half a mark was read since the last time.
    """

    __slots__ = ("_read", "_sock", "mark", "module")

    def __init__(self, sock: Socket, module: int) -> None:
        self._sock = sock
        self._read = self.mark = FIRST_MARK
        self.module = module

    def count(self, messages: int, wanted_mark: int) -> None:
        """Count messages read; move the mark one step if it may be."""
        self._read += messages
        if self.mark != wanted_mark and self._read >= self.mark // 2:
            self.mark = self.mark * 2 if wanted_mark > self.mark else self.mark // 2
            self._sock.setsockopt(zmq.RCVHWM, self.mark)
            self._read = 0
