"""A real server on a free port, with a line that only pretends."""

import contextlib
import io
import json
import signal
import socket
import threading
import time

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from srx_service.api.app import create_app
from srx_service.api.connections import MAX_HEADER_BYTES
from srx_service.api.limits import Limits
from srx_service.api.line import ApiSettings
from srx_service.api.server import SHUTDOWN_S, serve
from srx_service.errors import ConfigError
from tests.service.api.fakes import FakeLatest, FakeLine, undecodable


def until(claim, timeout_s=10.0):
    """Wait until a claim holds."""
    end_s = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < end_s, "not within its time"
        time.sleep(0.01)


class Running:
    """A server in a thread."""

    def __init__(self, settings):
        self.line, self.latest = FakeLine(), FakeLatest()
        app = create_app(self.line, self.latest, settings)
        self.server = serve(app, "127.0.0.1", 0, limits=settings.limits)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        until(lambda: self.server.started)
        self.url = f"http://127.0.0.1:{self.server.port}"

    def live(self, query="", **options):
        url = self.url.replace("http", "ws") + f"/api/v1/live{query}"
        return connect(
            url, compression=None, max_size=None, close_timeout=0.5, **options
        )

    def end(self):
        """Return the seconds it took."""
        began_s = time.monotonic()
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()
        return time.monotonic() - began_s


@contextlib.contextmanager
def running(**settings):
    service = Running(ApiSettings(**settings))
    try:
        yield service
    finally:
        service.end()


@pytest.fixture
def service():
    with running() as service:
        yield service


@pytest.fixture
def client(service):
    with httpx.Client(base_url=service.url, trust_env=False) as client:
        yield client


def read(message):
    """Return header and pixels of a live message."""
    line, _, npy = message.partition(b"\n")
    return json.loads(line), np.load(io.BytesIO(npy))


def test_port_0_is_any_free_port_and_is_told(service, client):
    assert service.server.port > 0
    assert client.get("/healthz").json() == {"alive": True}


