"""What the detector does alike with either flavour of documents."""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky.utils import RunEngineInterrupted
from ophyd.sim import SynAxis, SynGauss

from srx_ophyd.device import SrxDatumDetector, SrxDetector
from srx_ophyd.plans import declare_fly_streams


@pytest.fixture(params=[SrxDetector, SrxDatumDetector])
def make_either(make, request):
    return lambda **arguments: make(request.param, **arguments)


@pytest.fixture
def det(make_either):
    return make_either()


@pytest.fixture
def motor():
    return SynAxis(name="motor")


def in_one_run(plan, det):
    return bpp.stage_wrapper(bpp.run_wrapper(plan), [det])


def point(det, ending):
    """One event as plans make it, but for its end."""
    yield from bps.checkpoint()
    yield from bps.trigger(det, wait=True)
    yield from bps.create()
    yield from bps.read(det)
    yield from ending()


@pytest.mark.parametrize("n", [1, 3])
def test_count(engine, make_either, documents, driver, service, n):
    engine(bp.count([make_either(frames_per_event=n)], num=3))
    assert documents.rows() == [0, 1, 2]
    assert (len(service.rows), service.states) == (3 * n, ["done"])
    # Armed once, and triggered for each point.
    assert (driver.calls, driver.triggers) == (["arm", "disarm"], 3)


@pytest.mark.parametrize("n", [1, 3])
def test_scan(engine, make_either, documents, motor, n):
    engine(bp.scan([make_either(frames_per_event=n)], motor, 0, 2, 3))
    assert [one["data"]["motor"] for one in documents.of("event")] == [0, 1, 2]
    assert documents.rows() == [0, 1, 2]


def test_list_scan(engine, det, documents, motor):
    engine(bp.list_scan([det], motor, [0, 5, 1]))
    assert [one["data"]["motor"] for one in documents.of("event")] == [0, 5, 1]
    assert documents.rows() == [0, 1, 2]


@pytest.mark.parametrize("n", [1, 3])
def test_fly(engine, make_either, documents, service, n):
    det = make_either(frames_per_event=n, num_events=5)
    plan = declare_fly_streams(bp.fly([det]), [det])
    engine(bpp.stage_wrapper(plan, [det]))
    assert documents.rows() == [*range(5)]
    assert (len(service.rows), service.states) == (5 * n, ["done"])


def test_a_fly_that_is_not_staged_is_told_how(engine, det):
    with pytest.raises(RuntimeError, match=r"det must be staged first.*stage_wrapper"):
        engine(declare_fly_streams(bp.fly([det]), [det]))


@pytest.mark.parametrize("collects_between", [True, False])
def test_two_kickoffs_go_on_in_one_stream(
    engine, det, documents, service, collects_between
):
    def twice():
        for _ in range(2):
            yield from bps.prepare(det, 3, wait=True)
            yield from bps.kickoff(det, wait=True)
            yield from bps.complete(det, wait=True)
            if collects_between:
                yield from bps.collect(det)
        yield from bps.collect(det)

    engine(declare_fly_streams(in_one_run(twice(), det), [det]))
    assert documents.rows() == [*range(6)]
    assert len(service.acquisitions) == 1


def test_other_detectors_fit_in_the_same_event(engine, det, documents, motor):
    spot = SynGauss("spot", motor, "motor", center=0, Imax=1, sigma=1)
    engine(bp.count([det, spot], num=2))
    assert {"det_frames_missing", "spot"} < set(documents.of("event")[0]["data"])
    assert documents.rows() == [0, 1]


def test_frames_that_never_came_are_counted(engine, det, documents, driver, service):
    driver.on_trigger = lambda number: service.send(missing=number == 2)
    engine(bp.count([det], num=3))
    missing = [one["data"]["det_frames_missing"] for one in documents.of("event")]
    assert missing == [0, 1, 0]
    assert documents.rows() == [0, 1, 2]


def test_the_number_of_missing_frames_is_read_by_itself(
    engine, det, documents, driver, service
):
    driver.on_trigger = lambda number: service.send(missing=1)
    times = []

    def plan():
        yield from bps.trigger(det, wait=True)
        yield from bps.read(det)  # in no event
        times.append(det.frames_missing.timestamp)
        yield from bps.create("missing")
        yield from bps.read(det.frames_missing)
        yield from bps.save()

    engine(in_one_run(plan(), det))
    [event] = documents.of("event")
    assert event["data"] == {"det_frames_missing": 1}
    assert event["timestamps"] == {"det_frames_missing": times[0]}
    assert documents.rows() == []


