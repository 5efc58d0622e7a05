"""A real server whose clients are many, slow, or deaf."""

import contextlib
import json
import socket
import threading
import time

import httpx
import numpy as np
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from srx_service.api import connections
from srx_service.api.app import create_app
from srx_service.api.connections import CUT_OFF_BEYOND
from srx_service.api.limits import Limits
from srx_service.api.line import ApiSettings
from srx_service.api.server import serve
from tests.service.api.fakes import FakeLatest, FakeLine

PATIENCE_S = 60.0
SHORT_S = 0.3
"""Of `timeout_s`, where it is to run out."""
LONGER_S = 1.0
"""Where it is not to: in so long a client has its turn, on any machine."""
LARGE = np.zeros((2048, 2048), "uint32")
"""More than the kernel takes for a client that does not read."""


def until(claim):
    end_s = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < end_s, "not within its time"
        time.sleep(0.01)


class Served:
    """A server in a thread, and its clients."""

    def __init__(self, limits):
        self.latest = FakeLatest()
        app = create_app(FakeLine(), self.latest, ApiSettings(limits=limits))
        self.server = serve(app, "127.0.0.1", 0, limits=limits)
        self.state = self.server.server_state
        self.url = f"http://127.0.0.1:{self.server.port}"
        self.sockets = []
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        until(lambda: self.server.started)

    def client(self, said=b"", **options):
        """Connect, and say something."""
        made = socket.socket()
        for name, value in options.items():
            made.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        made.settimeout(PATIENCE_S)
        made.connect(("127.0.0.1", self.server.port))
        made.sendall(said)
        self.sockets.append(made)
        return made

    def is_well(self):
        """Wait until it answers, should a slow machine be too slow for it at first."""
        until(self._answers)
        return True

    def _answers(self):
        try:
            return httpx.get(f"{self.url}/healthz", timeout=PATIENCE_S).is_success
        except httpx.HTTPError:
            return False

    def close(self):
        for made in self.sockets:
            made.close()
        self.server.should_exit = True
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


@pytest.fixture
def served():
    running = []

    def start(**limits):
        running.append(Served(Limits(**limits)))
        return running[-1]

    yield start
    for one in running:
        one.close()


def answer_of(client):
    """Return all that comes until the other side closes."""
    came = b""
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(65536):
            came += part
    return came


def status_of(client):
    came = answer_of(client)
    return int(came.split(b" ", 2)[1]) if came else None


JSON = {"content-type": "application/json"}
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"", None),
        (b"\r\n\r\n", 400),
        (b"GET /heal", 400),
        (GET, 400),
        (GET + b"X: y\r\n", 400),
        (b"POST /downsample HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab", 408),
    ],
)
def test_who_does_not_finish_a_request_is_not_waited_for(served, said, status):
    service = served(timeout_s=SHORT_S)
    assert status_of(service.client(said)) == status
    assert service.is_well()
    until(lambda: not service.state.connections)


def test_who_speaks_a_byte_now_and_then_is_not_waited_for(served):
    service = served(timeout_s=SHORT_S)
    client = service.client(GET)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for k in range(1000):
            client.sendall(b"X-%d: y\r\n" % k)
            time.sleep(0.05)
        raise AssertionError("it is still listened to")


def test_blank_lines_after_an_answer_keep_no_connection(served):
    service = served(timeout_s=SHORT_S)
    client = service.client(GET + b"\r\n")
    assert b"200 OK" in client.recv(65536)
    client.sendall(b"\r\n")
    assert b" 400 " in answer_of(client)


def test_who_asks_again_on_one_connection_may_rest_in_between(served):
    service = served(timeout_s=LONGER_S)
    with httpx.Client(base_url=service.url) as client:
        for _ in range(2):
            assert client.get("/healthz").status_code == 200
            time.sleep(1.2 * LONGER_S)
            assert len(service.state.connections) == 1


def test_a_long_answer_to_a_whole_request_is_waited_for(served):
    service = served(timeout_s=LONGER_S)
    path = "/api/v1/acquisitions/a1?wait_frames=1&timeout=1.5"
    assert httpx.get(service.url + path, timeout=PATIENCE_S).status_code == 200


def test_large_bodies_are_no_large_heads(served):
    service = served()
    with httpx.Client(base_url=service.url) as client:
        for size in (1, 20_000, 200_000, 1_000_000):
            body = b"{}".ljust(size)
            answer = client.post("/api/v1/acquisitions", content=body, headers=JSON)
            assert answer.status_code == 201


