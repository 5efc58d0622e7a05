import sys

import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky.utils import FailedStatus, ProgressBarManager, RunEngineInterrupted
from ophyd.sim import SynSignal
from ophyd_async.core import (
    StaticPathProvider,
    TriggerInfo,
    UUIDFilenameProvider,
    init_devices,
)
from ophyd_async.sim import SimBlobDetector

from srx_ophyd.device import SrxDatumDetector
from srx_ophyd.driver import DriverError
from srx_ophyd.plans import declare_fly_streams, srx_count_burst, srx_fly
from tests.ophyd.fake_driver import FakeDriver
from tests.ophyd.fake_service import FakeService

IMAGES = ("det_image", "b_image", "blob")


@pytest.fixture
def second(make):
    """Another detector, with a service of its own."""
    with FakeService() as service:
        yield make(url=service.url, name="b", driver=FakeDriver(service))


@pytest.fixture
def blob(engine, tmp_path):
    """A detector of ophyd-async, simulated by it, which writes files of its own."""
    provider = StaticPathProvider(UUIDFilenameProvider(), tmp_path)
    with init_devices():
        blob = SimBlobDetector(provider)
    return blob  # noqa: RET504  the name is where init_devices takes its own from


@pytest.fixture
def gauge():
    """A detector that knows nothing of frames."""
    return SynSignal(name="gauge", func=lambda: 7)


def streams(documents):
    """Return the descriptors by the names of their streams."""
    return {one["name"]: one for one in documents.of("descriptor")}


def told(documents):
    """Return up to which index StreamDatum documents tell of images, by data key."""
    resources = {one["uid"]: one["data_key"] for one in documents.of("stream_resource")}
    told = dict.fromkeys(resources.values(), 0)
    for datum in documents.of("stream_datum"):
        key = resources[datum["stream_resource"]]
        assert told[key] == datum["indices"]["start"]
        told[key] = datum["indices"]["stop"]
    return {key: stop for key, stop in told.items() if key in IMAGES}


def test_the_run_tells_what_was_asked_for(engine, det, documents):
    engine(srx_fly([det], 5, md={"sample": "lysozyme"}))
    [start] = documents.of("start")
    assert start["plan_name"] == "srx_fly"
    assert (start["detectors"], start["num_events"]) == (["det"], 5)
    assert start["sample"] == "lysozyme"


def test_without_a_number_each_detector_flies_as_it_is_prepared(
    engine, make, documents
):
    engine(srx_fly([make(num_events=6)]))
    assert documents.indices()[-1][1] == 6


def test_the_stream_can_be_named(engine, det, documents):
    engine(srx_fly([det], 2, stream="fly"))
    assert documents.of("descriptor")[0]["name"] == "fly"


def test_detectors_of_different_rates_share_a_stream(engine, det, second, documents):
    second.driver.on_trigger = lambda number: second.driver._halt.wait(0.3)
    engine(srx_fly([det, second], 10))
    assert told(documents) == {"b_image": 10, "det_image": 10}


def test_a_pause_before_the_exposure_begins_ends_the_run(engine, det, driver, service):
    driver.held.set()
    driver.on_trigger = lambda number: engine.request_pause()
    with pytest.raises(RunEngineInterrupted):
        engine(srx_fly([det], 5))
    assert (engine.state, service.states) == ("idle", ["aborted"])


def test_plans_that_declare_nothing_can_fly_too(engine, det, documents):
    det.num_events.put(4)
    plan = declare_fly_streams(bp.fly([det]), [det])
    engine(bpp.stage_wrapper(plan, [det]))
    assert documents.names()[:2] == ["start", "descriptor"]
    assert documents.indices() == [(0, 4)]


def test_each_run_of_fly_scans_in_one_staging_has_its_file(
    engine, det, documents, service
):
    det.num_events.put(4)

    def twice():
        for _ in range(2):
            yield from declare_fly_streams(bp.fly([det]), [det])

    engine(bpp.stage_wrapper(twice(), [det]))
    assert documents.indices() == [(0, 4), (0, 4)]
    assert [one["rows"] for one in service.acquisitions] == [4, 4]