def test_a_change_of_configuration_goes_on_in_the_file(
    engine, det, documents, driver, service
):
    def changing():
        yield from bps.trigger_and_read([det])
        yield from bps.configure(det, {"exposure_s": 0.2})
        yield from bps.trigger_and_read([det])
        yield from bps.trigger_and_read([det])

    engine(in_one_run(changing(), det))
    assert documents.rows() == [0, 1, 2]
    exposures = [
        one["configuration"]["det"]["data"]["det_exposure_s"]
        for one in documents.of("descriptor")
    ]
    assert exposures == [pytest.approx(0, abs=1e-5), pytest.approx(0.2, abs=1e-5)]
    assert len(documents.resources() + documents.of("resource")) == 1
    assert driver.calls == ["arm", "disarm", "arm", "disarm"]
    assert len(service.acquisitions) == 1


def test_a_pause_in_an_exposure_loses_nothing(
    engine, det, documents, service, pause_at, driver
):
    pause_at(2)
    with pytest.raises(RunEngineInterrupted):
        engine(bp.count([det], num=3))
    engine.resume()
    assert documents.rows() == [0, 1, 2]
    # The second exposure was interrupted, the third retook its point.
    assert service.rows == [(1, 0), (3, 0), (4, 0)]
    assert driver.calls == ["arm", "abort", "arm", "disarm"]
    assert documents.of("stop")[0]["exit_status"] == "success"


def test_a_pause_between_the_frames_of_an_event_loses_nothing(
    engine, make_either, documents, service, pause_at, driver
):
    pause_at(2)
    before = driver.on_trigger

    def one_of_three(number):
        if number == 2:
            service.send("of the interrupted exposure")
        before(number)

    driver.on_trigger = one_of_three
    with pytest.raises(RunEngineInterrupted):
        engine(bp.count([make_either(frames_per_event=3)], num=2))
    engine.resume()
    assert documents.rows() == [0, 1]
    assert service.rows == [(1, 0), (1, 1), (1, 2), (3, 0), (3, 1), (3, 2)]


def test_a_fly_that_is_paused_is_flown_again(
    engine, make_either, documents, service, pause_at
):
    det = make_either(num_events=5)
    pause_at(1)
    plan = declare_fly_streams(bp.fly([det]), [det])
    with pytest.raises(RunEngineInterrupted):
        engine(bpp.stage_wrapper(plan, [det]))
    engine.resume()
    assert documents.rows() == [*range(5)]
    assert service.rows == [(2, frame) for frame in range(5)]
    assert documents.of("stop")[0]["exit_status"] == "success"


@pytest.mark.parametrize(("at", "left"), [(1, [(2, 0), (3, 0)]), (2, [(1, 0), (3, 0)])])
def test_a_pause_between_read_and_save_loses_nothing(
    engine, det, documents, service, driver, at, left
):
    def pause_once():
        if driver.triggers == at and not pauses:
            pauses.append(True)
            yield from bps.pause()
        yield from bps.save()

    def plan():
        for _ in range(2):
            yield from point(det, pause_once)

    pauses = []
    with pytest.raises(RunEngineInterrupted):
        engine(in_one_run(plan(), det))
    engine.resume()
    assert documents.rows() == [0, 1]
    assert service.rows == left


def test_a_pause_after_the_save_retakes_nothing(engine, det, documents, service):
    def plan():
        for number in range(2):
            yield from point(det, bps.save)
            yield from bps.checkpoint()
            if not number:
                yield from bps.pause()

    with pytest.raises(RunEngineInterrupted):
        engine(in_one_run(plan(), det))
    engine.resume()
    assert documents.rows() == [0, 1]
    assert service.rows == [(1, 0), (2, 0)]


@pytest.mark.parametrize(
    ("endings", "left"),
    [
        ([bps.drop, bps.save, bps.save], [(2, 0), (3, 0)]),
        ([bps.save, bps.drop, bps.save], [(1, 0), (3, 0)]),
        ([bps.save, bps.save, bps.drop], [(1, 0), (2, 0)]),
    ],
)
def test_a_dropped_event_leaves_no_orphan(
    engine, det, documents, service, endings, left
):
    def plan():
        for ending in endings:
            yield from point(det, ending)

    engine(in_one_run(plan(), det))
    assert documents.rows() == [0, 1]
    assert service.rows == left


def test_a_deferred_pause_does_not_touch_the_detector(engine, det, driver, service):
    driver.on_trigger = lambda number: (
        engine.request_pause(defer=True) if number == 2 else None
    )
    with pytest.raises(RunEngineInterrupted):
        engine(bp.count([det], num=3))
    engine.resume()
    assert driver.calls == ["arm", "disarm"]
    assert service.rows == [(1, 0), (2, 0), (3, 0)]


@pytest.mark.parametrize("ending", ["abort", "stop"])
def test_ending_a_paused_scan_leaves_service_and_engine_idle(
    engine, det, service, pause_at, ending
):
    pause_at(2)
    with pytest.raises(RunEngineInterrupted):
        engine(bp.count([det], num=3))
    getattr(engine, ending)()
    assert engine.state == "idle"
    assert service.states == ["aborted"]
    assert service.rows == [(1, 0)]
