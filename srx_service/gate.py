"""Says who may come in at the secondary port, where only known keys may.

Source: ZeroMQ's RFC 27 (ZAP). libzmq asks on an inproc socket, and lets nobody in until
it is answered.

| part of a request | part of the answer |
|---|---|
| "1.0", request id | the same |
| domain, address, identity | "200" or "400", a text |
| mechanism, the client's public key in 32 bytes | user id, metadata: both empty |
"""

import logging

import zmq
from zmq.utils import z85

logger = logging.getLogger(__name__)

ADDRESS = "inproc://zeromq.zap.01"


class Gate:
    """Answers for all sockets of one context. Used by one thread.

    Args:
        context: Of the socket that binds; which has to bind after this is made.
        clients: Public keys of those who may come in, as Z85 text.
    """

    def __init__(
        self, context: "zmq.Context[zmq.Socket[bytes]]", clients: frozenset[bytes]
    ) -> None:
        self._clients = clients
        self._refused = 0
        self.socket = context.socket(zmq.REP)
        """To be polled: it can be read while somebody waits for an answer."""
        self.socket.linger = 0
        self.socket.bind(ADDRESS)

    def answer(self) -> None:
        """Answer all who wait."""
        while int(self.socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            version, request, _, address, _, mechanism, *keys = (
                self.socket.recv_multipart()
            )
            is_known = mechanism == b"CURVE" and z85.encode(keys[0]) in self._clients
            if not is_known:
                self._tell(address)
            said = [b"200", b"OK"] if is_known else [b"400", b"unknown key"]
            self.socket.send_multipart([version, request, *said, b"", b""])

    def close(self) -> None:
        """Answer nobody any more."""
        self.socket.close()

    def _tell(self, address: bytes) -> None:
        self._refused += 1
        if self._refused == 1:
            text = "a client from %s with an unknown key is refused (further ones too)"
            logger.warning(text, address.decode(errors="replace"))
