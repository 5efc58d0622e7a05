import pytest

from srx_service.acquisitions import Acquisitions
from srx_service.errors import ProtocolError
from srx_service.figures import figures
from srx_service.metrics import COUNTERS, GAUGES, HISTOGRAMS
from srx_service.status import Status
from tests.service.test_acquisitions import make


@pytest.fixture
def status():
    return Status()


@pytest.fixture
def acquisitions():
    return Acquisitions()


@pytest.fixture
def told(status, acquisitions):
    """What is told now, with what else is counted."""

    def told(**others):
        return figures(
            status,
            acquisitions,
            state="running",
            timings={"write_seconds": {"+Inf": 1.0, "sum": 2.0}},
            others=others,
        )

    return told


def test_one_state_is_the_present_one(told):
    assert told()["state"] == {"idle": 0.0, "running": 1.0, "error": 0.0}


def test_what_is_no_number_is_left_out(told):
    seen = told(version="1", disk_is_short=True, disk_free_bytes=None, clients=2)
    assert (seen["disk_is_short"], seen["clients"]) == (1.0, 2.0)
    assert not {"version", "disk_free_bytes"} & seen.keys()


def test_messages_that_could_not_be_read_are_summed_from_the_start(told, status):
    assert told()["undecodable_messages"] == 0.0
    for kind in ("not JSON", "not JSON", "no shape"):
        status.count_error(ProtocolError(kind, "so it is"), [])
    assert told()["undecodable"] == {"not JSON": 2.0, "no shape": 1.0}
    assert told()["undecodable_messages"] == 3.0


def test_images_are_those_of_the_newest_and_those_of_all(told, acquisitions):
    for written in (3, 4):
        made = make()
        made.counts.written = written
        acquisitions.add(made)
    assert told()["acquisition_frames"]["written"] == 4.0
    assert told()["frames"]["written"] == 7.0


def test_how_acquisitions_ended_is_counted(told, acquisitions):
    made = make()
    acquisitions.add(made)
    made.fail("disk full")
    assert told()["acquisitions"] == {"done": 0.0, "failed": 0.0, "aborted": 0.0}
    made.finish("done")
    assert told()["acquisitions"]["failed"] == 1.0


def test_each_is_described(told):
    assert told().keys() <= COUNTERS.keys() | HISTOGRAMS.keys() | GAUGES.keys()
