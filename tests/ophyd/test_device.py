import threading

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky.protocols import (
    Collectable,
    Flyable,
    Pausable,
    Preparable,
    Triggerable,
    WritesStreamAssets,
)
from bluesky.utils import FailedStatus, RunEngineInterrupted
from ophyd.sim import SynAxis, SynGauss

from srx_ophyd.plans import srx_fly

PROTOCOLS = (
    Triggerable,
    Flyable,
    Collectable,
    Preparable,
    Pausable,
    WritesStreamAssets,
)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_is_what_bluesky_decides_by(det, protocol):
    assert isinstance(det, protocol)


def test_count_tells_of_every_durable_frame(engine, det, documents, service):
    engine(bp.count([det], num=3))
    point = ["stream_datum", "event"]
    head = ["start", "descriptor", "stream_resource"]
    assert documents.names() == [*head, *point * 3, "stop"]
    assert documents.indices() == [(0, 1), (1, 2), (2, 3)]
    assert service.rows == [(1, 0), (2, 0), (3, 0)]
    assert service.states == ["done"]


def test_scan_moves_between_frames(engine, det, documents):
    engine(bp.scan([det], SynAxis(name="motor"), 0, 2, 3))
    assert [one["data"]["motor"] for one in documents.of("event")] == [0, 1, 2]
    assert documents.indices() == [(0, 1), (1, 2), (2, 3)]


def test_the_descriptor_holds_the_true_shape(engine, det, documents, service):
    engine(bp.count([det]))
    [descriptor] = documents.of("descriptor")
    assert descriptor["data_keys"]["det_image"] == {
        "source": f"SRX:{service.url}",
        "dtype": "array",
        "shape": [4, 6],
        "dtype_numpy": "<u2",
        "dims": ["y", "x"],
        "external": "STREAM:",
        "object_name": "det",
    }
    assert descriptor["hints"]["det"] == {"fields": ["det_frames_missing"]}


def test_several_frames_make_one_event(engine, make, documents, service):
    engine(bp.count([make(frames_per_event=3)], num=2))
    [descriptor] = documents.of("descriptor")
    assert descriptor["data_keys"]["det_image"]["shape"] == [3, 4, 6]
    assert descriptor["data_keys"]["det_image"]["dims"] == ["frame", "y", "x"]
    assert documents.of("stream_resource")[0]["parameters"]["multiplier"] == 3
    assert documents.indices() == [(0, 1), (1, 2)]
    assert len(service.rows) == 6


def test_the_resource_is_the_file_as_readers_see_it(engine, make, documents, service):
    engine(bp.count([make(path_map={"/data": "/gpfs/raw"})]))
    [resource] = documents.of("stream_resource")
    file = service.current["file"].removeprefix("/data")
    assert resource["uri"] == f"file://localhost/gpfs/raw{file}"
    assert resource["mimetype"] == "application/x-hdf5"
    assert resource["parameters"] == {
        "dataset": "/entry/instrument/eiger/data",
        "chunk_shape": [1, 4, 6],
        "swmr": True,
    }


def test_the_configuration_is_in_the_descriptor(engine, make, documents, service):
    engine(bp.count([make(exposure_s=0.5, trigger_mode="ints")]))
    [descriptor] = documents.of("descriptor")
    configuration = descriptor["configuration"]["det"]["data"]
    assert configuration == {
        "det_exposure_s": 0.500001,  # as the detector took it
        "det_trigger_mode": "ints",
        "det_frames_per_event": 1,
        "det_num_events": 1,
        "det_url": service.url,
        "det_file": service.current["file"],
        "det_service_version": "1.2.3",
    }


def test_frames_that_never_came_are_counted(engine, det, documents, driver, service):
    driver.on_trigger = lambda number: service.send(missing=number == 2)
    engine(bp.count([det], num=3))
    missing = [one["data"]["det_frames_missing"] for one in documents.of("event")]
    assert missing == [0, 1, 0]


def test_frames_that_never_came_may_fail_the_plan(engine, make, driver, service):
    driver.held.set()
    driver.on_trigger = lambda number: service.send(missing=1)
    with pytest.raises(FailedStatus, match="1 frames never came"):
        engine(bp.count([make(on_missing="fail")]))


def test_srx_fly_tells_of_all_events(engine, det, documents, service):
    engine(srx_fly([det], 20))
    assert documents.names()[:3] == ["start", "descriptor", "stream_resource"]
    assert set(documents.names()[3:-1]) == {"stream_datum"}
    assert documents.indices()[0][0] == 0
    assert documents.indices()[-1][1] == 20
    assert documents.of("stop")[0]["exit_status"] == "success"
    assert (len(service.rows), service.states) == (20, ["done"])


def test_srx_fly_arms_the_detector_once(engine, make, driver):
    engine(srx_fly([make(frames_per_event=2)], 5))
    assert driver.calls == ["arm", "disarm"]
    assert driver.settings[0].frames == 10


def test_a_count_arms_the_detector_once(engine, det, driver):
    engine(bp.count([det], num=5))
    assert driver.calls == ["arm", "disarm"]


def test_two_kickoffs_go_on_in_one_stream(engine, det, documents, service):
    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def twice():
        yield from bps.declare_stream(det, name="fly", collect=True)
        for _ in range(2):
            yield from bps.prepare(det, 3, wait=True)
            yield from bps.kickoff(det, wait=True)
            yield from bps.complete(det, wait=True)
        yield from bps.collect(det, name="fly")

    engine(twice())
    assert documents.indices() == [(0, 6)]
    assert len(service.acquisitions) == 1


