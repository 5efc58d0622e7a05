"""Turns of two threads that both need the interpreter's lock: one works, one sleeps.

Where receiving and writing are both busy, each call into ZeroMQ or HDF5 lets the lock
go, wakes the other thread and waits for it to let go in turn, which costs more than a
small call itself. Threads that take turns change places once for a batch.
"""

import threading

PATIENCE_S = 0.05
"""Who has waited for so long goes ahead: the other one waits for a disk."""


class Turns:
    """Taken in the order asked for, and only while `are_taken` is set."""

    def __init__(self) -> None:
        self.are_taken = False
        """True while each image is a call of its own to HDF5, or the writer is behind;
        where many go into one call, the threads are better off side by side."""
        self._turn = threading.Lock()
        self._next = threading.Lock()
        """Held by who comes next: who had the last turn and asks again comes behind."""
        self._is_overdue = False
        """True while who has the turn keeps it for too long: nobody waits for it."""

    def take(self) -> bool:
        """Wait for a turn; True where it is to be given back."""
        if not self.are_taken or self._is_overdue:
            return False
        with self._next:
            is_mine = self._turn.acquire(timeout=PATIENCE_S)
            self._is_overdue = not is_mine
            return is_mine

    def give_back(self) -> None:
        """Let the next one work."""
        self._is_overdue = False
        self._turn.release()
