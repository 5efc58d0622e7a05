"""Ends the wait of a thread that polls sockets; any thread may ring."""

import socket
from contextlib import suppress


class Bell:
    """What is polled beside the sockets: readable from a ring until it is hushed."""

    def __init__(self) -> None:
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self._button.setblocking(False)

    def fileno(self) -> int:
        """Return what poll(2) watches."""
        return self._bell.fileno()

    def ring(self) -> None:
        """End a wait, the next one if there is none."""
        with suppress(OSError):  # closed, or rung often enough
            self._button.send(b"\0")

    def hush(self) -> None:
        """Forget all rings so far."""
        with suppress(BlockingIOError):
            self._bell.recv(4096)

    def close(self) -> None:
        """Let go of it; it may still be rung."""
        self._bell.close()
        self._button.close()
