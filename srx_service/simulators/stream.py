"""The stream side of all simulators: sockets that drop as a detector does."""

import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Literal, TypedDict

import zmq

from srx_service.messages import Buffer
from srx_service.simulators.faults import Faults

Kind = Literal["push", "pub"]
Sending = Sequence[tuple[int, Sequence[Buffer]]]
"""What is sent for one Start, Image or End: (module, parts) each."""

HIGH_WATER = 1000
"""Messages that wait for a slow receiver; their pixels are shared, not copied."""
SEND_TIMEOUT_S = 1.0
LINGER_MS = 1000
PAUSE_MIN_S = 0.001
"""Shorter pauses are not made but saved up: sleeping is not more precise than this."""
SUBSCRIBER_CHECK_S = 0.005


class StreamOptions(TypedDict, total=False):
    """What may be chosen of a stream beyond address and seed."""

    kind: Kind
    modules: int
    """Sockets, one for each module of the detector."""
    faults: Faults
    high_water: int
    """Messages that wait for a slow receiver before any is dropped."""
    send_timeout_s: float


class ImageStream:
    """Sends messages to whoever receives; drops and counts what nobody takes.

    PUSH: a message waits for a taker. Once one has found none in time, images no longer
    wait until one is taken again: an acquisition without receiver ends all the same.
    PUB: no message waits; what has no subscriber or finds its queue full is dropped, of
    which libzmq tells the former only.

    Args:
        port: Of the first module, the others follow; 0: any free ones.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        kind: Kind = "push",
        modules: int = 1,
        faults: Faults | None = None,
        seed: int = 0,
        high_water: int = HIGH_WATER,
        send_timeout_s: float = SEND_TIMEOUT_S,
    ) -> None:
        self.dropped = 0
        self.is_enabled = True
        self._faults = faults or Faults()
        self._rng = random.Random(seed)
        self._timeout_s = send_timeout_s
        self._is_stuck = False
        self._lock = threading.Lock()
        self._context = zmq.Context()
        self._context.setsockopt(zmq.IPV6, int(":" in host))
        self._context.setsockopt(zmq.SNDHWM, high_water)
        self._context.setsockopt(zmq.LINGER, LINGER_MS)
        outlet = _Push if kind == "push" else _Publish
        self._outlets: list[_Push | _Publish] = []
        try:
            for module in range(modules):
                wanted = port and port + module
                self._outlets.append(outlet(self._context, host, wanted))
        except OSError:
            self._context.destroy(linger=0)
            raise
        self.ports = [each.port for each in self._outlets]
        self.port = self.ports[0]

    def wait_for_receivers(self, halt: threading.Event) -> bool:
        """Wait until each PUB socket has a subscriber, `send_timeout_s` at most.

        A PUSH socket has nothing to wait for: its messages do.
        """
        deadline_s = time.monotonic() + self._timeout_s
        while not self._has_receivers():
            if time.monotonic() >= deadline_s or halt.wait(SUBSCRIBER_CHECK_S):
                return False
        return True

    def send(self, messages: Sending) -> bool:
        """Send messages, each all of it or nothing; False if one was not taken."""
        return self._send(messages, self._timeout_s)

    def _has_receivers(self) -> bool:
        with self._lock:
            if self._context.closed:
                return False
            return all(outlet.has_receiver() for outlet in self._outlets)

    def _send(self, messages: Sending, timeout_s: float) -> bool:
        if not self.is_enabled:
            return True
        with self._lock:  # requests come from several threads, a socket knows but one
            if self._context.closed:
                return False
            timeout_ms = int(timeout_s * 1000)
            taken = [self._outlets[k].send(parts, timeout_ms) for k, parts in messages]
            self._is_stuck = not all(taken)
            return not self._is_stuck

    def send_images(
        self,
        frames: Iterable[int],
        messages_of: Callable[[int], Sending],
        period_s: float,
        halt: threading.Event,
    ) -> None:
        """Send images at their rate, with the faults; ends early when `halt` is set.

        Raises:
            Died: The faults let the detector die here.
        """
        due_s = time.monotonic()
        for frame in self._faults.order(frames, self._rng):
            due_s += period_s + self._faults.stall_before(frame)
            if _is_halted(halt, due_s - time.monotonic()):
                return
            lost = self._faults.lost_module(len(self.ports), self._rng)
            messages = [each for each in messages_of(frame) if each[0] != lost]
            timeout_s = 0.0 if self._is_stuck else self._timeout_s
            self.dropped += not self._send(messages, timeout_s)

    def close(self) -> None:
        """Hand over what is under way, for at most LINGER_MS, and close."""
        with self._lock:
            self._context.destroy(linger=LINGER_MS)


class _Push:
    """A socket whose messages wait for somebody who pulls."""

    def __init__(self, context: zmq.Context, host: str, port: int) -> None:
        self._socket = context.socket(zmq.PUSH)
        self.port = _bind(self._socket, host, port)

    def has_receiver(self) -> bool:
        """Return True: a message waits for one."""
        return True

    def send(self, parts: Sequence[Buffer], timeout_ms: int) -> bool:
        """Send a message; False when nobody took it in time."""
        self._socket.setsockopt(zmq.SNDTIMEO, timeout_ms)
        try:
            self._socket.send_multipart(parts, copy=False)
        except zmq.Again:
            return False
        return True


class _Publish:
    """A socket whose messages go to all who subscribe, or to nobody.

    XPUB is PUB that tells when the first subscribes and when the last one leaves.
    """

    def __init__(self, context: zmq.Context, host: str, port: int) -> None:
        self._socket = context.socket(zmq.XPUB)
        self._topics: set[bytes] = set()
        self.port = _bind(self._socket, host, port)

    def has_receiver(self) -> bool:
        """Return whether anybody subscribes."""
        with suppress(zmq.Again):
            while True:
                change = self._socket.recv(zmq.NOBLOCK)
                change_topics = self._topics.add if change[0] else self._topics.discard
                change_topics(change[1:])
        return bool(self._topics)

    def send(self, parts: Sequence[Buffer], timeout_ms: int) -> bool:
        """Send a message; False when there is nobody to have it."""
        if not self.has_receiver():
            return False
        self._socket.send_multipart(parts, copy=False)
        return True


def _bind(socket: zmq.Socket, host: str, port: int) -> int:
    address = f"[{host}]" if ":" in host else host
    try:
        socket.bind(f"tcp://{address}:{port or '*'}")
    except zmq.ZMQError as error:
        socket.close(0)
        raise OSError(f"stream port {port} of {host}: {error}") from error
    endpoint: bytes = socket.getsockopt(zmq.LAST_ENDPOINT)  # pyright: ignore[reportAssignmentType]
    return int(endpoint.decode().strip("\0").rsplit(":", 1)[1])


def _is_halted(halt: threading.Event, pause_s: float) -> bool:
    return halt.wait(pause_s) if pause_s > PAUSE_MIN_S else halt.is_set()
