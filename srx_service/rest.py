"""Once the line rests: memory that it needed for a flood goes back to the system.

malloc keeps what is freed, for the next time. After one flood a service would look for
ever as large as its buffers may get, and nobody could tell that from a leak.
"""

import ctypes
import threading
from collections.abc import Callable

LOOK_EVERY_S = 1.0
"""Nothing came between two looks: it rests."""
WORTH_BYTES = 16 << 20
"""Of images since the last time; less leaves little behind."""


def give_back() -> None:
    """Return to the system what malloc keeps free (malloc_trim(3), of glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))


class Rest:
    """Waits for the line to rest; `run` is the body of its thread.

    Args:
        received_bytes: Of images since the start.
        queued_bytes: What is still to be written.
        give_back: Called after each flood.
    """

    def __init__(
        self,
        received_bytes: Callable[[], int],
        queued_bytes: Callable[[], int],
        give_back: Callable[[], None] = give_back,
    ) -> None:
        self._received_bytes = received_bytes
        self._queued_bytes = queued_bytes
        self._give_back = give_back
        self._seen_bytes = 0
        self._given_bytes = 0
        """What had been received at the last time."""
        self._is_over = threading.Event()

    def run(self) -> None:
        """Look again and again, until `stop`."""
        while not self._is_over.wait(LOOK_EVERY_S):
            self.look()

    def look(self) -> None:
        """Give back, if there is something worth it and nothing to do."""
        seen_bytes, self._seen_bytes = self._seen_bytes, self._received_bytes()
        is_at_rest = self._seen_bytes == seen_bytes and not self._queued_bytes()
        if is_at_rest and seen_bytes - self._given_bytes >= WORTH_BYTES:
            self._given_bytes = seen_bytes
            self._give_back()

    def stop(self) -> None:
        """Let `run` return."""
        self._is_over.set()
