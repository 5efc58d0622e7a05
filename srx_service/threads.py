"""The threads of the line: known to the system by name, and none dies unnoticed."""

import ctypes
import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

PR_SET_NAME = 15
"""Of <linux/prctl.h>: names the calling thread, in 15 bytes."""


class Threads:
    """Starts threads; one that dies ends the service, whose supervisor starts it anew.

    Args:
        on_death: Called by the thread that dies.
    """

    def __init__(self, on_death: Callable[[], None]) -> None:
        self._on_death = on_death
        self._threads: list[threading.Thread] = []
        self.failure: BaseException | None = None
        """What ended a thread that should have gone on."""

    def start(self, name: str, body: Callable[[], None]) -> threading.Thread:
        """Start a thread; `top -H`, `ps -L` and py-spy show its name."""
        thread = threading.Thread(
            target=self._guarded, args=(body,), name=name, daemon=True
        )
        self._threads.append(thread)
        thread.start()
        return thread

    @property
    def are_well(self) -> bool:
        """True while all of them run."""
        return self.failure is None and all(t.is_alive() for t in self._threads)

    def _guarded(self, body: Callable[[], None]) -> None:
        name = threading.current_thread().name
        _tell_system(name)
        try:
            body()
        except BaseException as error:
            self.failure = error
            self._on_death()
            logger.exception("thread %s died", name)


def _tell_system(name: str) -> None:
    """Name this thread for the system, as Python does from 3.14 on."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:  # as on Linux
        prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)
