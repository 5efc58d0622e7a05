"""Who is connected to the secondary port, told by what libzmq's monitor reports.

Source: zmq_socket_monitor(3), and libzmq 4.3.5 itself, src/stream_engine_base.cpp.

| peer | events, value |
|---|---|
| a client | ACCEPTED fd, HANDSHAKE_SUCCEEDED 0, …, DISCONNECTED fd |
| TCP that never speaks | ACCEPTED fd, …, HANDSHAKE_FAILED_*, DISCONNECTED fd |
| no ZMTP, or of another socket type | ACCEPTED fd, DISCONNECTED fd |

Only the success of the handshake makes a client: a port scan is none. The event does
not tell whose it was. It comes within milliseconds after the connection, so it is taken
for the newest one's, and for another's that was there too, once that one has left: to
count a client too many for a moment is better than to miss one for ever.
"""

import zmq

ACCEPTED = int(zmq.EVENT_ACCEPTED)
SUCCEEDED = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
DISCONNECTED = int(zmq.EVENT_DISCONNECTED)
EVENTS = ACCEPTED | SUCCEEDED | DISCONNECTED
"""What is to be monitored."""


class Clients:
    """The peers of one bound socket."""

    def __init__(self) -> None:
        self._silent: list[int] = []
        """Connections without a handshake, the newest last."""
        self._clients: dict[int, list[int]] = {}
        """Those with one, and who else it may have been."""

    @property
    def count(self) -> int:
        """How many have made their handshake and are still connected."""
        return len(self._clients)

    def event(self, kind: int, value: int) -> None:
        """Take what the monitor reports, in its order."""
        if kind == ACCEPTED:
            self._silent.append(value)
        elif kind == SUCCEEDED:
            self._succeed(self._silent)
        elif kind == DISCONNECTED and value in self._silent:
            self._silent.remove(value)
        elif kind == DISCONNECTED:
            others = self._clients.pop(value, [])
            self._succeed([other for other in others if other in self._silent])

    def _succeed(self, candidates: list[int]) -> None:
        if candidates:
            *others, client = candidates
            self._silent.remove(client)
            self._clients[client] = others
