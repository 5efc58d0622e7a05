"""Whichever thread dies: the file is closed, and the process ends with exit code 1."""

import json
import signal
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import zmq

from srx_service.messages import Start
from srx_service.protocols import dectris_stream1 as dectris
from tests.conftest import pick_port
from tests.system.sources import image, pixels, sender_on
from tests.system.test_line import TIMES, frames_in, newest, wait_for_rows

PATIENCE_S = 30.0
THREADS = ["receive", "write", "write behind", "space", "rest", "forward", "journal"]
THREADS += ["http"]
"""All that a service has for as long as it runs, but one: "transformed", below."""
FIRST = 20


@pytest.fixture
def folder(nursery, request):
    path = nursery.data / f"watchdog-{abs(hash(request.node.name))}"
    path.mkdir()
    return path


class Line:
    """A service in mid-series, and its source."""

    def __init__(self, nursery, folder, sender, port, **more):
        entry = {"dcu_port_purple": port, "write_behind": "4 KiB"}
        entry["state_dir"] = str(folder)
        self.service = nursery.service(entry | more)
        self.file, self.state = folder / "a.h5", folder
        self.victim = self.service.log.with_suffix(".victim")
        self.sender, self.next = sender, 0

    def begin(self):
        self.sender.send(Start(filename=str(self.file)))
        for _ in range(FIRST):
            self.go_on()
        wait_for_rows(self.service, FIRST)

    def go_on(self):
        self.sender.send(image(self.next))
        self.next += 1

    def let_die(self, name):
        self.victim.write_text(name)
        self.service.process.send_signal(signal.SIGUSR1)

    def wait_for_end(self):
        """Return the exit code; a thread that sleeps dies once it has something to do.

        So frames go on coming, and a client comes to the secondary port.
        """
        with zmq.Context() as context, context.socket(zmq.PULL) as client:
            client.linger = 0
            client.connect(f"tcp://127.0.0.1:{self.service.ports['data_port']}")
            deadline_s = time.monotonic() + PATIENCE_S
            while (code := self.service.process.wait_for(0.02)) is None:
                assert time.monotonic() < deadline_s, self.service.log.read_text()
                if self.sender.socket.poll(0, zmq.POLLOUT):
                    self.go_on()
        return code

    def check_file(self):
        """It is closed, so that any reader opens it, and what is there is right."""
        found = frames_in(self.file)
        assert len(found) >= FIRST
        assert np.array_equal(found, [pixels(k) for k in range(len(found))])
        for listed in self.state.glob("*open-files.json"):
            assert json.loads(listed.read_text()) == []


@pytest.fixture
def line(nursery, folder):
    port = pick_port()
    with sender_on(port) as sender:
        line = Line(nursery, folder, sender, port)
        line.begin()
        yield line
        sender.socket.linger = 0


@pytest.mark.parametrize("name", THREADS)
def test_a_thread_that_dies_ends_the_service_and_the_file_is_closed(line, name):
    line.let_die(name)
    assert line.wait_for_end() == 1
    said = line.service.log.read_text()
    assert f"thread {name} died" in said
    assert "Traceback" in said
    assert "KilledError" in said
    line.check_file()


def test_the_threads_of_a_service_are_those_that_are_killed_here(line):
    tasks = Path(f"/proc/{line.service.process.pid}/task").iterdir()
    names = {(task / "comm").read_text().strip() for task in tasks}
    # the main thread and those of libraries go by the name of the program
    ours = {name for name in names if not name.startswith(("python", "ZMQbg", "iou-"))}
    assert ours == {*THREADS, "transformed"} - {"http"}


def test_it_is_not_ready_from_the_death_on_and_answers_until_the_end(line):
    gate = line.victim.with_suffix(".wait")
    gate.touch()
    line.let_die("receive")
    ready = f"{line.service.url}/readyz"
    line.service.wait_until(lambda: httpx.get(ready, timeout=20).status_code == 503)
    assert line.service.get("/healthz") == {"alive": True}
    assert newest(line.service)["rows"] >= FIRST
    gate.unlink()
    assert line.service.process.wait(PATIENCE_S) == 1
    line.check_file()


def test_it_is_not_ready_while_the_sockets_are_not_looked_at(line):
    ready = f"{line.service.url}/readyz"
    (gate := line.victim.with_suffix(".hang")).touch()
    line.service.wait_until(lambda: httpx.get(ready, timeout=20).status_code == 503)
    assert line.service.get("/healthz") == {"alive": True}
    gate.unlink()
    line.service.wait_until(lambda: httpx.get(ready, timeout=20).status_code == 200)


def test_who_hands_on_transformed_images_may_die_too(nursery, folder):
    """Only then it has something to do: images that are to be rotated."""
    port = pick_port()
    appendix = {"filename": str(folder / "a.h5"), "rotate": 1}
    start = Start(
        series=1,
        number=-1,
        metadata={"nimages": 1000, "ntrigger": 1, "count_time": 0.1},
        appendix=json.dumps(appendix).encode(),
    )
    with sender_on(port) as sender:

        def go_on(frame):
            fields = {"encoding": "bslz4", "series": 1, "extras": TIMES}
            sender.send_parts(*dectris.encode(image(frame, **fields)))

        line = Line(nursery, folder, sender, port, **{"class": "Eiger"})
        sender.send_parts(*dectris.encode(start))
        for frame in range(FIRST):
            go_on(frame)
        wait_for_rows(line.service, FIRST)
        line.let_die("transformed")
        for frame in range(FIRST, 1000):
            if line.service.process.wait_for(0.03) is not None:
                break
            if sender.socket.poll(0, zmq.POLLOUT):
                go_on(frame)
        assert line.service.process.poll() == 1
        sender.socket.linger = 0
    assert "thread transformed died" in line.service.log.read_text()
    found = frames_in(line.file)
    expected = [np.rot90(pixels(k)) for k in range(len(found))]
    assert len(found) >= FIRST
    assert np.array_equal(found, expected)
