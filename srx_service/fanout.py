"""The secondary port where each client is known: images in turn, headers to all.

libzmq's PUSH gives a message to one of its peers and tells nobody to which, so ZeroMQ's
own protocol is spoken here, with sockets of the system. Clients notice no difference.
"""

import logging
import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice

from srx_service import zmtp
from srx_service.bell import Bell
from srx_service.errors import ConfigError, ProtocolError
from srx_service.marks import PENDING_LIMIT
from srx_service.messages import Buffer
from srx_service.outlet import HANDSHAKE_MS, HIGH_WATER_MARK, KEEPALIVE, LINGER_MS

logger = logging.getLogger(__name__)

MAX_CLIENTS = 256
"""Connections at once; one more is closed."""
PIECES = 64
"""Handed to the system at once, of all that waits for a client."""
LOOK_MS = 1000
"""How often silent connections are looked at."""


class Peer:
    """Who has connected, and what waits for it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.came_s = time.monotonic()
        self.is_client = False
        """It counts as one."""
        self.is_welcome = False
        """It has got the header of the open series, if there is one."""
        self._ear = zmtp.Ear()
        self._waiting: deque[list[memoryview]] = deque([[memoryview(zmtp.GREETING)]])
        self._waiting.append([memoryview(zmtp.READY)])

    @property
    def has_room(self) -> bool:
        """True where an image may be put."""
        return self.is_welcome and len(self._waiting) < HIGH_WATER_MARK

    @property
    def is_behind(self) -> bool:
        """True while something waits for it."""
        return bool(self._waiting)

    def listen(self) -> None:
        """Read what it says, and answer.

        Raises:
            OSError: It is gone.
            ProtocolError: It is no client.
        """
        with suppress(BlockingIOError):
            said = self.connection.recv(zmtp.MAX_SAID_BYTES)
            if not said:
                raise ConnectionResetError
            if answer := self._ear.hear(said):
                self._waiting.append([memoryview(answer)])

    @property
    def is_ready(self) -> bool:
        """True once its handshake succeeded."""
        return self._ear.is_ready

    @property
    def is_gone(self) -> bool:
        """True once it is disconnected."""
        return self.connection.fileno() < 0

    def put(self, pieces: Sequence[memoryview]) -> None:
        """Send a message, after all that waits.

        Raises:
            OSError: It is gone, or takes nothing and much waits.
        """
        self._waiting.append(list(pieces))
        if len(self._waiting) > PENDING_LIMIT:
            raise TimeoutError("it takes nothing")
        self.flush()

    def flush(self) -> None:
        """Send what the system takes now.

        Raises:
            OSError: It is gone.
        """
        with suppress(BlockingIOError):
            while self._waiting:
                pieces = islice(chain.from_iterable(self._waiting), PIECES)
                self._forget(self.connection.sendmsg(pieces))

    def _forget(self, sent: int) -> None:
        while sent:
            pieces = self._waiting[0]
            if sent < len(pieces[0]):
                pieces[0] = pieces[0][sent:]
                return
            sent -= len(pieces.pop(0))
            if not pieces:
                self._waiting.popleft()


class Fanout:
    """A PUSH socket that binds. Used by one thread, but for `ring`.

    Args:
        address: As ZeroMQ's, "tcp://*:5556"; port 0: any free one.

    Raises:
        ConfigError: The port is taken, or not ours to take.
    """

    def __init__(self, address: str) -> None:
        self._peers: list[Peer] = []
        self._next = 0
        """Whose turn it is for an image."""
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        try:
            self._listener = _listen("0.0.0.0" if host == "*" else host, int(port))
        except OSError as error:
            text = f"data_port: cannot listen on {address}: {error.strerror}"
            raise ConfigError(text) from error
        self._bell = Bell()
        self.endpoint = f"tcp://{host}:{self._listener.getsockname()[1]}"
        """What it is bound to, with the true port."""

    @property
    def clients(self) -> int:
        """How many have made their handshake and are still connected."""
        return sum(peer.is_client for peer in self._peers)

    def changes(self) -> Iterator[tuple[int, int]]:
        """Learn who came and went; yield how many there were before and after each."""
        self._serve(0)
        had = self.clients
        gone = [peer for peer in self._peers if peer.is_gone]
        self._peers = [peer for peer in self._peers if not peer.is_gone]
        for peer in gone:
            if peer.is_client:
                yield had, had - 1
                had -= 1
        for peer in self._peers:
            if peer.is_ready and not peer.is_client:
                peer.is_client = True
                yield had, had + 1
                had += 1

    # -- messages ----------------------------------------------------------------------

    def send(self, parts: Sequence[Buffer]) -> bool:
        """Send all parts to one client, each in turn; none where nobody has room."""
        peers = self._peers
        for k in range(len(peers)):
            peer = peers[(self._next + k) % len(peers)]
            if peer.has_room and self._put(peer, zmtp.frames(parts)):
                self._next = (self._next + k + 1) % len(peers)
                return True
        return False

    def announce(self, parts: Sequence[Buffer]) -> None:
        """Send it to every client, however slow."""
        pieces = zmtp.frames(parts)
        for peer in self._peers:
            if peer.is_welcome:
                self._put(peer, pieces)

    def welcome(self, parts: Sequence[Buffer] | None) -> None:
        """Let in who is new; with a message that is for them alone."""
        for peer in self._peers:
            if peer.is_client and not peer.is_welcome:
                peer.is_welcome = True
                if parts is not None:
                    self._put(peer, zmtp.frames(parts))

    def _put(self, peer: Peer, pieces: Sequence[memoryview]) -> bool:
        try:
            peer.put(pieces)
        except TimeoutError as error:
            logger.warning("%s: a client is cut off: %s", self.endpoint, error)
        except OSError as error:
            logger.debug("%s: a client goes: %s", self.endpoint, error)
        else:
            return True
        _drop(peer)
        return False

    # -- waiting -----------------------------------------------------------------------

    def poll(self, timeout_ms: int, *, for_room: bool) -> bool:
        """Wait for clients, a ring, or room; False at timeout."""
        if for_room and any(peer.has_room for peer in self._peers):
            return True
        if 0 <= timeout_ms <= LOOK_MS or not self._has_silent():
            return self._serve(timeout_ms)
        self._serve(LOOK_MS)
        return True

    def _has_silent(self) -> bool:
        return not all(peer.is_client for peer in self._peers)

    def _serve(self, timeout_ms: int) -> bool:
        """Do what can be done now; False if nothing could until the timeout."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._bell, select.POLLIN)
        peers = {p.connection.fileno(): p for p in self._peers if not p.is_gone}
        for descriptor, peer in peers.items():
            behind = select.POLLOUT if peer.is_behind else 0
            poll.register(descriptor, select.POLLIN | behind)
        ready = dict(poll.poll(timeout_ms))
        for descriptor in peers.keys() & ready.keys():
            self._attend(peers[descriptor], ready[descriptor])
        if self._listener.fileno() in ready:
            self._accept()
        self._bell.hush()
        self._hang_up()
        return bool(ready)

    def _attend(self, peer: Peer, events: int) -> None:
        try:
            if events & ~select.POLLOUT:
                peer.listen()
            peer.flush()
        except (OSError, ProtocolError) as error:
            logger.debug("%s: a client goes: %s", self.endpoint, error)
            _drop(peer)

    def _accept(self) -> None:
        with suppress(OSError):
            connection, _ = self._listener.accept()
            if len(self._peers) >= MAX_CLIENTS:
                connection.close()
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for option, value in KEEPALIVE.items():
                connection.setsockopt(socket.IPPROTO_TCP, option, value)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._peers.append(Peer(connection))

    def _hang_up(self) -> None:
        limit_s = time.monotonic() - HANDSHAKE_MS / 1000
        for peer in self._peers:
            if not peer.is_ready and peer.came_s < limit_s:
                _drop(peer)

    def ring(self) -> None:
        """End a `poll`; any thread may."""
        self._bell.ring()

    def close(self) -> None:
        """Unbind, once what waits has gone out, or a moment has passed."""
        self._listener.close()
        end_s = time.monotonic() + LINGER_MS / 1000
        for peer in self._peers:
            if peer.is_client:
                _let_go(peer, end_s)
            peer.connection.close()
        self._bell.close()


def _drop(peer: Peer) -> None:
    """Disconnect; `changes` tells of it."""
    peer.is_welcome = False
    peer.connection.close()


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.create_server((host, port), backlog=100)
    listener.setblocking(False)
    return listener


def _let_go(peer: Peer, end_s: float) -> None:
    """Send what waits for it, if it takes that in time."""
    with suppress(OSError):
        peer.flush()
        while peer.is_behind and (left_s := end_s - time.monotonic()) > 0:
            _, writable, _ = select.select([], [peer.connection], [], left_s)
            if not writable:
                return
            peer.flush()
