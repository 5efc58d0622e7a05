"""A service that is killed, and one that is told to stop: what is in the file then."""

import json

import h5py
import numpy as np
import pytest

from srx_service.messages import Start
from tests.system.sources import image, pixels, sender_on
from tests.system.test_line import frames_in, newest, wait_for_rows


@pytest.fixture
def entry(tmp_path, free_ports):
    """Make an entry of detectors.yaml: one state_dir, another source each time."""
    state = str(tmp_path / "state")
    return lambda: {"dcu_port_purple": free_ports(), "state_dir": state}


@pytest.fixture
def open_series(start_service, entry, data):
    """A service in mid-series, with 50 durable frames, and its source."""
    service = start_service(first := entry())
    with sender_on(first["dcu_port_purple"]) as sender:
        sender.send(Start(filename=str(data / "a.h5")), *map(image, range(50)))
        wait_for_rows(service, 50)
        yield service, sender


def expect(count):
    return np.stack([pixels(frame) for frame in range(count)])


def test_flushed_frames_survive_a_kill_and_can_be_read_at_once(open_series, data):
    service, _ = open_series
    service.kill()
    assert np.array_equal(frames_in(data / "a.h5", swmr=True), expect(50))


def test_the_next_start_repairs_what_a_kill_left_open(
    open_series, start_service, data, entry
):
    service, _ = open_series
    service.kill()
    with pytest.raises(OSError, match="already open"):
        h5py.File(data / "a.h5")
    start_service(entry())
    assert np.array_equal(frames_in(data / "a.h5"), expect(50))


def test_open_files_are_listed_until_they_are_closed(open_series, data, tmp_path):
    service, _ = open_series
    (listed,) = (tmp_path / "state").glob("*open-files.json")
    assert json.loads(listed.read_text())[0]["path"] == str(data / "a.h5")
    assert service.terminate() == 0
    assert json.loads(listed.read_text()) == []


def test_sigterm_closes_the_file_complete(open_series, data):
    service, _ = open_series
    assert service.terminate() == 0
    assert np.array_equal(frames_in(data / "a.h5"), expect(50))


def test_who_polls_while_the_service_stops_learns_how_it_ended(open_series):
    service, _ = open_series
    told = newest(service)
    assert told["state"] == "running"
    assert service.terminate() == 0
    assert "aborted" in service.log.read_text()


def test_a_repaired_file_is_appended_to(open_series, start_service, data, entry):
    service, _ = open_series
    service.kill()
    service = start_service(second := entry())
    with sender_on(second["dcu_port_purple"]) as sender:
        sender.send(Start(filename=str(data / "a.h5")), image(50))
        wait_for_rows(service, 1)
    assert service.terminate() == 0
    assert np.array_equal(frames_in(data / "a.h5"), expect(51))


def test_sigterm_writes_what_waits_behind_a_gap(start_service, entry, data):
    service = start_service(given := entry() | {"gap_timeout": 3600})
    with sender_on(given["dcu_port_purple"]) as sender:
        sender.send(Start(filename=str(data / "a.h5")), image(0))
        sender.number += 1
        sender.send(image(2))
        service.wait_until(lambda: service.get("/status")["messages"] == 3)
        assert service.terminate() == 0
    assert list(frames_in(data / "a.h5")[:, 0, 0]) == [0, 65535, 200]
