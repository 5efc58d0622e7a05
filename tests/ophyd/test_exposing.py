"""What goes wrong, when, and what the user is told; and that nothing waits for ever."""

import logging
import math
import threading
import time

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky.utils import FailedStatus, ProgressBarManager
from ophyd.utils import RedundantStaging

from srx_ophyd.client import ServiceError
from srx_ophyd.device import SrxDetector
from srx_ophyd.drivers import DriverError, NoDriver
from srx_ophyd.plans import srx_fly
from srx_ophyd.watch import AcquisitionError
from tests.ophyd.fake_driver import LAYOUT, FakeDriver

DOWN = "http://127.0.0.1:9"
BOUND_S = 10.0


@pytest.fixture(autouse=True)
def _is_bounded_in_time():
    begun_s = time.monotonic()
    yield
    assert time.monotonic() - begun_s < BOUND_S


def fails(engine, documents, plan):
    """Run a plan that fails; return what the user reads, which RunStop says too."""
    with pytest.raises(FailedStatus) as caught:
        engine(plan)
    [stop] = documents.of("stop")
    assert stop["exit_status"] == "fail"
    assert stop["reason"] == str(caught.value)
    assert engine.state == "idle"
    return str(caught.value)


def test_is_made_while_the_service_is_down():
    det = SrxDetector(DOWN, name="det", write_path_template="/data/{name}.h5")
    assert det.url.get() == DOWN
    with pytest.raises(TimeoutError, match="unreachable"):
        det.wait_for_connection(timeout=0.5)


def test_is_connected_when_the_service_can_take_data(det):
    det.wait_for_connection()


def test_staging_fails_with_the_address_while_the_service_is_down(make, engine):
    det = make(url=DOWN)
    with pytest.raises(ServiceError, match=rf"{DOWN} unreachable \(Connect"):
        engine(bp.count([det]))
    assert (engine.state, det.unstage()) == ("idle", [det])


def test_staging_fails_with_what_the_service_says(det, engine, service):
    service.refusals["arm"] = (409, "busy", "acquisition 9c is armed, file /data/x.h5")
    text = "refused POST /acquisitions: 409 busy: acquisition 9c is armed"
    with pytest.raises(ServiceError, match=text):
        engine(bp.count([det]))
    det.unstage()


def test_staging_fails_before_the_detector_is_touched_when_the_service_is_in_use(
    det, make, driver
):
    det.stage()
    calls, other = list(driver.calls), make(name="other")
    with pytest.raises(AcquisitionError, match="in use: acquisition acq1"):
        other.stage()
    assert (driver.calls, len(driver.settings)) == (calls, 1)


def test_staging_waits_for_a_file_that_is_just_being_closed(make, service):
    make().stage()
    closing = service.current
    closing["state"] = "finishing"
    over = threading.Timer(
        0.3, lambda: (closing.update(state="done"), service.notify())
    )
    over.start()
    make(name="next").stage()
    over.join()
    assert service.states == ["done", "armed"]


@pytest.mark.parametrize("request_", ["list", "arm"])
def test_staging_fails_when_the_service_has_a_fault(det, engine, service, request_):
    service.refusals[request_] = (500, "Internal Server Error", "")
    with pytest.raises(ServiceError, match="500 Internal Server Error"):
        engine(bp.count([det]))


def test_staging_fails_when_the_service_does_not_answer(det, engine, service):
    service.silent.set()
    with pytest.raises(ServiceError, match="did not answer within 4 s on GET"):
        engine(bp.count([det]))
    service.silent.clear()


def test_staging_fails_when_the_detector_refuses(det, engine, driver, service):
    driver.arm = lambda: (_ for _ in ()).throw(DriverError("detector is 'na'"))
    with pytest.raises(DriverError, match="detector is 'na'"):
        engine(bp.count([det]))
    assert service.states == ["aborted"]


def test_staging_twice_is_redundant(det):
    det.stage()
    with pytest.raises(RedundantStaging):
        det.stage()


def test_staging_waits_for_the_series_that_was_armed(make, driver, service):
    driver.names_series = True
    make().stage()
    assert ("patch", {"series_id": 1}) in service.requests
    assert service.requests[1][1]["await_series_id"] is True


def test_staging_fails_when_the_armed_series_does_not_come(make, driver, service):
    driver.names_series, service.sees_series = True, False
    with pytest.raises(AcquisitionError, match=r"armed series 1.*stream enabled"):
        make(timeout_s=0.5).stage()
    assert (service.states, driver.calls) == (["aborted"], ["arm", "abort"])


def test_staging_fails_when_nobody_knows_the_shape(make, driver):
    driver.known = None
    with pytest.raises(AcquisitionError, match=r"give the device shape=\(y, x\) and"):
        make().stage()


