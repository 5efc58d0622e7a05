import math
import time

import pytest
from ophyd import Device

from srx_ophyd.client import ServiceClient
from srx_ophyd.status import FramesStatus
from srx_ophyd.watch import AcquisitionError, Watch
from tests.ophyd.test_client import REQUEST

DEVICE = Device("", name="det")


@pytest.fixture
def watch(service):
    client = ServiceClient(service.url, timeout_s=1.0)
    watch = Watch(
        client,
        client.arm(**REQUEST),
        lease_s=None,
        detector_state=lambda: "detector is 'idle'",
        allow_missing=True,
    )
    yield watch
    watch.close()
    client.close()


def expect(watch, start, target, stall_s=10.0, *, wants_total=False):
    status = FramesStatus(DEVICE, start, target)
    status.wants_total = wants_total
    watch.expect(status, stall_s)
    return status


def cause(status):
    return str(status.exception(timeout=5))


def test_settles_what_waits_as_soon_as_the_rows_are_durable(
    watch, service, monkeypatch
):
    monkeypatch.setattr("srx_ophyd.watch.PROGRESS_S", 30.0)
    status = expect(watch, 0, 2)
    service.send(1)
    assert not status.done
    service.send(2)
    status.wait(5)
    assert (status.has_all, watch.rows) == (True, 2)
    monkeypatch.undo()


def test_settles_at_once_what_is_there_already(watch, service):
    service.send(1, 2, 3)
    status = expect(watch, 0, 2)
    status.wait(5)
    assert status.has_all


def test_tells_of_progress_on_the_way(watch, service):
    status = expect(watch, 0, 5)
    seen = []
    status.watch(lambda **progress: seen.append(progress["current"]))
    service.send(1, 2)
    while 2 not in seen:
        time.sleep(0.01)
    assert watch.rows == 2


def test_a_stall_counts_from_the_last_durable_frame(watch, service):
    status = expect(watch, 0, 9, stall_s=1.0)
    for frame in range(3):
        time.sleep(0.5)
        service.send(frame)
    assert not status.done
    text = "no new frame for 1 s, at frame 3 of 9; acquisition acq1 is running; "
    assert cause(status).startswith(text + "detector is 'idle'; file /data/a_1234.h5")


def test_where_frames_went_is_told(watch, service):
    service.current["counts"].update(rejected=4, stale=2)
    assert ", 4 rejected, 2 stale;" in cause(expect(watch, 0, 9, stall_s=0.2))


def test_holes_are_counted_for_the_frames_that_are_awaited(watch, service):
    service.send(1, missing=1)
    expect(watch, 0, 2).wait(5)
    second = expect(watch, 2, 5)
    service.send(2, missing=2)
    second.wait(5)
    assert second.missing == 2


def test_missing_frames_are_told_by_number_where_they_shall_not_be(watch, service):
    watch._allow_missing = False
    service.send(*range(10))
    expect(watch, 0, 10).wait(5)
    status = expect(watch, 10, 1000)
    service.send(1, 2, missing=2)
    text = cause(status)
    assert text.startswith(
        "frames 1, 2 of 990 never came (rows 10, 11 of the file), and on_missing is "
        "'fail', at frame 4 of 990"
    )


def test_the_last_frame_is_summed_before_the_status_is_done(watch, service):
    status = expect(watch, 0, 2, wants_total=True)
    totals = []
    status.add_callback(lambda done: totals.append(done.total_counts))
    service.send(1, 2)
    status.wait(5)
    assert totals == [1001.0]


def test_it_is_not_summed_unless_asked_for(watch, service):
    status = expect(watch, 0, 2)
    service.send(1, 2)
    status.wait(5)
    assert math.isnan(status.total_counts)
    assert "total" not in dict(service.requests)


def no_total(watch, target=2):
    status = expect(watch, 0, target, wants_total=True)
    status.wait(5)
    assert status.has_all
    assert math.isnan(status.total_counts)


@pytest.mark.parametrize(
    "shown",
    [
        {"row": 1, "total_counts": 5},
        {"acquisition": "acq1", "row": 0, "total_counts": 5},
        {"acquisition": "acq1", "row": 2, "total_counts": 5},
        {"acquisition": "other", "row": 1, "total_counts": 5},
        {"acquisition": "acq1", "row": 1, "total_counts": None},
        {"acquisition": "acq1", "row": 1},
        {},
    ],
)
def test_the_sum_of_another_frame_is_not_taken(watch, service, shown, caplog):
    service.send(1, 2)
    service.shown = shown
    no_total(watch)
    assert "acquisition acq1: total_counts is not known: the servi" in caplog.text


def test_a_hole_has_no_sum_and_is_no_reason_to_warn(watch, service, caplog):
    service.send(1)
    service.send(missing=1)
    no_total(watch)
    assert not caplog.records


@pytest.mark.parametrize(
    "problem", [(404, "no frame yet", ""), (502, "undecodable", "")]
)
def test_a_sum_that_cannot_be_had_is_told_once(watch, service, caplog, problem):
    service.send(1, 2)
    service.refusals["total"] = problem
    for _ in range(3):
        no_total(watch)
    assert len(caplog.records) == 1
    assert problem[1] in caplog.text


def test_no_more_rows_are_taken_than_asked_for(watch, service):
    for rows in (2, 2, None):
        watch.limit(rows)
    patches = [body for name, body in service.requests if name == "patch"]
    assert patches == [{"expected": 2}, {"expected": None}]


def test_what_ends_early_is_told_with_the_services_cause(watch, service):
    status = expect(watch, 0, 3)
    service.send(1)
    service.fail("disk full")
    text = (
        "the acquisition ended, at frame 1 of 3; acquisition acq1 is failed (disk ful"
    )
    assert text in cause(status)


def test_what_ends_with_all_frames_there_is_no_failure(watch, service):
    service.send(1)
    service.current["state"] = "done"
    status = expect(watch, 0, 1)
    status.wait(5)
    assert status.has_all


def test_what_is_forgotten_is_not_settled(watch, service):
    status = expect(watch, 0, 1)
    assert watch.forget() is status
    service.send(1)
    time.sleep(0.3)
    assert not status.done


def test_rows_that_are_to_be_given_up_do_not_count(watch, service):
    service.send(1, 2, 3)
    expect(watch, 0, 3).wait(5)
    watch.distrust()
    status = expect(watch, 1, 2)
    time.sleep(0.3)
    assert not status.done
    watch.rewind(1)
    assert watch.rows == 1
    service.send("again")
    status.wait(5)
    assert service.rows == [1, "again"]


def test_an_answer_from_before_a_rewind_is_not_believed(watch, service):
    status = expect(watch, 0, 5)
    service.send(1, 2)
    while watch.rows < 2:
        time.sleep(0.01)
    watch.rewind(0)
    assert watch.rows == 0
    assert not status.done


def test_a_fault_of_its_own_fails_what_waits(watch, monkeypatch):
    monkeypatch.setattr(watch, "_cause", lambda status: 1 / 0)
    assert "division by zero" in cause(expect(watch, 0, 1))


def test_pins_once_the_service_has_seen_the_series(watch, service):
    service.begin_series(7)
    watch.pin(7, timeout_s=1.0)


def test_a_series_that_never_comes_is_an_error(watch):
    with pytest.raises(
        AcquisitionError, match="series 7, but the service has not seen"
    ):
        watch.pin(7, timeout_s=0.1)


def test_it_polls_no_more_once_closed(watch, service):
    watch.close()
    watch._thread.join(5)
    assert not watch._thread.is_alive()
