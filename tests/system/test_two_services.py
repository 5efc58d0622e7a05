"""Two services want the same ports, name or file: one is told no, the other goes on."""

import contextlib

import httpx
import pytest

from srx_service.messages import End, Start
from srx_service.repair import repair
from tests.conftest import pick_port
from tests.system.sources import image, sender_on, series
from tests.system.test_line import expect, frames_in, wait_for, wait_for_rows

PATIENCE_S = 60.0


class Line:
    """A service and its source."""

    def __init__(self, nursery, sender, port, **entry):
        self.sender, self.port = sender, port
        self.service = nursery.service({"dcu_port_purple": port} | entry)


@pytest.fixture
def make(nursery):
    """Return two lines, each with its own source."""
    with sender_on(one := pick_port()) as first, sender_on(two := pick_port()) as other:
        yield Line(nursery, first, one), Line(nursery, other, two)


@pytest.fixture
def folder(nursery, request):
    path = nursery.data / f"two-{abs(hash(request.node.name))}"
    path.mkdir()
    return path


@pytest.fixture
def line(nursery):
    with sender_on(port := pick_port()) as sender:
        state = str(nursery.data / f"state-of-{port}")
        yield Line(nursery, sender, port, state_dir=state)


def begin(line, file):
    line.sender.send(Start(filename=str(file)), *map(image, range(10)))
    wait_for_rows(line.service, 10)


def is_whole(line, file):
    line.sender.send(*map(image, range(10, 20)), End())
    told = wait_for(line.service, file)
    return told["counts"]["written"] == 20 and (frames_in(file) == expect(20)).all()


@pytest.mark.parametrize("name", ["api_port", "data_port", "state_dir"])
def test_the_second_is_told_what_is_taken_and_the_first_goes_on(
    line, nursery, folder, name
):
    begin(line, folder / "a.h5")
    taken = line.service.ports | {
        "state_dir": str(nursery.data / f"state-of-{line.port}")
    }
    with contextlib.suppress(AssertionError):  # it ended before it was ready
        nursery.service({"dcu_port_purple": 9, name: taken[name]})
    assert nursery.started[-1].wait(PATIENCE_S) == 2
    said = nursery.started[-1].log.read_text()
    assert name in said
    assert str(taken[name]) in said
    assert "Traceback" not in said
    assert is_whole(line, folder / "a.h5")


def test_a_file_that_another_service_writes_is_left_to_it(make, folder):
    first, other = make
    file = folder / "a.h5"
    begin(first, file)
    other.sender.send(*series(str(file), 5))
    told = wait_for(other.service, file, "failed")
    assert "is being written by the service 'detector' (process " in told["error"]
    assert told["counts"]["unsaved"] + told["counts"]["rejected"] == 5
    assert other.service.get("/status")["state"] == "error"
    assert is_whole(first, file)
    # once it is free it can be had, and the service that was refused is well
    other.sender.send(*series(str(file), 5))
    wait_for(other.service, file)
    assert other.service.get("/status")["state"] == "idle"
    assert len(frames_in(file)) == 25


def test_a_file_that_another_service_has_cannot_be_armed(make, folder):
    first, other = make
    begin(first, folder / "a.h5")
    url = f"{other.service.url}/api/v1/acquisitions"
    refused = httpx.post(url, json={"file": str(folder / "a.h5")}, timeout=30)
    assert refused.status_code == 409
    assert is_whole(first, folder / "a.h5")
    armed = httpx.post(url, json={"file": str(folder / "b.h5")}, timeout=30)
    assert armed.status_code == 201
    other.sender.send(*series("", 5))
    assert wait_for(other.service, folder / "b.h5")["counts"]["written"] == 5


def test_a_file_that_a_killed_service_left_open_is_told_how_to_be_mended(make, folder):
    """Another service, which never had it open, leaves it to a person."""
    first, other = make
    file = folder / "a.h5"
    begin(first, file)
    first.service.kill()
    other.sender.send(*series(str(file), 5))
    told = wait_for(other.service, file, "failed")
    assert f"`srx repair {file}`" in told["error"]
    assert told["counts"]["unsaved"] + told["counts"]["rejected"] == 5
    assert repair(file).rows == 10
    other.sender.send(*series(str(file), 5))
    assert wait_for(other.service, file)["counts"]["written"] == 5
    assert len(frames_in(file)) == 15
