"""The publishing port: whoever subscribes gets every message, unless it is too slow.

An XPUB socket, which a SUB socket connects to as to PUB. A message waits a moment for
the slowest subscriber; then it goes to those who have room, and is counted.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import zmq

from srx_service.bell import Bell
from srx_service.curve import ServerKeys
from srx_service.errors import ConfigError
from srx_service.messages import Buffer
from srx_service.outlet import bound, hardened, send_rest

HIGH_WATER_MARK = 16
"""Messages in the pipe of each subscriber; they share the bytes."""
PATIENCE_S = 0.02
"""How long a message waits for subscribers that have no room."""
NAP_S = 0.0002
"""ZeroMQ does not tell when there is room again: it is asked so often."""


class Publication:
    """An XPUB socket that binds. Used by one thread, but for `ring`.

    Args:
        address: ZeroMQ's, as "tcp://*:5557"; port 0: any free one.
        keys: Of those who may come in; None: everybody may.

    Raises:
        ConfigError: The port is taken, or not ours to take.
    """

    def __init__(self, address: str, keys: ServerKeys | None = None) -> None:
        self.clients = 0
        """Subscriptions: of a client that has one, and that is the usual."""
        self.missed = 0
        """Messages that some subscriber did not get."""
        self._is_patient = True
        self._bell = Bell()
        self._context = zmq.Context()
        self._socket, self._gate = hardened(self._context, zmq.XPUB, keys)
        self._socket.sndhwm = HIGH_WATER_MARK
        # Each subscription, and the end of each, is told.
        self._socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        try:
            self.endpoint = bound(self._socket, address, "pub_port")
        except ConfigError:
            self.close()
            raise
        """What it is bound to, with the true port."""

    def changes(self) -> Iterator[tuple[int, int]]:
        """Learn who came and went; yield how many there were before and after each."""
        if self._gate is not None:
            self._gate.answer()
        while int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            said = self._socket.recv_multipart()
            had = self.clients
            if said[0][:1] == b"\1":
                self.clients += 1
            elif said[0][:1] == b"\0" and had:
                self.clients -= 1
            if had != self.clients:
                yield had, self.clients

    def send(self, parts: Sequence[Buffer]) -> bool:
        """Send all parts to all who have room."""
        more = zmq.SNDMORE if len(parts) > 1 else 0
        if not self._send_to_all(parts[0], more):
            self.missed += 1
            self._socket.send(parts[0], more)
        send_rest(self._socket, parts)
        return True

    def _send_to_all(self, part: Buffer, more: int) -> bool:
        """Send a first part if everybody has room, or soon has."""
        end_s = time.monotonic() + PATIENCE_S if self._is_patient else 0.0
        self._socket.setsockopt(zmq.XPUB_NODROP, 1)
        try:
            while True:
                with suppress(zmq.Again):
                    self._socket.send(part, zmq.NOBLOCK | more)
                    self._is_patient = True
                    return True
                if time.monotonic() >= end_s:
                    self._is_patient = False  # only once: it delays the others
                    return False
                time.sleep(NAP_S)
        finally:
            self._socket.setsockopt(zmq.XPUB_NODROP, 0)

    def poll(self, timeout_ms: int, *, for_room: bool) -> bool:
        """Wait for a change of subscribers, or a ring; False at timeout."""
        watched: list[tuple[Any, int]] = [
            (self._socket, zmq.POLLIN),
            (self._bell, zmq.POLLIN),
        ]
        if self._gate is not None:
            watched.append((self._gate.socket, zmq.POLLIN))
        is_ready = for_room or bool(zmq.zmq_poll(watched, timeout_ms))
        self._bell.hush()
        return is_ready

    def ring(self) -> None:
        """End a `poll`; any thread may."""
        self._bell.ring()

    def close(self) -> None:
        """Unbind; what is in the pipes may still go out for a moment."""
        self._socket.close()
        if self._gate is not None:
            self._gate.close()
        self._context.term()
        self._bell.close()
