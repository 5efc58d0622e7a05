import contextlib
import socket
import threading
import time

import pytest
import zmq

from srx_service.links import PATIENCE_S, Link
from tests.conftest import pick_port

PATIENCE_MS = 60_000
NOISE = bytes(range(256)) * 40
"""What begins with an empty message of ZMTP 1.0, which there is none of."""


@pytest.fixture
def pull():
    with zmq.Context() as context, context.socket(zmq.PULL) as pull:
        pull.linger, pull.reconnect_ivl, pull.reconnect_ivl_max = 0, 20, 50
        pull.rcvtimeo = PATIENCE_MS
        yield pull


@pytest.fixture
def port():
    return pick_port()


@pytest.fixture
def link(pull, port):
    link = Link(pull, f"tcp://127.0.0.1:{port}")
    yield link
    link.close()


@contextlib.contextmanager
def source(port):
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.sndtimeo = push.linger = PATIENCE_MS
        push.bind(f"tcp://127.0.0.1:{port}")
        yield push


def let_break(port):
    """Break the protocol, once, in whoever connects."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.settimeout(PATIENCE_MS / 1000)
        peer, _ = listener.accept()
        with peer, contextlib.suppress(OSError):
            peer.sendall(NOISE)
            while peer.recv(4096):  # until the other one hangs up
                pass


def mend_until(link, event):
    while not event.is_set():
        link.mend(time.monotonic())
        time.sleep(0.01)


def test_after_a_breach_of_the_protocol_it_is_connected_anew(pull, port, link, caplog):
    let_break(port)
    done = threading.Event()
    mender = threading.Timer(0, mend_until, (link, done))
    with source(port) as push:
        mender.start()
        try:
            push.send(b"good")  # waits for a connection
        finally:
            done.set()
            mender.join()
        assert pull.recv() == b"good"
    assert "breaks ZeroMQ's protocol" in caplog.text


def test_a_connection_that_only_broke_is_left_to_libzmq(pull, port, link, monkeypatch):
    made = []
    for word in (b"one", b"two"):
        with source(port) as push:
            push.send(word)
            assert pull.recv() == word
        monkeypatch.setattr(link, "_socket", made)  # would fail where it is used
        for seconds in (0.0, 2 * PATIENCE_S, 4 * PATIENCE_S):
            time.sleep(0.05)
            link.mend(time.monotonic() + seconds)


def test_one_that_nobody_answers_is_left_to_libzmq(link, monkeypatch):
    monkeypatch.setattr(link, "_socket", None)
    for seconds in (0.0, 2 * PATIENCE_S, 4 * PATIENCE_S):
        time.sleep(0.05)
        link.mend(time.monotonic() + seconds)