def test_several_flyers_of_a_plan_that_collects_each_have_a_stream_each(
    engine, det, second, documents
):
    det.num_events.put(4)
    second.num_events.put(3)
    plan = declare_fly_streams(bp.fly([det, second]), [det, second])
    engine(bpp.stage_wrapper(plan, [det, second]))
    assert sorted(streams(documents)) == ["b_primary", "det_primary"]
    assert told(documents) == {"b_image": 3, "det_image": 4}


def test_it_can_fly_while_another_plan_counts(engine, det, gauge, documents):
    det.num_events.put(5)
    plan = bpp.fly_during_wrapper(bp.count([gauge], num=2), [det])
    engine(bpp.stage_wrapper(declare_fly_streams(plan, [det], "fly"), [det]))
    assert sorted(streams(documents)) == ["fly", "primary"]
    assert (told(documents), len(documents.of("event"))) == ({"det_image": 5}, 2)


def test_it_can_fly_with_datum_documents_while_another_plan_counts(
    engine, make, gauge, documents
):
    det = make(SrxDatumDetector, num_events=5, fly_stream="fly")
    plan = bpp.fly_during_wrapper(bp.count([gauge], num=2), [det])
    engine(bpp.stage_wrapper(plan, [det]))
    assert sorted(streams(documents)) == ["fly", "primary"]
    assert (len(documents.of("datum")), len(documents.of("event"))) == (5, 2)


def test_flyers_that_write_no_stream_documents_need_no_declaration(
    engine, make, documents
):
    det = make(SrxDatumDetector, num_events=3)
    engine(bpp.stage_wrapper(declare_fly_streams(bp.fly([det]), [det]), [det]))
    assert len(documents.of("datum")) == 3


def test_how_many_frames_are_missing_is_in_the_documents(
    engine, det, second, service, driver, documents
):
    driver.on_trigger = lambda number: service.send(missing=2)
    engine(srx_fly([det, second], 5))
    assert sorted(streams(documents)) == ["primary", "primary_missing"]
    [event] = documents.of("event")
    assert event["data"] == {"det_frames_missing": 2, "b_frames_missing": 0}


def test_nothing_is_hinted_at_that_a_stream_has_not(engine, det, documents):
    engine(srx_fly([det], 3))
    engine(bp.count([det]))
    for descriptor in documents.of("descriptor"):
        for hints in descriptor["hints"].values():
            assert set(hints["fields"]) <= set(descriptor["data_keys"])
    assert documents.of("descriptor")[-1]["hints"]["det"]["fields"]


def test_each_detector_can_be_prepared_with_something_else(
    engine, det, second, documents
):
    info = TriggerInfo(number_of_events=6, livetime=0.5)
    engine(srx_fly([det, second], 6, prepare={"b": info}))
    assert told(documents) == {"b_image": 6, "det_image": 6}
    assert second.driver.settings[-1].exposure_s == 0.5


@pytest.mark.parametrize(
    "value",
    [3, {"num_events": 3}, TriggerInfo(number_of_events=3)],
    ids=lambda value: type(value).__name__,
)
def test_what_prepare_takes_is_taken(engine, det, documents, value):
    engine(srx_fly([det], value))
    assert (documents.of("start")[0]["num_events"], documents.indices()[-1][1]) == (
        3,
        3,
    )


def test_a_detector_that_is_not_there_cannot_be_prepared(engine, det):
    with pytest.raises(ValueError, match="no detector c; there are det"):
        engine(srx_fly([det], prepare={"c": 4}))


def test_what_writes_no_stream_documents_is_told_how_to_fly(engine, make):
    with pytest.raises(ValueError, match="det writes no stream documents: fly it with"):
        engine(srx_fly([make(SrxDatumDetector)], 3))


def test_a_detector_is_armed_once(engine, det, driver):
    engine(srx_fly([det], 5))
    assert driver.calls.count("arm") == 1


def test_a_detector_of_ophyd_async_flies_along(engine, det, blob, documents):
    engine(srx_fly([det, blob], 4))
    assert told(documents).pop("det_image") == told(documents).pop("blob") == 4
    assert sorted(streams(documents)) == ["primary", "primary_missing"]


def test_ophyd_async_need_not_be_there(engine, det, documents, monkeypatch):
    monkeypatch.delitem(sys.modules, "ophyd_async.core")
    engine(srx_fly([det], 2))
    engine(srx_count_burst([det], 2))
    assert [stop["exit_status"] for stop in documents.of("stop")] == ["success"] * 2


