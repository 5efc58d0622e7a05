import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky.utils import RunEngineInterrupted

from srx_ophyd.plans import declare_fly_streams, srx_fly
from tests.ophyd.fake_driver import FakeDriver
from tests.ophyd.fake_service import FakeService


@pytest.fixture
def second(make):
    """Another detector, with a service of its own."""
    with FakeService() as service:
        yield make(url=service.url, name="b", driver=FakeDriver(service))


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
    resources = {one["uid"]: one["data_key"] for one in documents.of("stream_resource")}
    assert sorted(resources.values()) == ["b_image", "det_image"]
    told = dict.fromkeys(resources.values(), 0)
    for datum in documents.of("stream_datum"):
        indices = datum["indices"]
        assert told[resources[datum["stream_resource"]]] == indices["start"]
        told[resources[datum["stream_resource"]]] = indices["stop"]
    assert told == {"b_image": 10, "det_image": 10}


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
