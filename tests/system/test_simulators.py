"""`srx simulate`, `srx record` and `srx replay` as processes, as a user runs them."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import zmq

from srx_service import codecs
from srx_service.messages import End, Image, Start
from srx_service.protocols import DECODERS
from srx_service.recording.container import event, read
from srx_service.simulators.pictures import picture

SRX = (sys.executable, "-c", "import sys, srx_service.cli as c; sys.exit(c.main())")
PIPE = subprocess.PIPE


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen([*SRX, *arguments], stdout=PIPE, stderr=PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [*SRX, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@contextlib.contextmanager
def simulator(*arguments: str):
    """The process, its ready line, and a client of its control."""
    options = ("--shape", "60,50", "--send-timeout", "20")
    with running("simulate", *arguments, *options) as process:
        ready = json.loads(process.stdout.readline())
        with httpx.Client(base_url=ready["url"], timeout=30) as client:
            yield process, ready, client


@contextlib.contextmanager
def pulling(endpoint: str):
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.setsockopt(zmq.RCVTIMEO, 20_000)
        socket.connect(endpoint)
        yield socket


def decoded(name, raw):
    decoder = DECODERS[name]()
    return [message for parts in raw for message in decoder.decode(parts)]


def test_an_eiger_from_its_ready_line_to_sigterm():
    with (
        simulator("eiger", "--rate", "0", "--seed", "5") as (process, ready, client),
        pulling(ready["endpoint"]) as socket,
    ):
        assert ready["simulator"] == "eiger"
        api = "/detector/api/1.8.0"
        client.put(f"{api}/config/nimages", json={"value": 20})
        assert client.put(f"{api}/command/arm").json() == {"sequence id": 1}
        assert client.put(f"{api}/command/trigger").status_code == 200
        start, *images, end = decoded(
            "Eiger", [socket.recv_multipart() for _ in range(22)]
        )
        assert (start.series, start.announced, end) == (1, 20, End(series=1))
        for image in images:
            expected = picture(image.frame, (60, 50), "uint16", seed=5)
            assert np.array_equal(codecs.decode(image), expected)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_a_generic_detector_from_its_ready_line_to_ctrl_c():
    with (
        simulator("detector", "--dtype", "int32") as (process, ready, client),
        pulling(ready["endpoint"]) as socket,
    ):
        client.put("/config", json={"frames": 3, "frame_rate": 0, "filename": "a.h5"})
        assert client.post("/arm").json() == {"series": 1}
        assert client.post("/trigger").json()["state"] == "idle"
        found = decoded("Detector", [socket.recv_multipart() for _ in range(5)])
        assert [type(message) for message in found] == [Start, *[Image] * 3, End]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_a_signal_ends_a_series_that_runs():
    with (
        simulator("detector", "--rate", "1") as (process, ready, client),
        pulling(ready["endpoint"]),
    ):
        client.put("/config", json={"frames": 1000})
        client.post("/arm")
        client.post("/trigger", json={"wait": False})
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0


def test_a_detector_that_dies_ends_its_process_in_mid_series():
    faults = ("--faults", "die=3", "--rate", "0")
    with (
        simulator("eiger", *faults) as (process, ready, client),
        pulling(ready["endpoint"]) as socket,
    ):
        api = "/detector/api/1.8.0"
        client.put(f"{api}/config/nimages", json={"value": 10})
        client.put(f"{api}/command/arm")
        with contextlib.suppress(httpx.TransportError):
            assert client.put(f"{api}/command/trigger").status_code == 500
        found = decoded("Eiger", [socket.recv_multipart() for _ in range(4)])
        assert [m.frame for m in found[1:]] == [0, 1, 2]
        assert process.wait(10) == 1
        assert not socket.poll(200)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("eigr",), "invalid choice"),
        (("eiger", "--faults", "drop=2"), "2 is not between 0 and 1"),
        (("eiger", "--shape", "5"), "give Y,X"),
        (("eiger", "--shape", "0,5"), "1 to 65536"),
        (("detector", "--dtype", "uint64"), "invalid choice"),
        (("detector", "--rate", "-1"), "'-1' is no number from 0.0"),
        (("detector", "--seed", "x"), "'x' is no number from 0"),
        (("detector", "--stream-port", "65536"), "no number from 0 to 65535"),
    ],
)
def test_bad_options_are_told(arguments, complaint):
    done = run("simulate", *arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_told():
    with simulator("eiger") as (_, ready, _):
        port = str(ready["stream_port"])
        done = run("simulate", "eiger", "--stream-port", port)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"stream port {port}" in done.stderr


def test_what_was_recorded_is_replayed(tmp_path, free_port):
    path = tmp_path / "a.cbors"
    with simulator("detector", "--rate", "0") as (_, ready, client):
        client.put("/config", json={"frames": 4, "filename": "old.h5", "end": False})
        with running(
            "record", ready["endpoint"], str(path), "--messages", "5"
        ) as process:
            _series(client)
            recorded = json.loads(process.communicate(timeout=30)[0])
    assert (recorded["messages"], process.returncode) == (5, 0)
    options = ("--port", str(free_port), "--filename", "new.h5", "--end")
    with running("replay", str(path), *options) as process:
        with pulling(f"tcp://127.0.0.1:{free_port}") as socket:
            got = [socket.recv_multipart() for _ in range(6)]
        sent = json.loads(process.communicate(timeout=30)[0])
    assert (sent["messages"], sent["images"], sent["ends_added"]) == (6, 4, 1)
    assert got[1:5] == list(read(path))[1:]
    start, end = decoded("Detector", [got[0], got[5]])
    assert (start.filename, end.number) == ("new.h5", 5)


def _series(client):
    client.post("/arm")
    client.post("/trigger")


def test_a_recorder_stops_at_a_signal_with_what_it_has(tmp_path):
    path = tmp_path / "a.cbors"
    with simulator("detector", "--rate", "0") as (_, ready, client):
        with running("record", ready["endpoint"], str(path)) as process:
            _series(client)
            deadline_s = time.monotonic() + 20
            while not (path.exists() and path.stat().st_size > 10 * 6000):
                assert time.monotonic() < deadline_s
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            recorded = json.loads(process.communicate(timeout=30)[0])
        assert (recorded["messages"], process.returncode) == (12, 0)
    assert len(list(read(path))) == 12


def test_a_replay_that_nobody_receives_fails_in_time(tmp_path):
    (tmp_path / "a.cbors").write_bytes(event(0, "a", [b"{}"]))
    path = str(tmp_path / "a.cbors")
    done = run("replay", path, "--port", "0", "--connect-timeout", "0.2")
    assert done.returncode == 1
    assert "nobody connected to port" in done.stderr


@pytest.mark.parametrize(
    ("name", "code", "complaint"),
    [("none.cbors", 1, "No such file"), ("bad.cbors", 2, "item 0: no message")],
)
def test_a_file_that_cannot_be_replayed_is_told_at_once(
    tmp_path, name, code, complaint
):
    (tmp_path / "bad.cbors").write_bytes(b"bad")
    done = run("replay", str(tmp_path / name), "--port", "0")
    assert done.returncode == code
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
