"""A service that fails at any moment is told in bounded time, and all is idle after."""

import time
from typing import Any

import bluesky.plans as bp
import pytest

from srx_ophyd.client import ServiceError
from tests.ophyd.faults import (
    IMPATIENCE_S,
    FaultyLine,
    before,
    either_flavour,
    flavour,
    line,
    mend,
)

__all__ = ("flavour", "line")


class Everything(dict[str, Any]):
    """The same for every request."""

    def __contains__(self, _request: object) -> bool:
        return True

    def __getitem__(self, _request: str) -> Any:
        return (500, "Internal Server Error", "a fault of its own")


def dies(line: FaultyLine) -> None:
    line.service.die()


def has_a_fault(line: FaultyLine) -> None:
    line.service.refusals = Everything()


def is_silent(line: FaultyLine) -> None:
    client = line.det.client
    for endpoint in (client, client._root, client._api):
        endpoint.timeout_s = IMPATIENCE_S
    line.service.silent.set()


def is_restarted(line: FaultyLine) -> None:
    line.service.die()
    line.service.acquisitions.clear()
    line.service.__enter__()


def is_interrupted(line: FaultyLine) -> None:
    line.service.die()
    line.service.current.update(state="interrupted", error="the service was killed")
    line.service.__enter__()


def gives_up(line: FaultyLine) -> None:
    line.service.current.update(state="aborted", error="client gone")
    line.service.notify()


FAULTS = {
    dies: "unreachable",
    has_a_fault: "500 Internal Server Error: a fault of its own",
    is_silent: "did not answer within ",
    is_restarted: "404 unknown acquisition",
    is_interrupted: "the service was restarted",
    gives_up: "aborted (client gone)",
}
"""What may become of the service, and what the user reads."""
each_fault = pytest.mark.parametrize(
    ("fault", "words"), FAULTS.items(), ids=lambda each: getattr(each, "__name__", "")
)


@either_flavour
@pytest.mark.parametrize("fault", [dies, has_a_fault])
def test_a_service_that_fails_before_it_is_armed_is_told(line, fault):
    before(line.driver, "configure", lambda: fault(line))
    assert FAULTS[fault] in line.fails(bp.count([line.det]), ServiceError)
    assert (line.documents.all, line.driver.calls) == ([], [])
    line.check_idle()
    mend(line)
    line.check_next_scan()


@either_flavour
@pytest.mark.parametrize("fault", [dies, has_a_fault, is_silent, is_restarted])
def test_a_service_that_fails_once_it_is_armed_is_told(line, fault):
    before(line.driver, "arm", lambda: fault(line))
    assert FAULTS[fault] in line.fails(bp.count([line.det]), ServiceError)
    assert (line.documents.all, line.driver.calls) == ([], ["arm", "abort"])
    line.check_idle()
    mend(line)
    line.check_next_scan()


@each_fault
def test_a_service_that_fails_at_a_trigger_is_told(line, fault, words):
    before(line.det, "trigger", lambda: fault(line), nth=2)
    text = line.fails(bp.count([line.det], num=3))
    assert words in text
    assert "at frame 0 of 1; acquisition acq1 is " in text
    assert "; detector is 'acquire'; file /data/det_" in text
    assert len(line.documents.of("event")) == 1
    line.check_idle()
    mend(line)
    line.check_next_scan()


@each_fault
def test_a_service_that_fails_in_an_exposure_is_told(line, fault, words):
    def held(number):
        if number == 2:
            line.driver.held.set()
            fault(line)

    line.driver.on_trigger = held
    text = line.fails(bp.count([line.det], num=3))
    assert words in text
    assert "at frame 0 of 1; acquisition acq1 is " in text
    assert len(line.documents.of("event")) == 1
    line.check_idle()
    mend(line)
    line.check_next_scan()


@each_fault
def test_a_service_that_fails_in_a_fly_scan_is_told(line, fault, words):
    def held(_number):
        line.driver.held.set()
        line.service.send(1, 2, 3)
        while line.det._staging.rows < 3:
            time.sleep(0.01)
        fault(line)

    line.driver.on_trigger = held
    text = line.fails(line.fly())
    assert words in text
    assert " of 50; acquisition acq1 is " in text
    line.check_idle()
    mend(line)
    line.check_next_scan()


@either_flavour
@each_fault
def test_a_service_that_fails_at_the_end_hides_nothing(line, fault, words):
    before(line.det, "unstage", lambda: fault(line))
    line.engine(bp.count([line.det], num=2))
    assert line.documents.of("stop")[0]["exit_status"] == "success"
    line.check_idle()
    mend(line)
    line.check_next_scan()


@either_flavour
def test_a_slow_service_is_waited_for(line):
    line.service.delay_s = 0.2
    line.engine(bp.count([line.det], num=2))
    assert line.service.states == ["done"]
    line.check_idle()
