"""The detector with StreamResource and StreamDatum documents."""

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
from tests.ophyd.fake_driver import FakeDriver
from tests.ophyd.fake_service import FakeService

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
    # Three keys: image, timestamp, frame number.
    point = [*["stream_datum"] * 3, "event"]
    head = ["start", "descriptor", *["stream_resource"] * 3]
    assert documents.names() == [*head, *point * 3, "stop"]
    assert documents.indices() == [(0, 1), (1, 2), (2, 3)]
    assert service.rows == [(1, 0), (2, 0), (3, 0)]
    assert service.states == ["done"]


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
    assert descriptor["hints"]["det"] == {
        "fields": ["det_frames_missing", "det_total_counts"]
    }


def test_several_frames_make_one_event(engine, make, documents, service):
    engine(bp.count([make(frames_per_event=3)], num=2))
    [descriptor] = documents.of("descriptor")
    assert descriptor["data_keys"]["det_image"]["shape"] == [3, 4, 6]
    assert descriptor["data_keys"]["det_image"]["dims"] == ["frame", "y", "x"]
    assert documents.resources()[0]["parameters"]["multiplier"] == 3
    assert documents.indices() == [(0, 1), (1, 2)]
    assert len(service.rows) == 6


def test_the_resource_is_the_file_as_readers_see_it(engine, make, documents, service):
    engine(bp.count([make(path_map={"/data": "/gpfs/raw"})]))
    [resource] = documents.resources()
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
        "det_on_missing": "fill",
        "det_url": service.url,
        "det_file": service.current["file"],
        "det_path_template": "/data/{name}.h5",
        "det_dataset": "/entry/instrument/eiger/data",
        "det_detector_class": "Eiger",
        "det_service_version": "1.2.3",
    }


def test_frames_that_never_came_may_fail_the_plan(engine, make, driver, service):
    driver.held.set()
    driver.on_trigger = lambda number: service.send(missing=1)
    with pytest.raises(FailedStatus, match="frame 1 of 1 never came"):
        engine(bp.count([make(on_missing="fail")]))


def test_srx_fly_tells_of_all_events(engine, det, documents, service):
    engine(srx_fly([det], 20))
    assert documents.names()[:2] == ["start", "descriptor"]
    data = documents.names()[5 : 5 + len(documents.of("stream_datum"))]
    assert documents.names()[2:5] == ["stream_resource"] * 3
    assert set(data) == {"stream_datum"}
    assert documents.indices()[0][0] == 0
    assert documents.indices()[-1][1] == 20
    assert documents.of("stop")[0]["exit_status"] == "success"
    assert (len(service.rows), service.states) == (20, ["done"])


def test_srx_fly_arms_the_detector_once(engine, make, driver):
    engine(srx_fly([make(frames_per_event=2)], 5))
    assert driver.calls == ["arm", "disarm"]
    assert driver.settings[0].frames == 10


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
    uris = [one["uri"] for one in documents.resources()]
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


def test_other_detectors_fit_in_the_same_event(engine, det, documents):
    motor = SynAxis(name="motor")
    spot = SynGauss("spot", motor, "motor", center=0, Imax=1, sigma=1)
    engine(bp.count([det, spot], num=2))
    assert set(documents.of("event")[0]["data"]) == {
        "det_frames_missing",
        "det_total_counts",
        "spot",
    }


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


def test_what_each_frame_has_beside_its_pixels_has_keys(engine, det, documents):
    engine(bp.count([det], num=2))
    [descriptor] = documents.of("descriptor")
    keys = descriptor["data_keys"]
    times, numbers = keys["det_timestamp"], keys["det_frame_number"]
    assert (times["dtype"], times["dtype_numpy"]) == ("number", "<f8")
    assert (numbers["dtype"], numbers["dtype_numpy"]) == ("integer", "<u4")
    for ending, column in (
        ("_timestamp", "timestamp"),
        ("_frame_number", "sequence_number"),
    ):
        [resource] = documents.resources(ending)
        dataset = f"/entry/instrument/eiger/{column}"
        assert resource["uri"] == documents.resources()[0]["uri"]
        assert resource["parameters"]["dataset"] == dataset
        assert documents.indices(ending) == documents.indices() == [(0, 1), (1, 2)]


@pytest.mark.parametrize(("n", "shape"), [(1, []), (3, [3])])
def test_keys_beside_the_image_have_a_value_a_frame(engine, make, documents, n, shape):
    engine(bp.count([make(frames_per_event=n)]))
    [descriptor] = documents.of("descriptor")
    assert descriptor["data_keys"]["det_timestamp"]["shape"] == shape
    assert descriptor["data_keys"]["det_frame_number"]["shape"] == shape


def test_keys_beside_the_image_can_be_chosen(engine, make, documents):
    engine(bp.count([make(frame_keys=["frame_number"])]))
    keys = [one["data_key"] for one in documents.of("stream_resource")]
    assert keys == ["det_image", "det_frame_number"]


def test_an_unknown_key_beside_the_image_is_refused(make):
    with pytest.raises(ValueError, match=r"'time': there are timestamp, frame_number"):
        make(frame_keys=["time"])


def test_a_service_that_tells_no_columns_is_used_without(
    engine, det, documents, service, caplog
):
    service.columns = {}
    engine(bp.count([det]))
    keys = [one["data_key"] for one in documents.of("stream_resource")]
    assert keys == ["det_image"]
    assert "does not tell where timestamp, frame_number are" in caplog.text


def test_detectors_of_different_rates_are_collected_alike(engine, make, documents):
    with FakeService() as service:
        slow = FakeDriver(service)
        slow.on_trigger = lambda number: slow._halt.wait(0.2)
        dets = [
            make(frames_per_event=2),
            make(url=service.url, name="slow", driver=slow, frame_keys=()),
        ]
        engine(srx_fly(dets, 6))
    assert documents.indices("det_image") == documents.indices("slow_image")
    assert documents.indices("det_timestamp") == documents.indices("slow_image")
    assert documents.indices("slow_image")[-1][1] == 6
    descriptor = documents.of("descriptor")[0]
    shapes = [descriptor["data_keys"][f"{det.name}_image"]["shape"] for det in dets]
    assert shapes == [[2, 4, 6], [4, 6]]
