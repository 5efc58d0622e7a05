"""What a socket of ZeroMQ says on TCP, as far as one that pushes needs it.

Source: ZeroMQ's RFC 23 (ZMTP 3.0), with PING and PONG of RFC 37 (ZMTP 3.1); mechanism
NULL.

| in this order | what it is |
|---|---|
| greeting, 64 bytes | signature ff … 7f, version, mechanism, and zeros |
| command READY | properties, among them Socket-Type |
| messages, commands | frames: flags (1 more, 2 long, 4 command), size, content |
"""

from collections.abc import Iterator, Sequence

from srx_service.errors import ProtocolError
from srx_service.messages import Buffer

GREETING_SIZE = 64
_MECHANISM = b"NULL".ljust(20, b"\0")
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + _MECHANISM + bytes(32)
"""Ours: version 3.0."""
MORE, LONG, COMMAND = 1, 2, 4
MAX_SAID_BYTES = 4096
"""Of one thing that a client says; whoever sends more is disconnected."""
JOINED_BYTES = 4096
"""Parts up to so long are copied into one piece with what is around them."""


def command(name: bytes, content: bytes = b"") -> bytes:
    """Return a command on the wire; a short one."""
    body = bytes([len(name)]) + name + content
    return bytes([COMMAND, len(body)]) + body


READY = command(b"READY", b"\x0bSocket-Type\0\0\0\x04PUSH")


def frames(parts: Sequence[Buffer]) -> list[memoryview]:
    """Return a message on the wire, in pieces; large parts are not copied."""
    pieces, joined, last = [], bytearray(), len(parts) - 1
    for k, part in enumerate(parts):
        joined += _head(len(part), MORE if k < last else 0)
        if len(part) <= JOINED_BYTES:
            joined += part
        else:
            pieces += [memoryview(joined), memoryview(part)]
            joined = bytearray()
    return [*pieces, memoryview(joined)] if joined else pieces


def _head(size: int, flags: int) -> bytes:
    if size < 256:
        return bytes([flags, size])
    return bytes([flags | LONG]) + size.to_bytes(8, "big")


class Ear:
    """Understands what a PULL socket says to one that pushes."""

    def __init__(self) -> None:
        self.is_ready = False
        """The handshake is over: it may get messages."""
        self._heard = bytearray()
        self._is_greeted = False

    def hear(self, said: bytes) -> bytes:
        """Take what came; return what is to be answered.

        Raises:
            ProtocolError: It is no PULL socket that we can talk to.
        """
        self._heard += said
        if not self._is_greeted and not self._greet():
            return b""
        return b"".join(map(self._answer, self._frames()))

    def _greet(self) -> bool:
        """Read the greeting; True once it is whole."""
        heard = self._heard
        if heard[:1] not in (b"", b"\xff") or heard[9:10] not in (b"", b"\x7f"):
            raise ProtocolError("greeting", "not of ZeroMQ")
        if heard[10:11] and heard[10] < 3:
            raise ProtocolError("greeting", f"ZMTP {heard[10]}, 3 is needed")
        if len(heard) < GREETING_SIZE:
            return False
        if heard[12:32] != _MECHANISM:
            raise ProtocolError("greeting", "not of mechanism NULL")
        del heard[:GREETING_SIZE]
        self._is_greeted = True
        return True

    def _frames(self) -> Iterator[bytes]:
        """Yield the commands that have come."""
        heard = self._heard
        while len(heard) >= 2:
            is_long = heard[0] & LONG
            head = 9 if is_long else 2
            if len(heard) < head:
                return
            size = int.from_bytes(heard[1:head], "big")
            if size > MAX_SAID_BYTES or not heard[0] & COMMAND:
                raise ProtocolError("frame", "a PULL socket has nothing to say")
            if len(heard) < head + size:
                return
            body = bytes(heard[head : head + size])
            del heard[: head + size]
            yield body

    def _answer(self, body: bytes) -> bytes:
        size = 1 + body[0] if body else 1
        name, content = body[1:size], body[size:]
        if not self.is_ready:
            if name != b"READY" or _properties(content).get("socket-type") != b"PULL":
                raise ProtocolError("handshake", "not of a PULL socket")
            self.is_ready = True
        elif name == b"PING":
            return command(b"PONG", content[2:18])
        return b""


def _properties(content: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    while content:
        name, rest = content[1 : 1 + content[0]], content[1 + content[0] :]
        size = int.from_bytes(rest[:4], "big")
        found[name.decode("latin-1").lower()] = rest[4 : 4 + size]
        content = rest[4 + size :]
    return found