def test_the_users_shape_is_taken_when_the_driver_knows_none(make, driver, service):
    driver.known = None
    make(shape=(10, 20), dtype="uint32").stage()
    assert (service.current["shape"], service.current["dtype"]) == ([10, 20], "uint32")


def test_the_shape_of_the_last_such_acquisition_is_taken(make, driver, service):
    det = make()
    det.stage()
    det.trigger().wait(5)
    det.unstage()
    driver.known = None
    make().stage()
    assert service.current["shape"] == [*LAYOUT.shape]


def test_a_shape_from_another_configuration_is_not_taken(make, driver, service):
    det = make(exposure_s=0.1)
    det.stage()
    det.trigger().wait(5)
    det.unstage()
    driver.known = None
    with pytest.raises(AcquisitionError, match="last frames were 4 x 6 uint16"):
        make(exposure_s=0.2).stage()


@pytest.mark.parametrize(
    "arguments",
    [
        {"write_path_template": "data/x.h5"},
        {"write_path_template": "/data/a b.h5"},
        {"path_map": {"/data": "/my disk"}},
        {"shape": (1, 2)},
        {"on_missing": "ignore"},
    ],
)
def test_arguments_that_cannot_work_are_refused_at_once(make, arguments):
    with pytest.raises(ValueError, match=r"must begin|cannot be|together|there are"):
        make(**arguments)


def test_every_staging_has_a_new_file(det, service):
    for _ in range(2):
        det.stage()
        det.unstage()
    first, second = (one["file"] for one in service.acquisitions)
    assert first != second
    assert det.file.get() == second


def test_metadata_goes_into_the_file(det, service):
    det.metadata["sample"] = "lysozyme"
    det.stage()
    assert service.current["metadata"]["sample"] == "lysozyme"
    assert service.current["metadata"]["device"] == "det"


def test_a_failed_acquisition_is_told_with_its_cause(
    det, engine, documents, driver, service
):
    driver.on_trigger = lambda n: service.fail("disk full") if n == 2 else None
    text = fails(engine, documents, bp.count([det], num=3))
    for part in (
        "det: the acquisition ended, at frame 0 of 1",
        "acquisition acq1 is failed (disk full)",
        "detector is 'acquire'",
        f"file {service.current['file']}",
    ):
        assert part in text


def test_a_stall_is_told_with_how_far_it_got(make, engine, documents, driver, service):
    driver.on_trigger = lambda number: (service.send(1, 2), driver.held.set())
    det = make(frames_per_event=5, stall_timeout_s=0.3)
    text = fails(engine, documents, bp.count([det]))
    assert "det: no new frame for 0.3 s, at frame 2 of 5" in text
    assert service.states == ["aborted"]


def test_a_detector_that_refuses_a_trigger_fails_the_plan(
    det, engine, documents, driver
):
    driver.error = DriverError("detector http://dcu refused PUT trigger: 400")
    text = fails(engine, documents, bp.count([det]))
    assert text.startswith("det: detector http://dcu refused PUT trigger: 400")


def test_any_other_fault_of_a_driver_fails_the_plan_too(det, engine, documents, driver):
    driver.trigger = lambda frames: 1 / 0
    assert "division by zero" in fails(engine, documents, bp.count([det]))


def test_a_service_that_dies_in_an_exposure_fails_the_plan(
    det, engine, documents, driver, service
):
    def die(number):
        if number == 2:
            driver.held.set()
            service.die()

    driver.on_trigger = die
    text = fails(engine, documents, bp.count([det], num=3))
    assert "unreachable" in text
    assert "at frame 0 of 1; acquisition acq1" in text


def test_a_service_that_dies_in_a_fly_scan_fails_the_plan(
    det, engine, documents, driver, service
):
    def die(number):
        service.send(*range(5))
        driver.held.set()
        while not documents.indices():
            time.sleep(0.01)
        service.die()

    driver.on_trigger = die
    text = fails(engine, documents, srx_fly([det], 100))
    assert "at frame 5 of 100; acquisition acq1" in text
    assert documents.indices() == [(0, 5)]


def test_a_service_that_dies_at_the_end_hides_nothing(det, engine, documents, service):
    def die():
        yield from bps.null()
        service.die()

    engine(bpp.finalize_wrapper(bp.count([det]), die()))
    assert documents.of("stop")[0]["exit_status"] == "success"


def test_unstaging_without_a_service_only_warns(det, engine, service, caplog):
    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([det])
        service.die()

    with caplog.at_level(logging.WARNING, "srx_ophyd"):
        engine(plan())
    assert any("unreachable" in one.message for one in caplog.records)


def test_a_rewind_that_is_refused_fails_the_point(
    det, engine, documents, service, driver
):
    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan():
        yield from bps.trigger(det, wait=True)
        yield from bps.trigger(det, wait=True)

    service.refusals["rewind"] = (507, "cannot rewind", "No space left on device")
    text = fails(engine, documents, plan())
    assert "507 cannot rewind: No space left on device" in text


