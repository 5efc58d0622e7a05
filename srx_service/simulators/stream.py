"""The stream side of all simulators: a PUSH socket that drops as a detector does."""

import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypedDict

import zmq

from srx_service.messages import Buffer
from srx_service.simulators.faults import Faults

HIGH_WATER = 1000
"""Messages that wait for a slow receiver; their pixels are shared, not copied."""
SEND_TIMEOUT_S = 1.0
LINGER_MS = 1000
PAUSE_MIN_S = 0.001
"""Shorter pauses are not made but saved up: sleeping is not more precise than this."""


class StreamOptions(TypedDict, total=False):
    """What may be chosen of a stream beyond address and seed."""

    faults: Faults
    high_water: int
    """Messages that wait for a slow receiver before any is dropped."""
    send_timeout_s: float


class ImageStream:
    """Sends messages to whoever pulls; drops and counts what nobody takes in time.

    Once a message has found no taker in time, images no longer wait until one is taken
    again: an acquisition without receiver ends all the same.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        faults: Faults | None = None,
        seed: int = 0,
        high_water: int = HIGH_WATER,
        send_timeout_s: float = SEND_TIMEOUT_S,
    ) -> None:
        self.dropped = 0
        self.is_enabled = True
        self._faults = faults or Faults()
        self._rng = random.Random(seed)
        self._timeout_ms = int(send_timeout_s * 1000)
        self._is_stuck = False
        self._lock = threading.Lock()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, high_water)
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        self._socket.setsockopt(zmq.IPV6, int(":" in host))
        address = f"[{host}]" if ":" in host else host
        try:
            self._socket.bind(f"tcp://{address}:{port or '*'}")
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise OSError(f"stream port {port} of {host}: {error}") from error
        endpoint: bytes = self._socket.getsockopt(zmq.LAST_ENDPOINT)  # pyright: ignore[reportAssignmentType]
        self.port = int(endpoint.decode().strip("\0").rsplit(":", 1)[1])

    def send(self, parts: Sequence[Buffer]) -> bool:
        """Send one message, all of it or nothing; False when nobody took it in time."""
        return self._send(parts, self._timeout_ms)

    def _send(self, parts: Sequence[Buffer], timeout_ms: int) -> bool:
        if not self.is_enabled:
            return True
        with self._lock:  # requests come from several threads, a socket knows but one
            if self._socket.closed:
                return False
            self._socket.setsockopt(zmq.SNDTIMEO, timeout_ms)
            try:
                self._socket.send_multipart(parts, copy=False)
                self._is_stuck = False
            except zmq.Again:
                self._is_stuck = True
            return not self._is_stuck

    def send_images(
        self,
        frames: Iterable[int],
        parts_of: Callable[[int], Sequence[Buffer]],
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
            timeout_ms = 0 if self._is_stuck else self._timeout_ms
            self.dropped += not self._send(parts_of(frame), timeout_ms)

    def close(self) -> None:
        """Hand over what is under way, for at most LINGER_MS, and close."""
        with self._lock:
            self._context.destroy(linger=LINGER_MS)


def _is_halted(halt: threading.Event, pause_s: float) -> bool:
    return halt.wait(pause_s) if pause_s > PAUSE_MIN_S else halt.is_set()
