"""Tells systemd that the service is ready, lives and ends, where that started it.

A datagram of lines to the socket that NOTIFY_SOCKET names, as sd_notify(3) describes it
under "Notes"; a library of systemd's is not needed.
"""

import logging
import socket
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

BEATS = 4
"""Signs of life within the time after which systemd ends a silent service; it advises
two or more, sd_watchdog_enabled(3)."""


class Systemd:
    """The supervisor, as a service of `Type=notify` sees it; without one: nobody.

    Args:
        address: What NOTIFY_SOCKET names; one that begins with "@" is in Linux's
            abstract namespace. None: there is nobody to tell.
        watchdog_s: A service that is silent for so long is ended; None: none is.
        clock: Seconds, ever growing.
    """

    def __init__(
        self,
        address: str | None,
        watchdog_s: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = None if address is None else _path(address)
        self._apart_s = None if watchdog_s is None else watchdog_s / BEATS
        self._clock = clock
        self._told_s: float | None = None

    def well(self) -> None:
        """Tell that all is well: the first time it is ready, then, in time, alive."""
        now_s = self._clock()
        if self._told_s is None:
            self._send("READY=1")
        elif self._apart_s is None or now_s < self._told_s + self._apart_s:
            return
        else:
            self._send("WATCHDOG=1")
        self._told_s = now_s

    def ending(self, why: str) -> None:
        """Tell that it ends by itself; from here on its stop may take its time."""
        self._send(f"STOPPING=1\nSTATUS={why}")

    def _send(self, text: str) -> None:
        if self._address is None:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            try:
                sock.sendto(text.encode(), self._address)
            except OSError as error:
                logger.warning("NOTIFY_SOCKET: %s cannot be told: %s", text, error)


def _path(address: str) -> str:
    return "\0" + address[1:] if address.startswith("@") else address
