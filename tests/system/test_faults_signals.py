"""SIGTERM, SIGINT and SIGKILL at every stage: what is in the file, and what comes next.

After each, whatever was durable is in the file, every reader opens it (after SIGKILL:
once the service was started again), and the next acquisition is clean.
"""

import json
import signal
import tempfile
import time
from pathlib import Path

import h5py
import httpx
import numpy as np
import pytest

from srx_service.messages import End, Start
from tests.conftest import pick_port
from tests.system import shims
from tests.system.sources import image, pixels, sender_on, series
from tests.system.test_line import frames_in, newest, wait_for_rows

PATIENCE_S = 60.0
STAGES = ["idle", "armed", "header", "series", "finishing"]
ENDS = [(stage, signal.SIGTERM) for stage in STAGES] + [("series", signal.SIGINT)]
IDS = [f"{stage}-{number.name}" for stage, number in ENDS]
FLUSHED = 48
"""Bytes that are there already when HDF5 makes a file."""
COUNT = 300
"""Frames of the series that is finishing: a signal comes while they are written."""


class Life:
    """One detector over several lives of its service."""

    def __init__(self, nursery, folder, **more):
        self.nursery, self.file = nursery, folder / "a.h5"
        self.port, self.more = pick_port(), more
        self.state = folder / "state"
        self.service = self.start()

    def start(self):
        entry = {"dcu_port_purple": self.port, "state_dir": str(self.state)}
        return self.nursery.service(entry | self.more)

    def reach(self, stage, sender):
        """Bring the service there; return how many rows are durable by then."""
        match stage:
            case "armed":
                body = {"file": str(self.file)}
                url = f"{self.service.url}/api/v1/acquisitions"
                httpx.post(url, json=body, timeout=30).raise_for_status()
            case "header":
                sender.send(Start(filename=str(self.file)))
                self.service.wait_until(
                    lambda: newest(self.service)["state"] == "running"
                )
                # before anything of it is flushed, a file holds nothing
                self.service.wait_until(lambda: size_of(self.file) > FLUSHED)
            case "series":
                sender.send(Start(filename=str(self.file)), *map(image, range(50)))
                wait_for_rows(self.service, 50)
                return 50
            case "finishing":
                sender.send(*series(str(self.file), COUNT))
                wait_for_rows(self.service, 1)
                return 1
        return 0

    def check_file(self, least):
        """Every reader opens it, if it was made at all; no frame is wrong."""
        if not self.file.exists():
            assert least == 0
            return
        with h5py.File(self.file) as file:
            found = file["/entry/data/data"][:] if "/entry/data/data" in file else []
        assert least <= len(found) <= COUNT
        expected = [pixels(frame) for frame in range(len(found))]
        assert np.array_equal(found, expected) or not len(found)

    def check_next(self, sender):
        """The next acquisition is whole, whether it is one that was armed or not."""
        sender.number = 0
        sender.send(*series(str(self.file.with_name("next.h5")), 3))
        self.service.wait_until(
            lambda: (
                (told := newest(self.service))["state"] == "done"
                and told["counts"]["written"] == 3
            )
        )
        file = newest(self.service)["file"]
        assert np.array_equal(frames_in(file)[-3:], [pixels(k) for k in range(3)])
        assert self.service.get("/status")["state"] == "idle"
        assert self.service.terminate() == 0
        assert list(self.state.glob("*open-files.json")) != []
        for listed in self.state.glob("*open-files.json"):
            assert json.loads(listed.read_text()) == []


def size_of(file):
    """Its bytes; none before it is there: the state is told before the file is made."""
    return file.stat().st_size if file.exists() else 0


@pytest.fixture
def folder(nursery):
    return Path(tempfile.mkdtemp(prefix="signals-", dir=nursery.data))


@pytest.fixture
def life(nursery, folder):
    return Life(nursery, folder)


@pytest.mark.parametrize(("stage", "number"), ENDS, ids=IDS)
def test_told_to_stop_it_closes_the_file_and_exits_with_0(life, stage, number):
    with sender_on(life.port) as sender:
        least = life.reach(stage, sender)
        life.service.process.send_signal(number)
        assert life.service.process.wait(PATIENCE_S) == 0
    said = life.service.log.read_text()
    assert f"{number.name}: stopping" in said
    assert "Traceback" not in said
    life.check_file(least)
    life.service = life.start()
    with sender_on(life.port) as sender:
        life.check_next(sender)


