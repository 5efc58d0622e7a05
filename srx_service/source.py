"""ZeroMQ sockets to parts: the only poll loop."""

import contextlib
import socket
from collections.abc import Sequence
from typing import Literal, NamedTuple

import zmq

from srx_service.messages import Buffer

BATCH_MESSAGES = 256
BATCH_BYTES = 1 << 20
COPY_BELOW_BYTES = 64 << 10
"""Smaller parts are received as bytes: a copy is cheaper than keeping the frame."""
HWM_MIN, HWM_MAX = 4, 1000


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
    ) -> None:
        self._context = zmq.Context(io_threads)
        self._budget_bytes = budget_bytes
        self._hwm = HWM_MAX
        self._sockets: list[zmq.Socket[bytes]] = []
        self._turn = 0
        """Index of the socket that is read first."""
        self._modules: dict[zmq.Socket[bytes], int] = {}
        for index, endpoint in enumerate(endpoints):
            for _ in range(connections):
                self._connect(endpoint, kind, index if modules > 1 else 0)
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._poller = zmq.Poller()
        self._poller.register(self._woken.fileno(), zmq.POLLIN)
        self._is_reading = False
        self.resume()

    def _connect(
        self, endpoint: str, kind: Literal["pull", "sub"], module: int
    ) -> None:
        sock = self._context.socket(zmq.PULL if kind == "pull" else zmq.SUB)
        sock.setsockopt(zmq.LINGER, 0)
        sock.setsockopt(zmq.RCVHWM, self._hwm)
        sock.setsockopt(zmq.RECONNECT_IVL, 50)
        sock.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        sock.setsockopt(zmq.TCP_KEEPALIVE, 1)
        sock.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 30)
        if kind == "sub":
            sock.setsockopt(zmq.SUBSCRIBE, b"")
        sock.connect(endpoint)
        self._sockets.append(sock)
        self._modules[sock] = module

    @property
    def connections(self) -> int:
        """Sockets in all: with one, messages come in the order they were sent."""
        return len(self._sockets)

    def wake(self) -> None:
        """Let a poll return; may be called from any thread."""
        with contextlib.suppress(OSError):  # closed, or woken often enough already
            self._waker.send(b"\0")

    def poll(self, timeout_ms: int) -> list[zmq.Socket[bytes]]:
        """Wait for messages or a wake-up; return the sockets to read."""
        ready: list[zmq.Socket[bytes]] = []
        for sock, _ in self._poller.poll(timeout_ms):
            if isinstance(sock, zmq.Socket):
                ready.append(sock)
            else:
                self._drain_wakes()
        return ready

    def _drain_wakes(self) -> None:
        try:
            while self._woken.recv(4096):
                continue
        except BlockingIOError:
            return

    def pause(self) -> None:
        """Stop reading: what is sent piles up at the sender."""
        if self._is_reading:
            for sock in self._sockets:
                self._poller.unregister(sock)
            self._is_reading = False

    def resume(self) -> None:
        """Read again."""
        if not self._is_reading:
            for sock in self._sockets:
                self._poller.register(sock, zmq.POLLIN)
            self._is_reading = True

    def receive(self, ready: Sequence[zmq.Socket[bytes]]) -> Received:
        """Return a batch: it ends when the sockets are empty, or is full."""
        batch: list[tuple[list[Buffer], int]] = []
        size = 0
        for sock in self._in_turn(ready):
            size, is_empty = self._receive_from(sock, batch, size)
            if not is_empty:
                self._turn = self._sockets.index(sock) + 1
                return Received(batch, size, drained=False)
        return Received(batch, size, drained=True)

    def _in_turn(self, ready: Sequence[zmq.Socket[bytes]]) -> list[zmq.Socket[bytes]]:
        """Return sockets so that none waits while another is never found empty.

        What waited there would be taken for lost: the others run ahead of it.
        """
        if len(ready) < 2:
            return list(ready)
        count, turn, index = len(self._sockets), self._turn, self._sockets.index
        return sorted(ready, key=lambda sock: (index(sock) - turn) % count)

    def _receive_from(
        self,
        sock: zmq.Socket[bytes],
        batch: list[tuple[list[Buffer], int]],
        size: int,
    ) -> tuple[int, bool]:
        # a Frame knows whether more follow; asking the socket costs twice as much
        receive, append, module = sock.recv, batch.append, self._modules[sock]
        left = BATCH_MESSAGES - len(batch)
        try:
            while left > 0 and size < BATCH_BYTES:
                frame = receive(zmq.DONTWAIT, copy=False)
                parts: list[Buffer] = [frame.bytes]
                while frame.more:
                    frame = receive(copy=False)
                    part = frame.buffer
                    length = len(part)
                    size += length
                    parts.append(part if length >= COPY_BELOW_BYTES else bytes(part))
                append((parts, module))
                left -= 1
        except zmq.Again:
            return size, True
        return size, False

    def fit_to(self, image_bytes: int) -> None:
        """Lower the high-water marks, which count messages, to the size of an image.

        Never raised again while connected: libzmq tells the sending side that there is
        room only once every half of the mark, so that one raised while the sender waits
        may leave it waiting for ever (libzmq's pipe.cpp, `_lwm` in `read`).
        """
        hwm = self._budget_bytes // max(1, image_bytes * len(self._sockets))
        hwm = max(HWM_MIN, hwm)
        if hwm >= self._hwm:
            return
        self._hwm = hwm
        for sock in self._sockets:
            sock.setsockopt(zmq.RCVHWM, hwm)

    @property
    def high_water_mark(self) -> int:
        """Messages each socket may hold."""
        return self._hwm

    def close(self) -> None:
        """Close all sockets; what they still hold is gone."""
        for sock in self._sockets:
            sock.close(0)
        self._context.term()
        self._waker.close()
        self._woken.close()
