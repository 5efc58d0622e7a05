"""A disk slower than its source: buffers fill, the source is held, nothing is lost."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import httpx
import numpy as np
import pytest
import zmq

from srx_service.messages import End, Image, Start
from tests.conftest import pick_port
from tests.system.shims import build
from tests.system.sources import Sender
from tests.system.test_line import wait_for

MIB = 1 << 20
SHAPE = (512, 1024)
"""A MiB of uint16."""
FRAMES = 160
SLOW_BYTES_PER_S = 200_000
LIMIT_MIB = 32
QUEUES_MIB = 24
"""Their share of the limit; ZeroMQ has the rest."""
BATCHES_MIB = 8
"""The limit is looked at between two batches, and one is under way."""
REST_MIB = 16
"""That and whatever else a process holds after a while, not before."""
LOOKS = 20


@dataclass
class Told:
    """What became of a series that met a slow disk."""

    answers: list[dict[str, Any]]
    """Of /status, one after the other."""
    gauges: dict[str, float]
    sent: int
    latest: dict[str, Any]
    """All these while the source was held."""
    final: dict[str, Any]
    grown_mib: float
    """By so much memory had grown at its peak."""


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return build(tmp_path_factory.mktemp("shim"), "slow_disk")


@pytest.fixture(scope="module")
def slowness(tmp_path_factory):
    """A file: the disk is slow as long as it is there."""
    return tmp_path_factory.mktemp("slowness") / "gate"


@pytest.fixture(scope="module")
def line(shim, slowness, shared_programs):
    """A service on a disk that can be slow, and a source that keeps little itself."""
    port = pick_port()
    entry = {"dcu_port_purple": port, "buffer_limit": f"{LIMIT_MIB} MiB"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(shim))
        patch.setenv("SLOW_FOLDER", str(shared_programs.data))
        patch.setenv("SLOW_WHILE", str(slowness))
        patch.setenv("SLOW_BYTES_PER_S", str(SLOW_BYTES_PER_S))
        service = shared_programs.service(entry)
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.sndhwm, socket.sndtimeo, socket.linger = 2, 100_000, 0
        socket.bind(f"tcp://127.0.0.1:{port}")
        yield service, Sender(socket)


def frame(number):
    blob = np.full(SHAPE, number, "<u2").tobytes()
    fields = {"shape": SHAPE, "dtype": "uint16", "encoding": "none"}
    return Image(number=None, frame=number, blobs=(blob,), **fields)


def send(sender, file, count):
    sender.send(Start(filename=str(file)))
    for number in range(count):
        sender.send(frame(number))
    sender.send(End())


def gauges(service):
    lines = httpx.get(f"{service.url}/metrics", timeout=10.0).text.splitlines()
    pairs = [line.split(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def peak_mib(service):
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


@pytest.fixture(scope="module")
def file(shared_programs):
    return shared_programs.data / "slow.h5"


@pytest.fixture(scope="module")
def told(line, slowness, file):
    """Send more than all buffers hold while the disk is slow; then it is quick."""
    service, sender = line
    send(sender, file.with_name("warm.h5"), 2)
    wait_for(service, file.with_name("warm.h5"))
    before_mib, before = peak_mib(service), sender.number
    slowness.touch()
    thread = threading.Thread(target=send, args=(sender, file, FRAMES))
    thread.start()
    try:
        service.wait_until(lambda: service.get("/status")["held"])
        answers = [service.get("/status") for _ in range(LOOKS)]
        sent, seen = sender.number - before, gauges(service)
        latest = service.get("/api/v1/frame/latest")
    finally:
        slowness.unlink()
        thread.join()
    final = wait_for(service, file)
    grown_mib = peak_mib(service) - before_mib
    return Told(answers, seen, sent, latest, final, grown_mib)


def test_queues_fill_to_their_bound(told):
    queued_mib = told.gauges["srx_queued_bytes"] / MIB
    assert told.gauges["srx_buffer_limit"] == LIMIT_MIB * MIB
    assert QUEUES_MIB * 0.9 <= queued_mib <= QUEUES_MIB + BATCHES_MIB


def test_the_source_is_held_and_told_why(told):
    assert told.sent < FRAMES
    assert "the disk is too slow" in told.answers[0]["held_reason"]


def test_http_answers_meanwhile(told):
    assert [answer["state"] for answer in told.answers] == ["running"] * LOOKS


def test_what_is_received_is_shown_though_not_written(told):
    assert told.latest["frame"] > told.gauges['srx_acquisition_frames{kind="written"}']


def test_nothing_is_lost(told, file):
    counts = {name: n for name, n in told.final["counts"].items() if n}
    assert counts == {"received": FRAMES, "written": FRAMES}
    with h5py.File(file) as opened:
        pixels = opened["/entry/data/data"][:, ::511, ::1023]
        numbers = opened[told.final["columns"]["sequence_number"]][:]
    assert (pixels == np.arange(FRAMES)[:, None, None]).all()
    assert (np.diff(numbers) == 1).all()


def test_memory_stays_within_the_bound(told):
    assert told.grown_mib < LIMIT_MIB + REST_MIB
