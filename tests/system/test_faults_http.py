"""HTTP clients that hang, flood, or send 100 MB, while a series is being written.

After each the file is whole, others are answered, and nothing is left behind.
"""

import contextlib
import os
import socket
import sys
import threading
from pathlib import Path

import httpx
import pytest

from srx_service.messages import End, Start
from tests.conftest import pick_port
from tests.system.sources import image, sender_on, series
from tests.system.test_line import frames_in, newest, wait_for, wait_for_rows

COUNT = 2000
MB = 1_000_000
MIB = 1 << 20
GROWS_BY_MIB = 40
"""Memory, at most, for what is bounded by one MiB a request; 100 MB came."""
PATIENCE_S = 60.0


class Line:
    """A service whose clients misbehave, and its source."""

    def __init__(self, service, sender):
        self.service, self.sender = service, sender
        self.address = ("127.0.0.1", service.service_port)

    def connect(self):
        return socket.create_connection(self.address, timeout=PATIENCE_S)

    def answers(self):
        return self.service.answers("/healthz")

    def open_files(self):
        return len(os.listdir(f"/proc/{self.service.process.pid}/fd"))  # noqa: PTH208

    def peak_mib(self):
        status = Path(f"/proc/{self.service.process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024

    def take_series(self, file, count=COUNT):
        self.sender.send(*series(str(file), count))
        told = wait_for(self.service, file)
        assert {k: n for k, n in told["counts"].items() if n} == {
            "received": count,
            "written": count,
        }
        assert len(frames_in(file)) == count


@pytest.fixture(scope="module")
def line(whole_nursery):
    port = pick_port()
    service = whole_nursery.service({"dcu_port_purple": port, "api_timeout": 1.0})
    service.service_port = service.ports["api_port"]
    with sender_on(port) as sender:
        yield Line(service, sender)


@pytest.fixture
def file(whole_nursery, request):
    path = whole_nursery.data / f"http-{abs(hash(request.node.name))}"
    path.mkdir()
    return path / "a.h5"


# -- that hang -------------------------------------------------------------------------

BEGINNINGS = [
    b"",
    b"GET /status HT",
    b"POST /api/v1/acquisitions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    b"GET /api/v1/live HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
]


def test_who_hangs_in_mid_request_keeps_nobody_waiting_and_is_let_go(line, file):
    before = line.open_files()
    with contextlib.ExitStack() as peers:
        for text in 10 * BEGINNINGS:
            peers.enter_context(line.connect()).sendall(text)
        line.take_series(file)
        assert line.answers()
        # within api_timeout they are let go, though none of them has gone
        line.service.wait_until(lambda: line.open_files() <= before + 4)
    assert newest(line.service)["state"] == "done"


def test_who_hangs_up_in_mid_answer_leaves_nothing_behind(line, file):
    line.sender.send(Start(filename=str(file)), image(0))
    wait_for_rows(line.service, 1)
    before = line.open_files()
    path = f"/api/v1/acquisitions/{newest(line.service)['id']}"
    for _ in range(40):
        with line.connect() as peer:
            wait = f"{path}?wait_frames=100&timeout=600"
            peer.sendall(f"GET {wait} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            reset = (1).to_bytes(4, sys.byteorder) + bytes(4)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    line.service.wait_until(lambda: line.open_files() <= before + 4)
    line.sender.send(image(1), End())
    assert wait_for(line.service, file)["counts"]["written"] == 2


# -- that flood ------------------------------------------------------------------------


def test_a_flood_of_requests_loses_no_frame(line, file):
    over, codes = threading.Event(), set()

    def flood():
        with httpx.Client(base_url=line.service.url, verify=False) as client:
            while not over.is_set():
                for path in ("/status", "/api/v1/acquisitions", "/metrics", "/nope"):
                    with contextlib.suppress(httpx.TransportError):
                        codes.add(client.get(path, timeout=PATIENCE_S).status_code)

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        line.take_series(file)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert codes <= {200, 404, 429, 503}
    assert line.answers()


def test_a_flood_of_connections_is_refused_and_passes(line, file):
    before = line.open_files()
    with contextlib.ExitStack() as peers:
        for _ in range(400):
            with contextlib.suppress(OSError):
                peers.enter_context(line.connect())
        line.sender.send(*series(str(file), COUNT))
        assert line.open_files() < before + 300
    line.service.wait_until(lambda: line.answers() and line.open_files() <= before + 4)
    assert wait_for(line.service, file)["counts"]["written"] == COUNT


# -- that send 100 MB ------------------------------------------------------------------

POST = b"POST /api/v1/acquisitions HTTP/1.1\r\nHost: x\r\n"
UPGRADE = (
    b"GET /api/v1/live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
LARGE = {
    "a body": (POST + b"Content-Length: 100000000\r\n\r\n", b"x"),
    "a body in chunks": (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "one chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\n5f5e100\r\n", b"x"),
    "a header": (b"GET / HTTP/1.1\r\nX: ", b"x"),
    "headers": (b"GET / HTTP/1.1\r\n", b"X: x\r\n"),
    "a path": (b"GET /", b"x"),
    "blank lines": (b"", b"\r\n"),
    "requests": (b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a message of a viewer": (UPGRADE, b"\x81\xff" + (100 * MB).to_bytes(8, "big")),
}


@pytest.mark.parametrize(("begin", "piece"), LARGE.values(), ids=LARGE)
def test_who_sends_100_mb_fills_no_memory(line, file, begin, piece):
    peak_mib = line.peak_mib()
    block = piece * (MB // len(piece))
    with line.connect() as peer, contextlib.suppress(OSError):
        peer.settimeout(2.0)  # whoever is not read from is done as well
        peer.sendall(begin)
        for _ in range(100 * MB // len(block)):
            peer.sendall(block)
    assert line.peak_mib() < peak_mib + GROWS_BY_MIB
    line.take_series(file, 5)
    line.service.wait_until(line.answers)
    assert "Traceback" not in line.service.log.read_text()