def test_a_port_in_use_is_told_before_anything_is_served():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1 port {port}.*api_port"):
            serve(create_app(None, None, ApiSettings()), "127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_that_cannot_be_had_is_told(host):
    with pytest.raises(ConfigError, match=f"{host} port 0"):
        serve(create_app(None, None, ApiSettings()), host, 0)


def test_signals_are_left_to_the_service():
    server = serve(create_app(None, None, ApiSettings()), "127.0.0.1", 0)
    before, seen = signal.getsignal(signal.SIGTERM), []

    def look():
        until(lambda: server.started)
        seen.append(signal.getsignal(signal.SIGTERM))
        server.should_exit = True

    threading.Thread(target=look).start()
    server.run()
    assert seen == [before]


def test_the_port_is_free_again_at_the_end():
    with running() as first:
        port = first.server.port
    serve(first.server.config.app, "127.0.0.1", port)._listener.close()


def test_an_answer_waits_for_no_acknowledgement(client):
    client.get("/status")
    began_s = time.monotonic()
    for _ in range(50):
        client.get("/status")
    assert time.monotonic() - began_s < 50 * 0.03


def test_a_slow_picture_holds_up_nobody_else(service, client):
    go_on = threading.Event()
    service.latest.show(np.zeros((2, 2)))
    service.latest.png = lambda *_, **__: go_on.wait(10) and b"png"
    slow = threading.Thread(target=httpx.get, args=[f"{service.url}/last_frame.png"])
    slow.start()
    for _ in range(20):
        assert client.get("/healthz").status_code == 200
    go_on.set()
    slow.join()


def test_a_body_beyond_the_limit_is_told_to_whoever_sends_it(client):
    answer = client.post("/api/v1/acquisitions", content=bytes(8 * Limits().body_bytes))
    assert answer.status_code == 413
    assert client.get("/healthz").status_code == 200


def test_a_header_beyond_the_limit_ends_its_connection_only(service, client):
    # What arrives in one piece is read whole; a mebibyte does not.
    with contextlib.suppress(httpx.TransportError):
        answer = client.get("/healthz", headers={"X": 64 * MAX_HEADER_BYTES * "x"})
        assert answer.status_code == 400
    assert client.get("/healthz").status_code == 200


def test_a_viewer_gets_the_last_frame_with_its_header(service):
    service.latest.show(np.arange(6, dtype="uint16").reshape(2, 3))
    with service.live("?downsample=2") as viewer:
        header, pixels = read(viewer.recv(10))
    assert header["frame"] == 1
    assert pixels.tolist() == [[0, 2]]


def test_a_viewer_waits_for_the_first_frame_and_gets_each_once(service):
    with service.live("?rate=20") as viewer:
        with pytest.raises(TimeoutError):
            viewer.recv(0.3)
        service.latest.show(np.zeros((2, 2)))
        assert read(viewer.recv(10))[0]["frame"] == 1
        with pytest.raises(TimeoutError):
            viewer.recv(0.3)


def test_a_viewer_gets_no_more_than_it_asked_for(service):
    with service.live("?rate=10") as viewer:
        end_s = time.monotonic() + 1.0
        frames = []
        while time.monotonic() < end_s:
            service.latest.show(np.zeros((2, 2)))
            with contextlib.suppress(TimeoutError):
                frames.append(read(viewer.recv(0.01))[0]["frame"])
    assert 3 <= len(frames) <= 11
    assert frames == sorted(frames)


def test_a_frame_that_cannot_be_unpacked_is_told_and_the_view_goes_on(service):
    service.latest.show(np.zeros((2, 2)))
    service.latest.fault = undecodable()
    with service.live("?rate=20") as viewer:
        header, pixels = read(viewer.recv(10))
        assert header["error"] == "blob too short: 8 bytes, 12 wanted"
        assert pixels.size == 0
        service.latest.fault = None
        service.latest.show(np.zeros((2, 2)))
        assert read(viewer.recv(10))[1].shape == (2, 2)


def test_a_viewer_that_leaves_leaves_nothing_behind(service, client):
    for _ in range(3):
        with service.live():
            pass
    until(lambda: not service.server.server_state.tasks)
    with service.live() as viewer:
        viewer.socket.close()
    until(lambda: not service.server.server_state.tasks)


def test_a_viewer_that_never_reads_skips_frames_and_holds_up_nobody(service, client):
    with service.live("?rate=20"):
        for _ in range(40):
            service.latest.show(np.zeros((1024, 1024), "uint32"))
            assert client.get("/healthz").status_code == 200
            time.sleep(0.05)
        assert len(service.latest.threads) <= 40


@pytest.mark.parametrize("query", ["?rate=0", "?rate=21", "?rate=nan", "?downsample=0"])
def test_a_view_that_cannot_be_given_is_refused_with_a_problem(service, query, caplog):
    with pytest.raises(InvalidStatus) as refusal:
        service.live(query)
    assert refusal.value.response.status_code == 422
    assert "query." in json.loads(refusal.value.response.body)["detail"]
    service.end()
    assert caplog.text == ""


def test_no_page_of_another_site_may_watch(service):
    with pytest.raises(InvalidStatus) as refusal:
        service.live(origin="http://elsewhere")
    assert refusal.value.response.status_code == 403


def test_a_protected_view_asks_for_the_token():
    with running(token="s3cret", protect_reads=True) as service:
        with pytest.raises(InvalidStatus) as refusal:
            service.live()
        assert refusal.value.response.status_code == 401
        with service.live(additional_headers={"Authorization": "Bearer s3cret"}):
            pass


def test_the_end_waits_for_no_viewer_and_no_long_poll(caplog):
    answers = []
    with running() as service, service.live() as viewer:
        url = f"{service.url}/api/v1/acquisitions/a1?wait_frames=1&timeout=60"
        poll = threading.Thread(target=lambda: answers.append(httpx.get(url)))
        poll.start()
        until(lambda: len(service.server.server_state.tasks) == 2)
        assert service.end() < SHUTDOWN_S + 2
        with pytest.raises(ConnectionClosed):
            viewer.recv(10)
        poll.join()
    assert answers[0].status_code == 503
    assert answers[0].json()["title"] == "shutting down"
    assert "Traceback" not in caplog.text


def test_the_end_waits_for_no_viewer_that_never_reads(caplog):
    with running() as service, service.live("?rate=20"):
        for _ in range(20):
            service.latest.show(np.zeros((1024, 1024), "uint32"))
            time.sleep(0.05)
        assert service.end() < SHUTDOWN_S + 2
    assert "Traceback" not in caplog.text
