import pytest

from srx_service import zmtp
from srx_service.errors import ProtocolError

NULL = b"NULL".ljust(20, b"\0") + bytes(32)
GREETING = b"\xff" + bytes(8) + b"\x7f\3\1" + NULL
READY = zmtp.command(b"READY", b"\x0bSocket-Type\0\0\0\4PULL\x08Identity\0\0\0\0")

HOSTILE = {
    "http": b"GET / HTTP/1.1\r\n\r\n",
    "no signature": b"\xff" + bytes(70),
    "zmtp 2": b"\xff" + bytes(8) + b"\x7f\1\7\0\0",
    "curve": GREETING[:12] + b"CURVE".ljust(20, b"\0") + bytes(32),
    "another socket": GREETING + READY.replace(b"PULL", b"SUB\0"),
    "no socket type": GREETING + zmtp.command(b"READY"),
    "no ready": GREETING + zmtp.command(b"ERROR", b"\0"),
    "an empty command": GREETING + b"\4\0",
    "a message": GREETING + READY + b"\0\5hello",
    "a long message": GREETING + READY + b"\2" + (1 << 62).to_bytes(8, "big"),
    "a long command": GREETING + READY + b"\6" + (5000).to_bytes(8, "big"),
}


def test_a_handshake_makes_it_ready():
    ear = zmtp.Ear()
    assert ear.hear(GREETING) == b""
    assert not ear.is_ready
    assert ear.hear(READY) == b""
    assert ear.is_ready


def test_it_may_come_byte_by_byte():
    ear = zmtp.Ear()
    for k in range(len(GREETING + READY)):
        assert not ear.is_ready
        ear.hear((GREETING + READY)[k : k + 1])
    assert ear.is_ready


def test_a_ping_is_answered_with_its_context():
    ear = zmtp.Ear()
    ping = zmtp.command(b"PING", b"\0\x0acontext")
    said = GREETING + READY + ping + zmtp.command(b"ODD", b"x") + ping
    assert ear.hear(said) == zmtp.command(b"PONG", b"context") * 2


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_who_is_no_client_is_found_out(said, step):
    ear = zmtp.Ear()
    pieces = [said[k : k + step] for k in range(0, len(said), step)]
    with pytest.raises(ProtocolError):
        list(map(ear.hear, pieces))
    assert len(ear._heard) <= zmtp.MAX_SAID_BYTES + step


@pytest.mark.parametrize(
    "sizes", [[5], [0], [3, 300], [100_000], [10, 70_000, 255, 256]]
)
def test_a_message_is_framed_as_libzmq_frames_it(sizes):
    parts = [bytes([k]) * size for k, size in enumerate(sizes)]
    framed = b"".join(zmtp.frames(parts))
    assert framed == b"".join(map(by_hand, parts, [1] * (len(parts) - 1) + [0]))


def by_hand(part, more):
    if len(part) < 256:
        return bytes([more, len(part)]) + part
    return bytes([more + 2]) + len(part).to_bytes(8, "big") + part


def test_large_parts_are_not_copied():
    part = bytes(100_000)
    assert any(piece.obj is part for piece in zmtp.frames([b"head", part]))
