"""The secondary port's socket, which takes a message whole or not at all."""

import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import zmq

from srx_service.bell import Bell
from srx_service.clients import EVENTS, Clients
from srx_service.curve import ServerKeys
from srx_service.errors import ConfigError
from srx_service.gate import Gate
from srx_service.messages import Buffer

HIGH_WATER_MARK = 8
"""Messages in the pipe of each client, whatever their size.

Set before the bind and never again: libzmq 4.3.5 crashes when it is changed while a
client leaves (https://github.com/zeromq/libzmq/pull/4647 came later). So few are enough
for large frames, and cost small ones a third of the rate.
"""
HANDSHAKE_MS = 5000
"""Who has not spoken by then is disconnected."""
MAX_SAID_BYTES = 4096
"""Of what a client says: its handshake. Whoever sends more is disconnected."""
SMALL_BYTES = 65536
"""Below, a copy costs less than to do without."""
LINGER_MS = 1000
KEEPALIVE = {
    socket.TCP_KEEPIDLE: 30,
    socket.TCP_KEEPINTVL: 10,
    socket.TCP_KEEPCNT: 3,
}
"""Of TCP, in seconds, and how often: a client whose machine is gone says no good-bye.
No ZMTP heartbeat: a client that only reads slowly would not answer it either."""
_EVENT = struct.Struct("=Hi")


class Outlet:
    """A PUSH socket that binds. Used by one thread, but for `ring`.

    Args:
        address: ZeroMQ's, as "tcp://*:5556"; port 0: any free one.
        keys: Of those who may come in; None: everybody may.

    Raises:
        ConfigError: The port is taken, or not ours to take.
    """

    def __init__(self, address: str, keys: ServerKeys | None = None) -> None:
        self._peers = Clients()
        self._bell = Bell()
        self._context = zmq.Context()
        self._socket, self._gate = hardened(self._context, zmq.PUSH, keys)
        self._socket.sndhwm = HIGH_WATER_MARK
        # Nobody reads what a client sends: it would fill memory.
        self._socket.rcvhwm = 1
        self._monitor = self._socket.get_monitor_socket(EVENTS)
        try:
            self.endpoint = bound(self._socket, address, "data_port")
            """What it is bound to, with the true port."""
        except ConfigError:
            self.close()
            raise

    @property
    def clients(self) -> int:
        """How many have made their handshake and are still connected."""
        return self._peers.count

    def changes(self) -> Iterator[tuple[int, int]]:
        """Learn who came and went; yield how many there were before and after each."""
        if self._gate is not None:
            self._gate.answer()
        while int(self._monitor.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            had = self.clients
            self._peers.event(*_EVENT.unpack(self._monitor.recv_multipart()[0]))
            if had != self.clients:
                yield had, self.clients

    def send(self, parts: Sequence[Buffer]) -> bool:
        """Send all parts, or none where no client's pipe has room."""
        more = zmq.SNDMORE if len(parts) > 1 else 0
        try:
            self._socket.send(parts[0], zmq.NOBLOCK | more)
        except zmq.Again:
            return False
        send_rest(self._socket, parts)  # only the first can find no room
        return True

    def poll(self, timeout_ms: int, *, for_room: bool) -> bool:
        """Wait for a change of clients, a ring, room in a pipe; False at timeout."""
        watched: list[tuple[Any, int]] = [
            (self._monitor, zmq.POLLIN),
            (self._bell, zmq.POLLIN),
        ]
        if self._gate is not None:
            watched.append((self._gate.socket, zmq.POLLIN))
        if for_room:
            watched.append((self._socket, zmq.POLLOUT))
        is_ready = bool(zmq.zmq_poll(watched, timeout_ms))
        self._bell.hush()
        return is_ready

    def ring(self) -> None:
        """End a `poll`; any thread may."""
        self._bell.ring()

    def close(self) -> None:
        """Unbind; what is in the pipes may still go out for a moment."""
        self._socket.disable_monitor()
        self._monitor.close()
        self._socket.close()
        if self._gate is not None:
            self._gate.close()
        self._context.term()
        self._bell.close()


def hardened(
    context: "zmq.Context[zmq.Socket[bytes]]", kind: int, keys: ServerKeys | None
) -> tuple["zmq.Socket[bytes]", Gate | None]:
    """Return a socket that trusts nobody, and who answers for it if there are keys."""
    made = context.socket(kind)
    made.linger = LINGER_MS
    made.handshake_ivl = HANDSHAKE_MS
    made.maxmsgsize = MAX_SAID_BYTES
    # Without it, whoever speaks no ZMTP is taken for a client of ZMTP 1.0 and gets
    # messages. With it, and no handler for it, all of ZMTP 3 are let in as before.
    made.zap_domain = b"srx"
    made.tcp_keepalive = 1
    made.tcp_keepalive_idle = KEEPALIVE[socket.TCP_KEEPIDLE]
    made.tcp_keepalive_intvl = KEEPALIVE[socket.TCP_KEEPINTVL]
    made.tcp_keepalive_cnt = KEEPALIVE[socket.TCP_KEEPCNT]
    if keys is None:
        return made, None
    made.curve_server = True
    made.curve_secretkey = keys.secret
    return made, Gate(context, keys.clients)


def bound(to: "zmq.Socket[bytes]", address: str, key: str) -> str:
    """Bind a socket; return what it is bound to.

    Args:
        to: The socket.
        address: ZeroMQ's.
        key: Of detectors.yaml, that names the port.

    Raises:
        ConfigError: The port is taken, or not ours to take.
    """
    try:
        to.bind(address)
    except zmq.ZMQError as error:
        text = f"{key}: cannot listen on {address}: {error.strerror}"
        raise ConfigError(text) from error
    return str(to.getsockopt_string(zmq.LAST_ENDPOINT))


def send_rest(to: "zmq.Socket[bytes]", parts: Sequence[Buffer]) -> None:
    """Send what follows a first part: it goes where that went."""
    last = len(parts) - 1
    for k in range(1, last + 1):
        part, more = parts[k], zmq.SNDMORE if k < last else 0
        if len(part) < SMALL_BYTES:
            to.send(part, more)
        else:
            to.send(_as_received(part), more, copy=False)


def _as_received(part: Buffer) -> Buffer | zmq.Frame:
    """Return the frame a part came in: ZeroMQ only counts who still needs it."""
    if isinstance(part, memoryview):
        frame = part.obj
        if isinstance(frame, zmq.Frame) and len(frame) == len(part):
            return frame
    return part