def test_requests_in_one_piece_are_all_answered(served):
    service = served()
    client = service.client(GET + b"\r\n" + GET + b"Connection: close\r\n\r\n")
    assert answer_of(client).count(b"200 OK") == 2


def test_a_head_without_end_is_refused(served):
    service = served()
    client = service.client(GET)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for _ in range(100):
            client.sendall(b"X: " + bytes(b"y" * 1000) + b"\r\n")
            time.sleep(0.01)
        raise AssertionError("it is still listened to")
    assert service.is_well()


def test_who_takes_nothing_of_an_answer_is_cut_off(served):
    service = served(timeout_s=SHORT_S)
    service.latest.show(LARGE)
    head = b"GET /last_frame.npy HTTP/1.1\r\nHost: x\r\n\r\n"
    service.client(head, SO_RCVBUF=4096)
    until(lambda: service.state.total_requests == 1)
    until(lambda: not service.state.connections)
    assert service.is_well()


def test_who_takes_a_large_answer_slowly_gets_all_of_it(served):
    service = served(timeout_s=LONGER_S)
    service.latest.show(LARGE)
    head = b"GET /last_frame.npy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    client, size = service.client(head, SO_RCVBUF=1 << 16), 0
    began_s = time.monotonic()
    while part := client.recv(1 << 20):
        size += len(part)
        if time.monotonic() - began_s < 2 * LONGER_S:
            time.sleep(0.01)
    assert size > LARGE.nbytes


def test_answers_that_nobody_takes_have_a_bound(served, monkeypatch):
    monkeypatch.setattr(connections, "MAX_UNTAKEN_BYTES", int(1.2 * LARGE.nbytes))
    service = served(timeout_s=600.0)
    service.latest.show(LARGE)
    head = b"GET /last_frame.npy HTTP/1.1\r\nHost: x\r\n\r\n"
    for k in range(4):
        service.client(head, SO_RCVBUF=4096)
        until(lambda k=k: service.state.total_requests == k + 1)
    until(lambda: len(service.state.connections) == 1)


def test_live_views_that_nobody_takes_have_a_bound(served, monkeypatch):
    monkeypatch.setattr(connections, "MAX_UNTAKEN_BYTES", int(1.2 * LARGE.nbytes))
    service = served()
    head = b"GET /api/v1/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
    head += b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    head += b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    for _ in range(3):
        assert b" 101 " in service.client(head, SO_RCVBUF=4096).recv(1000)
    service.latest.show(LARGE)
    until(lambda: len(service.state.connections) == 1)


def test_one_client_more_than_allowed_is_told_so(served):
    service = served(connections=3)
    silent = [service.client() for _ in range(3)]
    until(lambda: len(service.state.connections) == 3)
    assert httpx.get(f"{service.url}/status").status_code == 503
    assert service.is_well()
    for client in silent:
        client.close()
    until(lambda: not service.state.connections)
    assert httpx.get(f"{service.url}/status").status_code == 200


def test_one_address_does_not_take_all_connections(served):
    service = served(connections_per_client=3)
    for _ in range(3):
        service.client()
    until(lambda: len(service.state.connections) == 3)
    assert httpx.get(f"{service.url}/status").status_code == 503
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(transport=transport) as other:
        assert other.get(f"{service.url}/status").status_code == 200


def test_a_flood_of_connections_takes_no_more_file_descriptors(served):
    service = served(connections=8)
    for _ in range(100):
        service.client()
    most = 8 + CUT_OFF_BEYOND
    until(lambda: most - 1 <= len(service.state.connections) <= most)
    until(lambda: sum(is_open(client) for client in service.sockets) == most)


def is_open(client):
    client.setblocking(False)
    try:
        return client.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


def test_live_views_are_counted_too(served):
    service = served(connections=2)
    url = service.url.replace("http", "ws") + "/api/v1/live"
    with (
        connect(url),
        connect(url),
        pytest.raises(InvalidStatus) as refusal,
        connect(url),
    ):
        raise AssertionError("it is let in")
    assert refusal.value.response.status_code == 503


def test_who_sends_no_http_fills_no_log(served, caplog):
    service = served()
    for _ in range(20):
        assert status_of(service.client(b"no such thing\r\n\r\n")) == 400
    assert caplog.messages == []


def test_a_problem_has_the_same_form_at_every_limit(served):
    service = served(body_bytes=10)
    answer = httpx.post(f"{service.url}/api/v1/acquisitions", content=bytes(11))
    assert set(json.loads(answer.text)) == {"type", "title", "status", "detail"}
