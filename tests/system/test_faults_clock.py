"""The wall clock is set while a series is written: nothing waits by it."""

import time

import h5py
import httpx
import numpy as np
import pytest

from srx_service.messages import End, Start
from tests.conftest import pick_port
from tests.system import shims
from tests.system.sources import image, sender_on
from tests.system.test_line import expect, frames_in, newest, wait_for, wait_for_rows

DAY_S = 86_400
JUMPS = {"a day back": -DAY_S, "a day ahead": DAY_S, "to 1970": -int(time.time())}


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    """A file: by how many seconds the service's wall clock is off."""
    path = tmp_path_factory.mktemp("clock") / "offset"
    path.write_text("0")
    return path


@pytest.fixture(scope="module")
def line(tmp_path_factory, clock, shared_programs):
    library = shims.build(tmp_path_factory.mktemp("shim"), "clock")
    port = pick_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(library))
        patch.setenv("CLOCK_OFFSET", str(clock))
        service = shared_programs.service({"dcu_port_purple": port})
    with sender_on(port) as sender:
        yield service, sender


@pytest.fixture(autouse=True)
def _set_right_again(clock):
    yield
    clock.write_text("0")


def jump(clock, seconds):
    (new := clock.with_suffix(".new")).write_text(str(seconds))
    new.replace(clock)


@pytest.mark.parametrize("seconds", JUMPS.values(), ids=JUMPS)
def test_a_series_goes_on_over_a_jump(line, folder, clock, seconds):
    service, sender = line
    sender.send(Start(filename=str(folder / "a.h5")), *map(image, range(10)))
    wait_for_rows(service, 10)
    jump(clock, seconds)
    sender.send(*map(image, range(10, 20)))
    wait_for_rows(service, 20)  # so they are flushed
    sender.send(End())
    told = wait_for(service, folder / "a.h5")
    assert {k: n for k, n in told["counts"].items() if n} == {
        "received": 20,
        "written": 20,
    }
    assert told["finished_s"] >= told["created_s"]
    assert np.array_equal(frames_in(folder / "a.h5"), expect(20))
    with h5py.File(folder / "a.h5") as file:
        arrived = file[told["columns"]["timestamp"]][:]
    assert abs(arrived[10] - arrived[9] - seconds) < DAY_S / 2  # as the clock told it
    assert "after -" not in service.log.read_text()


@pytest.mark.parametrize("seconds", JUMPS.values(), ids=JUMPS)
def test_no_lease_and_no_timeout_ends_by_a_jump(line, folder, clock, seconds):
    service, sender = line
    body = {"file": str(folder / "a.h5"), "lease_s": 3600.0, "idle_timeout_s": 3600.0}
    url = f"{service.url}/api/v1/acquisitions"
    armed = httpx.post(url, json=body).raise_for_status().json()
    sender.send(Start(), image(0))
    wait_for_rows(service, 1)
    jump(clock, seconds)
    begun_s = time.monotonic()
    asked = {"wait_frames": 2, "timeout": 0.5}
    told = httpx.get(f"{url}/{armed['id']}", params=asked, timeout=60).json()
    assert (told["state"], told["rows"]) == ("running", 1)
    assert 0.4 < time.monotonic() - begun_s < 30
    assert service.get("/readyz") == {"ready": True}
    sender.send(image(1), End())
    assert wait_for(service, folder / "a.h5")["counts"]["written"] == 2


def test_a_gap_is_waited_for_no_longer_by_a_jump(line, folder, clock):
    service, sender = line
    sender.send(Start(filename=str(folder / "a.h5")), image(0))
    wait_for_rows(service, 1)
    jump(clock, -DAY_S)
    sender.number += 1
    sender.send(image(2), End())
    told = wait_for(service, folder / "a.h5")
    assert (told["rows"], told["counts"]["missing"]) == (3, 1)
    assert newest(service)["error"] is None