def test_a_kickoff_that_fails_is_told(det, engine, documents, driver, service):
    def refuse():
        raise DriverError("detector is 'error'")

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan():
        driver.arm = refuse
        yield from bps.prepare(det, 5, wait=True)
        yield from bps.kickoff(det, wait=True)

    assert "det: detector is 'error'" in fails(engine, documents, plan())


def test_a_point_can_be_taken_again_after_a_failure(det, engine, driver, service):
    det.stage()
    driver.error = DriverError("no")
    with pytest.raises(AcquisitionError, match="no, at frame 0 of 1"):
        det.trigger().wait(5)
    driver.error = None
    det.trigger().wait(5)
    assert service.rows == [(2, 0)]


def test_a_pending_status_is_finished_by_unstaging(det, driver):
    driver.held.set()
    det.stage()
    status = det.trigger()
    det.unstage()
    assert (status.done, status.success, status.has_all) == (True, True, False)


def test_unstaging_is_idempotent_and_works_without_staging(det, service):
    assert det.unstage() == det.unstage() == [det]
    assert service.requests == []


def test_stopping_ends_the_exposure_quickly(det, driver):
    driver.held.set()
    det.stage()
    status = det.trigger()
    det.stop()
    status.wait(1)
    assert "abort" in driver.calls


def test_a_second_trigger_during_an_exposure_is_refused(det, driver):
    driver.held.set()
    det.stage()
    det.trigger()
    with pytest.raises(RuntimeError, match="det: the last exposure is not over yet"):
        det.trigger()


@pytest.mark.parametrize("call", ["trigger", "kickoff", "complete", "describe"])
def test_what_needs_staging_says_so(det, call):
    with pytest.raises(RuntimeError, match="det must be staged first"):
        getattr(det, call)()


def test_plain_fly_says_what_to_use_instead(det, engine):
    with pytest.raises(RuntimeError, match="use srx_fly"):
        engine(bp.fly([det]))


def test_frames_per_event_cannot_change_while_staged(det):
    det.stage()
    det.frames_per_event.put(2)
    with pytest.raises(RuntimeError, match="frames_per_event changed while staged"):
        det.trigger()


def test_settings_that_change_the_frames_are_refused(det, driver):
    det.stage()
    driver.known = type(LAYOUT)((4, 6), "uint32")
    det.exposure_s.put(5.0)
    with pytest.raises(AcquisitionError, match="from 4 x 6 uint16 into 4 x 6 uint32"):
        det.trigger().wait(5)


def totals(documents):
    return [one["data"]["det_total_counts"] for one in documents.of("event")]


def test_the_last_frame_of_each_event_is_summed(make, engine, documents):
    engine(bp.count([make(frames_per_event=3)], num=3))
    assert totals(documents) == [1002.0, 1005.0, 1008.0]
    [descriptor] = documents.of("descriptor")
    assert descriptor["data_keys"]["det_total_counts"]["dtype"] == "number"
    assert "det_total_counts" in descriptor["hints"]["det"]["fields"]


def test_a_sum_that_cannot_be_had_is_no_reason_to_fail(det, engine, documents, service):
    service.refusals["total"] = (502, "undecodable frame", "8 bytes came")
    engine(bp.count([det], num=2))
    assert [math.isnan(total) for total in totals(documents)] == [True, True]


def test_an_older_service_sums_nothing(det, engine, documents, service):
    service.shown = {"series": 1, "frame": 0}
    engine(bp.count([det]))
    assert math.isnan(totals(documents)[0])


def test_the_sum_can_be_left_out(make, engine, documents, service):
    engine(bp.count([make(total_counts=False)], num=2))
    assert set(documents.of("event")[0]["data"]) == {"det_frames_missing"}
    assert "total" not in dict(service.requests)


def test_nothing_is_summed_in_a_fly_scan(det, engine, service):
    engine(srx_fly([det], 10))
    assert "total" not in dict(service.requests)


def test_missing_frames_are_counted_by_event(make, engine, documents, driver, service):
    driver.on_trigger = lambda number: service.send(missing=number)
    engine(bp.count([make(frames_per_event=5)], num=3))
    missing = [one["data"]["det_frames_missing"] for one in documents.of("event")]
    assert missing == [1, 2, 3]


def test_missing_frames_are_counted_by_kickoff(det, engine, driver, service):
    counted = []

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(det, 10, wait=True)
        yield from bps.declare_stream(det, name="fly", collect=True)
        for _ in range(2):
            yield from bps.kickoff(det, wait=True)
            yield from bps.collect_while_completing([det], [det], flush_period=0.1)
            counted.append(det.frames_missing.get())

    driver.on_trigger = lambda number: service.send(missing=number)
    engine(plan())
    assert counted == [1, 2]


