"""A service that is killed: what its next life knows, repairs, arms again, rescues."""

import contextlib
import json
import sqlite3

import h5py
import httpx
import numpy as np
import pytest
from msgspec.structs import replace

from srx_service.messages import End, Start
from srx_service.protocols import dectris_stream1
from tests.conftest import pick_port
from tests.system.sources import image, pixels, sender_on
from tests.system.test_line import frames_in, newest, wait_for_rows


@pytest.fixture
def entry(tmp_path, free_ports):
    """Make an entry of detectors.yaml: one state_dir, another source each time."""
    state = str(tmp_path / "state")
    return lambda **more: {"dcu_port_purple": free_ports(), "state_dir": state} | more


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "state" / "detector-journal.sqlite"


def arm(service, **body):
    url = f"{service.url}/api/v1/acquisitions"
    return httpx.post(url, json=body, timeout=30).raise_for_status().json()


def told(service, identifier):
    return service.get(f"/api/v1/acquisitions/{identifier}")


def expect(*frames):
    return np.stack([pixels(frame) for frame in frames])


def test_a_locked_journal_stops_nothing_and_tells_all_after_a_restart(
    start_service, entry, data, journal
):
    service = start_service(first := entry())
    with (
        contextlib.closing(sqlite3.connect(journal, isolation_level=None)) as other,
        sender_on(first["dcu_port_purple"]) as sender,
    ):
        other.execute("BEGIN EXCLUSIVE")
        sender.send(Start(filename=str(data / "a.h5")), *map(image, range(3)), End())
        service.wait_until(lambda: newest(service)["state"] == "done")
        service.wait_until(lambda: service.get("/status")["journal"] is not None)
        assert "database is locked" in service.get("/status")["journal"]
        other.execute("ROLLBACK")
        service.wait_until(lambda: service.get("/status")["journal"] is None)
        stored = other.execute("SELECT state FROM progress").fetchall()
    assert stored == [("done",)]
    before = newest(service)
    assert service.terminate() == 0
    service = start_service(entry())
    assert newest(service) == before == told(service, before["id"])


def test_what_was_armed_is_armed_again_under_its_id(start_service, entry, data):
    service = start_service(entry())
    file = data / "a.h5"
    armed = arm(service, file=str(file), series=2, lease_s=600, expected=5)
    service.kill()
    service = start_service(second := entry())
    again = told(service, armed["id"])
    assert again["state"] == "armed"
    kept = ("id", "file", "series", "lease_s", "expected", "created_s")
    assert [again[key] for key in kept] == [armed[key] for key in kept]
    with sender_on(second["dcu_port_purple"]) as sender:
        sender.send(Start(), *map(image, range(3)), End())
        sender.send(Start(), *map(image, range(2)), End())
        service.wait_until(lambda: told(service, armed["id"])["state"] == "done")
    done = told(service, armed["id"])
    assert done["counts"]["written"] == 5
    assert np.array_equal(frames_in(file), expect(0, 1, 2, 0, 1))


class Source:
    """Speaks one of two protocols: one numbers all messages, one those of a series."""

    def __init__(self, sender, kind):
        self._sender, self._is_dectris = sender, kind == "Eiger"

    def begin(self, file, series=1):
        generic = Start(filename=str(file))
        self._send(generic, Start(series=series, appendix=named(file)))

    def send(self, frames, series=1):
        for frame in frames:
            shot = image(frame)
            self._send(shot, replace(shot, series=series, number=frame))

    def end(self, series=1):
        self._send(End(), End(series=series))

    def _send(self, generic, dectris):
        if self._is_dectris:
            self._sender.send_parts(*dectris_stream1.encode(dectris))
        else:
            self._sender.send(generic)


def named(file):
    return json.dumps({"filename": str(file)}).encode()


@pytest.fixture(params=["Detector", "Eiger"])
def broken_off(request, start_service, entry, data):
    """A service that was killed in mid-series, its next life, and the source."""
    port = pick_port()
    config = {"class": request.param, "dcu_port_purple": port, "rescue": True}
    config |= {"gap_timeout": 0.5}
    service = start_service(entry() | config)
    with sender_on(port) as sender:
        source = Source(sender, request.param)
        source.begin(data / "a.h5")
        source.send(range(20))
        wait_for_rows(service, 20)
        service.kill()
        yield start_service(entry() | config), source


def test_a_series_that_a_kill_interrupted_is_told_and_its_rest_rescued(
    broken_off, data
):
    service, source = broken_off
    (interrupted,) = service.get("/api/v1/acquisitions")["acquisitions"]
    assert (interrupted["state"], interrupted["rows"]) == ("interrupted", 20)
    assert "was killed" in interrupted["error"]
    counts = {name: n for name, n in interrupted["counts"].items() if n}
    assert counts == {"received": 20, "written": 20}
    source.send(range(30, 40))
    source.end()
    rescued = data / "a_rescued_1.h5"
    service.wait_until(lambda: newest(service)["file"] == str(rescued))
    service.wait_until(lambda: newest(service)["state"] == "done")
    assert np.array_equal(frames_in(data / "a.h5"), expect(*range(20)))
    assert np.array_equal(frames_in(rescued), expect(*range(30, 40)))
    with h5py.File(rescued) as file:
        group = file["/entry/instrument/eiger"]
        assert list(group["sequence_number"]) == [*range(30, 40)]
        assert group["rescued_acquisition"].asstr()[()] == interrupted["id"]
    # the next series is one of its own
    source.begin(data / "b.h5", series=2)
    source.send(range(3), series=2)
    service.wait_until(lambda: newest(service)["file"] == str(data / "b.h5"))
    wait_for_rows(service, 3)