def test_stepping_and_flying_in_one_run_take_a_file_each(
    engine, det, documents, service
):
    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def both():
        yield from bps.trigger_and_read([det], name="step")
        yield from bps.prepare(det, 3, wait=True)
        yield from bps.declare_stream(det, name="fly", collect=True)
        yield from bps.kickoff(det, wait=True)
        yield from bps.complete(det, wait=True)
        yield from bps.collect(det, name="fly")

    engine(both())
    files = [one["file"] for one in service.acquisitions]
    uris = [one["uri"] for one in documents.of("stream_resource")]
    assert uris == [f"file://localhost{file}" for file in files]
    assert documents.indices() == [(0, 1), (0, 3)]
    assert [one["rows"] for one in service.acquisitions] == [1, 3]


def test_two_streams_of_steps_in_one_staging_are_refused(engine, det, documents):
    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def mixed():
        yield from bps.trigger_and_read([det], name="dark")
        yield from bps.trigger_and_read([det], name="primary")
        yield from bps.trigger_and_read([det], name="primary")

    with pytest.raises(RuntimeError, match="stage the device anew"):
        engine(mixed())


def test_a_change_of_configuration_arms_anew_and_goes_on(
    engine, det, documents, driver, service
):
    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def changing():
        yield from bps.trigger_and_read([det])
        yield from bps.configure(det, {"exposure_s": 0.2})
        yield from bps.trigger_and_read([det])
        yield from bps.trigger_and_read([det])

    engine(changing())
    assert documents.indices() == [(0, 1), (1, 2), (2, 3)]
    assert [one.exposure_s for one in driver.settings] == [0.0, 0.2]
    assert driver.calls == ["arm", "disarm", "arm", "disarm"]


def test_other_detectors_fit_in_the_same_event(engine, det, documents):
    motor = SynAxis(name="motor")
    spot = SynGauss("spot", motor, "motor", center=0, Imax=1, sigma=1)
    engine(bp.count([det, spot], num=2))
    assert set(documents.of("event")[0]["data"]) == {"det_frames_missing", "spot"}


def test_a_pause_in_an_exposure_loses_nothing(
    engine, det, documents, service, pause_at, driver
):
    pause_at(2)
    with pytest.raises(RunEngineInterrupted):
        engine(bp.count([det], num=3))
    engine.resume()
    assert documents.indices() == [(0, 1), (1, 2), (2, 3)]
    # The second exposure was interrupted, the third retook its point.
    assert service.rows == [(1, 0), (3, 0), (4, 0)]
    assert driver.calls == ["arm", "abort", "arm", "disarm"]
    assert documents.of("stop")[0]["exit_status"] == "success"


def test_a_pause_between_the_frames_of_an_event_loses_nothing(
    engine, make, documents, service, pause_at, driver
):
    pause_at(2)
    before = driver.on_trigger

    def one_of_three(number):
        if number == 2:
            service.send("of the interrupted exposure")
        before(number)

    driver.on_trigger = one_of_three
    with pytest.raises(RunEngineInterrupted):
        engine(bp.count([make(frames_per_event=3)], num=2))
    engine.resume()
    assert documents.indices() == [(0, 1), (1, 2)]
    assert service.rows == [(1, 0), (1, 1), (1, 2), (3, 0), (3, 1), (3, 2)]


def test_a_pause_between_read_and_save_loses_nothing(engine, det, documents, service):
    def interrupted_point():
        yield from bps.checkpoint()
        yield from bps.trigger(det, wait=True)
        yield from bps.create()
        yield from bps.read(det)
        if len(service.rows) == 1 and not pauses:
            pauses.append(True)
            yield from bps.pause()
        yield from bps.save()

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan():
        for _ in range(2):
            yield from interrupted_point()

    pauses = []
    with pytest.raises(RunEngineInterrupted):
        engine(plan())
    engine.resume()
    assert documents.indices() == [(0, 1), (1, 2)]
    assert service.rows == [(2, 0), (3, 0)]


def test_a_dropped_event_leaves_no_orphan(engine, det, documents, service):
    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([det])
        yield from bps.trigger(det, wait=True)
        yield from bps.create()
        yield from bps.read(det)
        yield from bps.drop()
        yield from bps.trigger_and_read([det])

    engine(plan())
    assert documents.indices() == [(0, 1), (1, 2)]
    assert service.rows == [(1, 0), (3, 0)]


def test_a_deferred_pause_does_not_touch_the_detector(
    engine, det, documents, driver, service
):
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
    engine, det, documents, service, pause_at, ending
):
    pause_at(2)
    with pytest.raises(RunEngineInterrupted):
        engine(bp.count([det], num=3))
    getattr(engine, ending)()
    assert engine.state == "idle"
    assert service.states == ["aborted"]
    assert service.rows == [(1, 0)]


def test_a_pause_ends_a_fly_scan_and_what_was_told_stays(
    engine, det, documents, service, pause_at
):
    pause_at(1)
    with pytest.raises(RunEngineInterrupted):
        engine(srx_fly([det], 50))
    assert engine.state == "idle"
    assert service.states == ["aborted"]
    assert documents.names()[-1] == "stop"


def test_an_aborted_fly_scan_tells_only_of_what_is_there(
    engine, det, documents, service, driver
):
    def some(number):
        service.send(*range(7))
        driver.held.set()
        threading.Timer(0.5, engine.request_pause).start()

    driver.on_trigger = some
    with pytest.raises(RunEngineInterrupted):
        engine(srx_fly([det], 50))
    assert documents.indices() == [(0, 7)]
    assert service.rows == [*range(7)]
