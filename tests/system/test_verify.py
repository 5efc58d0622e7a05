"""Files of a real service as `srx verify` finds them, after an end and after a kill."""

import pytest

from srx_service.messages import End, Start
from srx_service.verify import verify
from tests.system.sources import image, sender_on, series
from tests.system.test_line import newest, wait_for_rows


@pytest.fixture
def entry(tmp_path, free_ports):
    """Make an entry of detectors.yaml: one state_dir, another source each time."""
    state = str(tmp_path / "state")
    return lambda: {
        "dcu_port_purple": free_ports(),
        "state_dir": state,
        "checksum": True,
        "frames_per_chunk": 4,
        "gap_timeout": 0.1,
    }


def test_what_was_received_is_whole_and_stays_so_after_a_kill(
    start_service, entry, data
):
    service = start_service(first := entry())
    path = data / "a.h5"
    with sender_on(first["dcu_port_purple"]) as sender:
        sender.send(*series(str(path), 9))
        service.wait_until(lambda: newest(service)["state"] == "done")
        report = verify(path)
        assert (report.verdict, report.found.compared) == ("whole", 3)
        sender.send(Start(filename=str(path)), *map(image, range(5)))
        sender.number += 2  # two frames are lost
        sender.send(*map(image, range(7, 10)))
        wait_for_rows(service, 10)
        assert verify(path).verdict == "unreadable"
        service.kill()
    service = start_service(second := entry())
    report = verify(path)
    assert report.found.problems == []
    assert (report.found.rows, report.found.compared) == (19, 5)
    assert [counts["written"] for counts in report.found.counts] == [9, 8]
    with sender_on(second["dcu_port_purple"]) as sender:
        sender.send(Start(filename=str(path)), *map(image, range(3)), End())
        service.wait_until(lambda: newest(service)["counts"]["written"] == 3)
        service.wait_until(lambda: newest(service)["state"] == "done")
    assert str(verify(path)).splitlines()[1:] == []