def test_the_error_of_one_of_two_detectors_is_what_is_told(
    engine, det, second, service, driver, documents
):
    def fail(_number):
        service.send(0, 1)
        driver.error = DriverError("too hot")

    driver.on_trigger = fail
    second.driver.held.set()
    with pytest.raises(FailedStatus, match="det: too hot") as caught:
        engine(srx_fly([det, second], 5))
    [stop] = documents.of("stop")
    assert (stop["exit_status"], stop["reason"]) == ("fail", str(caught.value))
    assert "primary_missing" not in streams(documents)
    assert (service.states, second.driver.calls[-1]) == (["aborted"], "abort")


@pytest.mark.parametrize("plan", [bp.count, srx_fly])
def test_progress_bars_are_drawn(engine, det, driver, plan, capsys):
    det.frames_per_event.put(5)
    # A bar is drawn for what takes longer than 0.2 s.
    driver.on_trigger = lambda number: driver._halt.wait(0.5)
    engine.waiting_hook = ProgressBarManager()
    engine(plan([det]))
    assert "det:   0%|" in capsys.readouterr().out


def test_bursts_are_events_of_several_frames(engine, det, gauge, service, documents):
    engine(srx_count_burst([det, gauge], 3, num=2, md={"sample": "lysozyme"}))
    [start], [descriptor] = documents.of("start"), documents.of("descriptor")
    assert (start["plan_name"], start["num_points"]) == ("srx_count_burst", 2)
    assert (start["frames_per_event"], start["sample"]) == (3, "lysozyme")
    assert descriptor["data_keys"]["det_image"]["shape"] == [3, 4, 6]
    assert [event["data"]["gauge"] for event in documents.of("event")] == [7, 7]
    assert (told(documents), len(service.rows)) == ({"det_image": 2}, 6)


def test_bursts_have_the_same_shape_as_datum_documents(engine, make, documents):
    engine(srx_count_burst([make(SrxDatumDetector)], 3, num=2))
    keys = documents.of("descriptor")[0]["data_keys"]
    assert keys["det_image"]["shape"] == [3, 4, 6]
    assert len(documents.of("datum")) == len(documents.of("event")) == 2


def test_after_bursts_an_event_is_what_it_was(engine, make):
    det = make(frames_per_event=2)
    engine(srx_count_burst([det], 3))
    assert det.frames_per_event.get() == 2


def test_after_bursts_that_fail_an_event_is_what_it_was(engine, det, driver):
    driver.error = DriverError("too hot")
    with pytest.raises(FailedStatus, match="too hot"):
        engine(srx_count_burst([det], 3))
    assert det.frames_per_event.get() == 1


def test_after_bursts_that_are_aborted_an_event_is_what_it_was(engine, det, pause_at):
    pause_at(2)
    with pytest.raises(RunEngineInterrupted):
        engine(srx_count_burst([det], 3, num=3))
    assert det.frames_per_event.get() == 3
    engine.abort()
    assert det.frames_per_event.get() == 1


def test_bursts_that_are_paused_go_on(engine, det, pause_at, documents):
    pause_at(2)
    with pytest.raises(RunEngineInterrupted):
        engine(srx_count_burst([det], 3, num=3))
    engine.resume()
    assert told(documents) == {"det_image": 3}


def test_bursts_of_no_frames_are_refused(engine, det):
    with pytest.raises(ValueError, match="at least 1"):
        engine(srx_count_burst([det], 0))
    assert det.frames_per_event.get() == 1


def test_bursts_need_a_detector_that_takes_them(engine, gauge):
    with pytest.raises(ValueError, match="takes bursts of frames: gauge"):
        engine(srx_count_burst([gauge], 3))


def test_a_detector_of_ophyd_async_takes_bursts_along(engine, det, blob, documents):
    engine(srx_count_burst([det, blob], 3, num=2))
    keys = documents.of("descriptor")[0]["data_keys"]
    assert keys["det_image"]["shape"][0] == keys["blob"]["shape"][0] == 3
    assert told(documents)["blob"] == told(documents)["det_image"] == 2
