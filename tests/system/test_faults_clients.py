"""Clients of the secondary port that are slow, dead, half-open, or none at all.

After each the file is whole, who reads gets what is sent, and nothing is left behind.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zmq

from srx_service.messages import End, Image, Start
from tests.conftest import pick_port
from tests.system.outcome import client_of, receive_series
from tests.system.sources import sender_on, series
from tests.system.test_line import frames_in, wait_for

SHAPE = (256, 512)
FRAME_BYTES = 2 * SHAPE[0] * SHAPE[1]
"""A quarter of a MiB: a few fill the pipe of a client that does not read."""
COUNT = 200
CLIENT = """
import sys, zmq
with zmq.Context() as context, context.socket(zmq.PULL) as pull:
    pull.rcvhwm, pull.rcvbuf = 1, 4096
    pull.connect(sys.argv[1])
    while True:
        pull.recv_multipart()
"""


class Line:
    """A service, its source, and where it writes."""

    def __init__(self, service, sender, folder):
        self.service, self.sender = service, sender
        self.file = folder / "a.h5"
        self.address = f"tcp://127.0.0.1:{service.ports['data_port']}"

    def send(self, frames):
        for frame in frames:
            self.sender.send(picture(frame))

    def begin(self):
        self.sender.send(Start(filename=str(self.file)))

    def is_whole(self):
        """True when all of the series is in the file."""
        told = wait_for(self.service, self.file)
        found = frames_in(self.file)[:, 0, 0]
        counts = {name: n for name, n in told["counts"].items() if n}
        return counts == {"received": COUNT, "written": COUNT} and np.array_equal(
            found, np.arange(COUNT)
        )

    def status(self, name):
        return self.service.get("/status")[name]

    def wait_for_clients(self, count):
        self.service.wait_until(lambda: self.status("clients") == count)


def picture(frame):
    blob = np.full(SHAPE, frame, "<u2").tobytes()
    fields = {"shape": SHAPE, "dtype": "uint16", "encoding": "none"}
    return Image(number=None, frame=frame, blobs=(blob,), **fields)


@contextlib.contextmanager
def made(nursery, folder, **entry):
    port = pick_port()
    service = nursery.service({"dcu_port_purple": port} | entry)
    with sender_on(port) as sender:
        yield Line(service, sender, folder)


@pytest.fixture(scope="module")
def folders(whole_nursery):
    return whole_nursery.data


@pytest.fixture
def folder(folders, request):
    path = folders / f"clients-{abs(hash(request.node.name))}"
    path.mkdir()
    return path


@pytest.fixture(params=["drop", "wait"])
def line(nursery, folder, request):
    keys = {"on_slow_client": request.param, "forward_limit": "4 MiB"}
    with made(nursery, folder, **keys) as line:
        yield line


@pytest.fixture
def client(line):
    """A process that reads all it gets; a test may stop and kill it."""
    words = [sys.executable, "-c", CLIENT, line.address]
    with subprocess.Popen(words) as process:
        line.wait_for_clients(1)
        yield process
        process.kill()


def test_a_client_that_is_killed_costs_the_file_nothing(line, client):
    line.begin()
    line.send(range(COUNT // 2))
    client.kill()
    line.send(range(COUNT // 2, COUNT))
    line.sender.send(End())
    assert line.is_whole()
    line.wait_for_clients(0)


def test_a_client_that_stands_still_and_dies_holds_the_line_where_asked(line, client):
    """As one does whose machine is gone: the connection is there, nobody reads."""
    client.send_signal(signal.SIGSTOP)
    line.begin()
    line.send(range(COUNT))
    line.sender.send(End())
    if line.service.get("/api/v1/detector")["on_slow_client"] == "wait":
        line.service.wait_until(lambda: line.status("held"))
        assert "on_slow_client: wait" in line.status("held_reason")
        assert line.status("state") == "running"
    else:
        assert line.is_whole()
        assert line.status("dropped_for_slow_client") > 0
    assert line.status("clients") == 1
    client.kill()
    assert line.is_whole()
    line.wait_for_clients(0)


def test_a_client_that_stood_still_gets_the_rest_with_numbers_without_a_gap(line):
    with client_of(line.service) as pull:
        line.begin()
        line.send(range(COUNT))
        line.sender.send(End())
        is_waited_for = line.service.get("/api/v1/detector")["on_slow_client"] == "wait"
        if not is_waited_for:
            assert line.is_whole()
        told = receive_series(pull)
        numbers = [told.header["msg_number"], *(i["msg_number"] for i in told.images)]
        assert numbers == [*range(len(numbers))]
        frames = [one["frame"] for one in told.images]
        assert frames == sorted(set(frames))
        assert len(frames) == COUNT - line.status("dropped_for_slow_client")
        assert all((p == f).all() for p, f in zip(told.pixels, frames, strict=True))
    assert line.is_whole()


SCANS = {
    "nothing": b"",
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "zeros": bytes(1000),
    "noise": bytes(range(256)) * 4,
    "ZMTP 3 and noise": b"\xff" + bytes(8) + b"\x7f\x03" + b"\xff" * 500,
    "ZMTP 3, a command of 2^63 bytes": b"\xff"
    + bytes(8)
    + b"\x7f\x03\x01NULL"
    + bytes(48)
    + b"\x06"
    + b"\x7f"
    + b"\xff" * 7,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(505),
    "SMB": b"\x00\x00\x00\x54\xffSMB" + bytes(80),
}


def scan(line):
    """Do what port scanners do, each in several ways of leaving."""
    port = line.service.ports["data_port"]
    for text in SCANS.values():
        for is_rude in (False, True):
            with socket.create_connection(("127.0.0.1", port)) as peer:
                with contextlib.suppress(OSError):
                    peer.sendall(text)
                if is_rude:  # SO_LINGER 0: a reset
                    reset = (1).to_bytes(4, sys.byteorder) + bytes(4)
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)


def open_files(line):
    return len(os.listdir(f"/proc/{line.service.process.pid}/fd"))  # noqa: PTH208


def test_a_port_scan_in_mid_series_is_no_client_and_leaves_nothing(line):
    with client_of(line.service) as pull:
        before = open_files(line)
        line.begin()
        for first in range(0, COUNT, 50):
            line.send(range(first, first + 50))
            scan(line)
        line.sender.send(End())
        told = receive_series(pull)
        assert line.status("clients") == 1
        frames = [one["frame"] for one in told.images]
        assert frames == sorted(set(frames))
        assert len(frames) == COUNT - line.status("dropped_for_slow_client")
        line.service.wait_until(lambda: open_files(line) <= before + 2)
    assert line.is_whole()


def test_clients_that_come_and_go_in_mid_series_cost_the_file_nothing(line):
    line.begin()
    with zmq.Context() as context:
        for first in range(0, COUNT, 20):
            line.send(range(first, first + 10))
            with context.socket(zmq.PULL) as pull:
                pull.linger = 0
                pull.connect(line.address)
                line.wait_for_clients(1)
                line.send(range(first + 10, first + 20))
            line.wait_for_clients(0)
    line.sender.send(End())
    assert line.is_whole()


def test_the_next_series_of_a_line_that_met_all_this_is_clean(line, folder):
    scan(line)
    line.sender.send(*series(str(folder / "next.h5"), 5))
    told = wait_for(line.service, folder / "next.h5")
    assert told["counts"]["written"] == 5
    assert "Traceback" not in Path(line.service.log).read_text()
