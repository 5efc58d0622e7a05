"""CURVE on real sockets: who is known comes in, nobody else."""

import contextlib
import json
import threading
import time

import pytest
import zmq
import zmq.auth
from zmq.utils import garbage

from srx_service import curve
from srx_service.errors import ConfigError
from srx_service.forwarder import Forwarder
from srx_service.keys import make
from srx_service.messages import End, Image, Start
from srx_service.source import Source
from tests.blocks import run_python
from tests.conftest import pick_port
from tests.system.sources import image, sender_on

PATIENCE_S = 60.0
REFUSED_MS = 1500
"""A client on this machine is let in within milliseconds, or never."""
PAGE = "docs/how-to/restrict-access.md"


def until(claim):
    end_s = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < end_s, "not within its time"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Keys of a service, a source, a client it knows and one it does not."""
    path = tmp_path_factory.mktemp("keys")
    for name in ("service", "source", "stranger"):
        make(path, name)
    make(path / "clients", "live")
    return path


@pytest.fixture
def port(folder, request):
    """A secondary port for known clients; or, where a test says so, subscribers."""
    forwarder = Forwarder(
        address="tcp://127.0.0.1:0",
        limit_bytes=1 << 20,
        on_slow_client="drop",
        to=getattr(request, "param", "one"),
    )
    clients = folder / "clients"
    forwarder.open(curve.server_keys(folder / "service.key_secret", clients))
    thread = threading.Thread(target=forwarder.run)
    thread.start()
    yield forwarder
    forwarder.stop()
    thread.join(PATIENCE_S)
    garbage.gc.stop()


@pytest.fixture
def connect():
    """Make a client of an endpoint: with which keys, knowing which server."""
    with contextlib.ExitStack() as stack:
        context = stack.enter_context(zmq.Context())

        def make_one(endpoint, own=None, server=None, kind=zmq.PULL):
            client = stack.enter_context(context.socket(kind))
            client.linger, client.rcvtimeo = 0, int(PATIENCE_S * 1000)
            if own is not None:
                client.curve_publickey, client.curve_secretkey = own
                client.curve_serverkey = server
            client.connect(endpoint)
            return client

        yield make_one


def pair(path):
    return zmq.auth.load_certificate(path.with_suffix(".key_secret"))


def put_series(forwarder):
    pixels = {"shape": (4,), "dtype": "uint8", "encoding": "none", "blobs": (b"abcd",)}
    forwarder.put([Start(), Image(number=1, frame=0, **pixels), End()], 4)


def test_a_known_client_gets_every_message(folder, port, connect):
    server = pair(folder / "service")[0]
    client = connect(port.endpoint, pair(folder / "clients" / "live"), server)
    until(lambda: port.clients == 1)
    put_series(port)
    messages = [client.recv_multipart() for _ in range(3)]
    kinds = [json.loads(parts[0])["htype"] for parts in messages]
    assert kinds == ["header", "image", "series_end"]
    assert messages[1][1] == b"abcd"


@pytest.mark.parametrize("port", ["subscribers"], indirect=True)
def test_a_subscriber_needs_a_known_key_too(folder, port, connect):
    server, known = pair(folder / "service")[0], pair(folder / "clients" / "live")
    stranger = connect(port.endpoint, pair(folder / "stranger"), server, zmq.SUB)
    client = connect(port.endpoint, known, server, zmq.SUB)
    for each in (stranger, client):
        each.subscribe("")
    until(lambda: port.clients == 1)
    put_series(port)
    kinds = [json.loads(client.recv_multipart()[0])["htype"] for _ in range(3)]
    assert kinds == ["header", "image", "series_end"]
    assert not stranger.poll(REFUSED_MS)
    assert port.clients == 1


def test_nobody_else_gets_anything_nor_is_counted(folder, port, connect, caplog):
    server, known = pair(folder / "service")[0], pair(folder / "clients" / "live")
    stranger = pair(folder / "stranger")
    others = [
        connect(port.endpoint, stranger, server),
        connect(port.endpoint, known, stranger[0]),
        connect(port.endpoint),
    ]
    poller = zmq.Poller()
    for other in others:
        poller.register(other, zmq.POLLIN)
    put_series(port)
    assert poller.poll(REFUSED_MS) == []
    assert (port.clients, port.sent_images) == (0, 0)
    until(lambda: "unknown key is refused" in caplog.text)
    client = connect(port.endpoint, known, server)
    until(lambda: port.clients == 1)
    put_series(port)
    assert client.recv_multipart()
    assert poller.poll(0) == []


def test_the_refused_do_not_end_a_wait_for_a_known_client(folder, port, connect):
    server = pair(folder / "service")[0]
    client = connect(port.endpoint, pair(folder / "clients" / "live"), server)
    until(lambda: port.clients == 1)
    for _ in range(20):
        connect(port.endpoint, pair(folder / "stranger"), server).close()
    put_series(port)
    assert len([client.recv_multipart() for _ in range(3)]) == 3
    assert port.clients == 1


def source_of(folder, endpoint):
    keys = curve.client_keys(folder / "service.key_secret", folder / "source.key")
    return Source([endpoint], "pull", budget_bytes=1 << 20, keys=keys)


@pytest.fixture
def sender():
    """Bind a sender: with which secret key."""
    with contextlib.ExitStack() as stack:
        context = stack.enter_context(zmq.Context())

        def bind(secret=None):
            push = stack.enter_context(context.socket(zmq.PUSH))
            push.linger = 0
            if secret is not None:
                push.curve_server, push.curve_secretkey = True, secret
            port = push.bind_to_random_port("tcp://127.0.0.1")
            return push, f"tcp://127.0.0.1:{port}"

        yield bind


def test_a_source_that_is_known_is_received(folder, sender):
    push, endpoint = sender(pair(folder / "source")[1])
    with contextlib.closing(source_of(folder, endpoint)) as source:
        push.sndtimeo = int(PATIENCE_S * 1000)
        push.send(b"hello")
        messages = []

        def has_come():
            messages.extend(source.receive(source.poll(50)).messages)
            return messages

        until(has_come)
    assert messages == [([b"hello"], 0)]


@pytest.mark.parametrize("name", ["stranger", None])
def test_who_only_pretends_to_be_the_source_is_not_received(folder, sender, name):
    push, endpoint = sender(pair(folder / name)[1] if name else None)
    with contextlib.closing(source_of(folder, endpoint)):
        push.sndtimeo = REFUSED_MS
        with pytest.raises(zmq.Again):
            push.send(b"hello")  # no connection ever takes it


def test_a_service_without_its_keys_does_not_start_open(tmp_path, folder):
    with pytest.raises(ConfigError, match="curve_clients"):
        curve.server_keys(folder / "service.key_secret", tmp_path)


def test_the_pages_client_is_served_by_a_real_service(folder, start_service):
    port = pick_port()
    service = start_service(
        {
            "dcu_port_purple": port,
            "curve_key": str(folder / "service.key_secret"),
            "curve_clients": str(folder / "clients"),
        }
    )

    def send():
        service.wait_until(lambda: service.get("/status")["clients"] == 1)
        with sender_on(port) as sender:
            sender.send(Start(), *[image(frame) for frame in range(3)], End())

    sending = threading.Thread(target=send)
    sending.start()
    places = {
        "/etc/srx/keys": str(folder),
        "/home/live": str(folder / "clients"),
        "daq-eiger:26001": f"127.0.0.1:{service.ports['data_port']}",
    }
    session = run_python(PAGE, places)
    sending.join()
    assert [json.loads(parts[0])["htype"] for parts in session["messages"]] == [
        "header",
        *["image"] * 3,
        "series_end",
    ]
    session["client"].close()
    session["context"].term()
