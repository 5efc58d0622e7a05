"""A socket's connection to its endpoint, made anew where libzmq gives it up.

libzmq connects again by itself after a connection broke, but not after its peer broke
the protocol (4.3.5, session_base.cpp: `engine_error`). Another program that listens
where the source should, for a moment, would end reception for as long as the service
runs.
"""

import logging
import struct
from contextlib import suppress

import zmq

logger = logging.getLogger(__name__)

BROKEN = int(zmq.EVENT_DISCONNECTED)
TRIES = int(zmq.EVENT_CONNECTED | zmq.EVENT_CONNECT_DELAYED | zmq.EVENT_CONNECT_RETRIED)
"""What follows at once where libzmq connects again."""
PATIENCE_S = 1.0
"""Without any of these, it does not any more."""
_EVENT = struct.Struct("=Hi")


class Link:
    """Connects a socket; used by the one thread that uses the socket."""

    def __init__(self, sock: "zmq.Socket[bytes]", endpoint: str) -> None:
        self._socket, self._endpoint = sock, endpoint
        self._monitor = sock.get_monitor_socket(BROKEN | TRIES)
        self._broken_s: float | None = None
        """Since when it is given up, as it seems."""
        self._is_told = False
        sock.connect(endpoint)

    def mend(self, now_s: float) -> None:
        """Connect anew if nobody else does; to be called now and then.

        Args:
            now_s: By a clock that ever grows.
        """
        while int(self._monitor.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            event, _ = _EVENT.unpack(self._monitor.recv_multipart()[0])
            self._broken_s = now_s if event == BROKEN else None
        if self._broken_s is None or now_s < self._broken_s + PATIENCE_S:
            return
        self._broken_s = None
        if not self._is_told:
            self._is_told = True
            text = "%s: what listens there breaks ZeroMQ's protocol; connecting anew"
            logger.warning(text, self._endpoint)
        # first: with two connections messages would overtake one another
        with suppress(zmq.ZMQError):
            self._socket.disconnect(self._endpoint)
        self._socket.connect(self._endpoint)

    def close(self) -> None:
        """Look after it no more; its socket is the caller's to close."""
        self._socket.disable_monitor()
        self._monitor.close()