def test_missing_frames_fail_a_fly_scan_as_soon_as_they_are_known(
    make, engine, documents, driver, service
):
    def lose(number):
        service.send(*range(7))
        service.send(8, missing=1)
        driver.held.set()

    driver.on_trigger = lose
    text = fails(engine, documents, srx_fly([make(on_missing="fail")], 100))
    assert "det: frame 8 of 100 never came (row 7 of the file), and on_mi" in text
    assert service.states == ["aborted"]


def test_a_trigger_from_outside_may_be_chosen_once_it_is_staged(
    make, engine, documents, service
):
    class OutsideToo(FakeDriver):
        @property
        def starts_exposures(self):
            return not self.settings or self.settings[-1].trigger_mode != "exts"

        def trigger(self, frames):
            if self.starts_exposures:
                super().trigger(frames)

    det = make(driver=OutsideToo(service))

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([det])
        yield from bps.prepare(det, {"num_events": 10, "trigger_mode": "exts"})
        yield from bps.declare_stream(det, name="fly", collect=True)
        yield from bps.kickoff(det, wait=True)
        service.send(*range(12))
        yield from bps.collect_while_completing([det], [det], flush_period=0.1)

    engine(plan())
    assert documents.indices()[-1] == (0, 10)


def test_staging_fails_when_it_is_no_srx_service(det, engine, service, driver):
    service.version = None
    with pytest.raises(ServiceError, match="is no srx service"):
        engine(bp.count([det]))
    assert (driver.calls, driver.settings) == ([], [])


def test_staging_fails_when_the_api_is_another(det, engine, service, driver):
    service.has_v1 = False
    with pytest.raises(ServiceError, match="does not speak version 1 of the API"):
        engine(bp.count([det]))
    assert (driver.calls, driver.settings) == ([], [])


def test_staging_fails_when_the_service_cannot_receive_the_stream(det, driver, service):
    def check_decoder(name):
        raise DriverError(f"its service is of class {name}")

    driver.check_decoder = check_decoder
    with pytest.raises(DriverError, match="of class Eiger"):
        det.stage()
    assert service.acquisitions == []


def test_stage_sigs_hold_for_one_staging(det, driver):
    det.stage_sigs["exposure_s"] = 0.25
    det.stage()
    det.unstage()
    assert driver.settings[-1].exposure_s == 0.25
    assert det.exposure_s.get() == 0.0


def test_without_a_driver_frames_count_as_they_come(make, engine, documents, service):
    det = make(driver=NoDriver(LAYOUT))

    def external():
        yield from bps.null()
        service.send("frame")

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan():
        for _ in range(3):
            yield from external()
            yield from bps.trigger_and_read([det])

    engine(plan())
    assert documents.indices() == [(0, 1), (1, 2), (2, 3)]


def test_without_a_driver_frames_may_be_ahead(make, engine, documents, service):
    det = make(driver=NoDriver(LAYOUT))

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan():
        service.send(1, 2, 3, 4)
        for _ in range(3):
            yield from bps.trigger_and_read([det])

    engine(plan())
    assert documents.indices() == [(0, 1), (1, 2), (2, 3)]
    # What nobody asked for is not left behind the last event.
    assert service.rows == [1, 2, 3]


def test_frames_that_come_by_themselves_end_a_fly_scan(
    make, engine, documents, service
):
    det = make(driver=NoDriver(LAYOUT))

    def source(name, _document):
        if name == "descriptor":
            service.send(*range(12))

    engine.subscribe(source)
    engine(srx_fly([det], 10))
    assert documents.indices()[-1] == (0, 10)


def test_progress_can_be_drawn(det, engine):
    seen = []
    bars = ProgressBarManager()

    def hook(statuses):
        bars(statuses)
        for status in statuses or ():
            status.watch(lambda **progress: seen.append(progress))

    engine.waiting_hook = hook
    engine(srx_fly([det], 5))
    last = seen[-1]
    assert (last["name"], last["unit"], last["precision"]) == ("det", "frames", 0)
    assert (last["current"], last["initial"], last["target"]) == (5, 0, 5)


def test_the_lease_is_renewed_while_nothing_happens(make, service):
    make(lease_s=0.3).stage()
    asked = len(service.requests)
    time.sleep(0.5)
    assert service.current["lease_s"] == 0.3
    assert [name for name, _ in service.requests[asked:]].count("get") >= 2


def test_a_service_that_is_away_between_two_points_is_forgiven(make, service):
    det = make(lease_s=0.3)
    det.stage()
    det.trigger().wait(5)
    service.die()
    time.sleep(0.3)
    service.__enter__()
    det.trigger().wait(5)
    assert len(service.rows) == 1
