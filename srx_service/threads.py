"""The threads of the line: known to the system by name, and none dies unnoticed."""

import ctypes
import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

PR_SET_NAME = 15
"""Of <linux/prctl.h>: names the calling thread, in 15 bytes."""
JOIN_S = 2.0
"""A thread that was told to end, and has nothing left to write, gets so long."""


class Threads:
    """Starts threads; one that dies ends the service, whose supervisor starts it anew.

    To die is to raise, or to return before `may_end` was called.

    Args:
        on_death: Called by the thread that dies, with what is to be told of it.
    """

    def __init__(self, on_death: Callable[[str], None]) -> None:
        self._on_death = on_death
        self._threads: dict[str, threading.Thread] = {}
        self._may_end = False
        self.failure: BaseException | None = None
        """What ended the first thread that should have gone on."""

    def start(self, name: str, body: Callable[[], None]) -> threading.Thread:
        """Start a thread; `top -H`, `ps -L` and py-spy show its name."""
        thread = threading.Thread(
            target=self._run, args=(name, body), name=name, daemon=True
        )
        self._threads[name] = thread
        thread.start()
        return thread

    def watch(self, name: str, body: Callable[[], object]) -> None:
        """Run a body in the calling thread, which must not die either."""
        try:
            body()
            if not self._may_end:
                raise RuntimeError(f"thread {name} ended before it was told to")
        except BaseException as error:  # noqa: BLE001 - told, and the end of the service
            self._note(f"thread {name} died", error)

    def take_steps(self, *steps: Callable[[], object]) -> None:
        """Take each step, though one before it raises: that is told, and a failure."""
        for step in steps:
            try:
                step()
            except BaseException as error:  # noqa: BLE001 - told, the file is closed next
                self._note(f"on the way out: {error}", error)

    @property
    def are_well(self) -> bool:
        """True while all of them run, and should."""
        if self.failure is not None or self._may_end:
            return False
        return all(thread.is_alive() for thread in self._threads.values())

    def may_end(self) -> None:
        """From here on a thread that returns was told to."""
        self._may_end = True

    def is_over(self, name: str, within_s: float = 0.0) -> bool:
        """Wait for a thread; False where it does not end in time."""
        thread = self._threads[name]
        thread.join(within_s)
        return not thread.is_alive()

    def join(self) -> None:
        """Wait for all to end, for a moment each; say which do not."""
        for name in self._threads:
            if not self.is_over(name, JOIN_S):
                logger.error("thread %s does not end", name)

    def _run(self, name: str, body: Callable[[], None]) -> None:
        _tell_system(name)
        self.watch(name, body)

    def _note(self, text: str, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
        self._on_death(text)
        logger.critical("%s", text, exc_info=error)


def _tell_system(name: str) -> None:
    """Name this thread for the system, as Python does from 3.14 on."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:  # as on Linux
        prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)