@pytest.mark.parametrize("stage", STAGES)
def test_killed_it_leaves_what_the_next_start_repairs(life, stage):
    with sender_on(life.port) as sender:
        least = life.reach(stage, sender)
        life.service.kill()
    assert life.service.process.poll() == -signal.SIGKILL
    life.service = life.start()
    with sender_on(life.port) as sender:
        life.check_next(sender)
    life.check_file(least)


def test_many_signals_are_as_good_as_one(life):
    with sender_on(life.port) as sender:
        life.reach("series", sender)
        for number in 50 * (signal.SIGINT, signal.SIGTERM):
            life.service.process.send_signal(number)
        assert life.service.process.wait(PATIENCE_S) == 0
    assert "Traceback" not in life.service.log.read_text()
    life.check_file(50)


def test_what_arrives_at_once_with_the_signal_is_whole_or_not_there(life):
    with sender_on(life.port) as sender:
        life.reach("series", sender)
        life.service.process.send_signal(signal.SIGSTOP)
        sender.send(*map(image, range(50, COUNT)), End())
        life.service.process.send_signal(signal.SIGTERM)
        life.service.process.send_signal(signal.SIGCONT)
        assert life.service.process.wait(PATIENCE_S) == 0
    life.check_file(50)


def test_a_start_may_be_broken_off_at_any_moment(life, nursery):
    with sender_on(life.port) as sender:
        life.reach("series", sender)
        life.service.kill()  # so that there is something to repair
    entry = {"dcu_port_purple": life.port, "state_dir": str(life.state)}
    codes = [break_off(nursery, entry, life.file.parent, k) for k in range(4)]
    # before Python's handlers are there, the system's own ends the process
    assert set(codes) <= {0, -signal.SIGTERM}
    life.service = life.start()
    life.check_file(50)
    with sender_on(life.port) as sender:
        life.check_next(sender)


def break_off(nursery, entry, folder, k):
    """Start a service, tell it to stop some hundredths of a second later."""
    whole = {
        "class": "Detector",
        "dcu_host_purple": "127.0.0.1",
        "api_host": "127.0.0.1",
        "api_port": pick_port(),
        "data_port": pick_port(),
        "dset_name": "/entry/instrument/eiger/data",
        **entry,
    }
    (config := folder / "detectors.yaml").write_text(json.dumps({"detector": whole}))
    words = ["srx_service", "run", str(config), "detector"]
    process = nursery.start("broken-off", words).process
    time.sleep(0.03 * k)
    process.send_signal(signal.SIGTERM)
    return process.wait(PATIENCE_S)


def test_a_disk_that_takes_nothing_delays_the_stop_no_longer_than_told(
    programs, nursery, tmp_path, data, monkeypatch
):
    library, gate = shims.build(tmp_path, "slow_disk"), tmp_path / "gate"
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("SLOW_FOLDER", str(data))
    monkeypatch.setenv("SLOW_WHILE", str(gate))
    monkeypatch.setenv("SLOW_BYTES_PER_S", "1")
    entry = {"dcu_port_purple": pick_port(), "state_dir": str(tmp_path / "state")}
    service = programs.service(entry | {"shutdown_timeout": 0.5})
    with sender_on(entry["dcu_port_purple"]) as sender:
        sender.send(Start(filename=str(data / "a.h5")), *map(image, range(10)))
        wait_for_rows(service, 10)
        gate.touch()
        sender.send(*map(image, range(10, 100)))
        service.wait_until(lambda: service.get("/received_frames")["value"] == 100)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(PATIENCE_S) == 1
    assert "not all was written within 0.5 s" in service.log.read_text()
    gate.unlink()
    nursery.service(entry | {"dcu_port_purple": pick_port()})
    found = frames_in(data / "a.h5")
    assert len(found) >= 10
    assert np.array_equal(found, [pixels(frame) for frame in range(len(found))])
