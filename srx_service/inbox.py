"""A queue between two threads whose reader is woken only once it has gone to sleep.

Waking a thread for each batch costs the one that wakes more than all else it does for a
batch, where there are more threads than cores: the woken one takes its core away. So a
reader that is busy looks again by itself after a nap.
"""

import threading
import time
from collections import deque
from queue import Empty
from typing import Generic, TypeVar

T = TypeVar("T")
NAP_S = 0.002
"""How late a busy reader may see what was put; one that is idle is woken at once."""
BUSY_S = 2 * NAP_S
"""A reader that ran out of items twice within so long is busy."""


class Inbox(Generic[T]):
    """Any thread may put, one thread gets."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._bell = threading.Event()
        self._is_asleep = False
        self._emptied_s = 0.0

    def put(self, item: T) -> None:
        """Add an item; never waits."""
        self._items.append(item)
        if self._is_asleep:
            self._bell.set()

    def get(self, timeout_s: float | None = None, *, may_nap: bool = True) -> T:
        """Return the next item.

        Args:
            timeout_s: None waits for ever.
            may_nap: False where an item's work is worth a waking.

        Raises:
            Empty: None came in time.
        """
        items = self._items
        if not items and may_nap:
            self._nap_if_busy()
        if not items:
            self._sleep(timeout_s)
        try:
            return items.popleft()
        except IndexError:
            raise Empty from None

    def peek(self) -> T | None:
        """Return what `get` would return at once, or None; for the reader alone."""
        return self._items[0] if self._items else None

    def _nap_if_busy(self) -> None:
        now_s, emptied_s = time.monotonic(), self._emptied_s
        self._emptied_s = now_s
        if now_s - emptied_s < BUSY_S:
            time.sleep(NAP_S)

    def _sleep(self, timeout_s: float | None) -> None:
        self._bell.clear()
        self._is_asleep = True
        # looked at again: what was put before the flag was set rang no bell
        if not self._items:
            self._bell.wait(timeout_s)
        self._is_asleep = False
