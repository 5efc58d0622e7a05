"""The detector with Resource and Datum documents; see test_flavours, too."""

import time

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky.protocols import (
    Collectable,
    EventCollectable,
    Flyable,
    Pausable,
    Preparable,
    Readable,
    Triggerable,
    WritesExternalAssets,
    WritesStreamAssets,
)
from bluesky.utils import FailedStatus, RunEngineInterrupted

from srx_ophyd.device import SrxDatumDetector
from srx_ophyd.drivers import DriverError

PROTOCOLS = (
    Readable,
    Triggerable,
    Flyable,
    Collectable,
    EventCollectable,
    Preparable,
    Pausable,
    WritesExternalAssets,
)


@pytest.fixture
def make_datum(make):
    return lambda **arguments: make(SrxDatumDetector, **arguments)


@pytest.fixture
def det(make_datum):
    return make_datum()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_is_what_bluesky_decides_by(det, protocol):
    assert isinstance(det, protocol)


def test_is_not_taken_for_one_with_stream_documents(det):
    assert not isinstance(det, WritesStreamAssets)


def test_count_tells_of_every_durable_frame(engine, det, documents, service):
    engine(bp.count([det], num=3))
    point = ["datum", "event"]
    head = ["start", "descriptor", "resource"]
    assert documents.names() == [*head, *point * 3, "stop"]
    assert documents.rows() == [0, 1, 2]
    assert service.rows == [(1, 0), (2, 0), (3, 0)]
    assert service.states == ["done"]
    for event in documents.of("event"):
        assert event["filled"] == {"det_image": False}


def test_the_descriptor_holds_the_true_shape(engine, det, documents, service):
    engine(bp.count([det]))
    [descriptor] = documents.of("descriptor")
    assert descriptor["data_keys"]["det_image"] == {
        "source": f"SRX:{service.url}",
        "dtype": "array",
        "shape": [1, 4, 6],  # as handlers of area detectors return them
        "dtype_numpy": "<u2",
        "dims": ["frame", "y", "x"],
        "external": "FILESTORE:",
        "object_name": "det",
    }


def test_a_resource_names_the_file_as_readers_see_it(
    engine, make_datum, documents, service
):
    engine(bp.count([make_datum(path_map={"/data": "/gpfs/raw"}, root="/gpfs")]))
    [resource] = documents.of("resource")
    file = service.current["file"].removeprefix("/data/")
    assert (resource["root"], resource["resource_path"]) == ("/gpfs", f"raw/{file}")
    assert (resource["spec"], resource["path_semantics"]) == ("AD_HDF5", "posix")
    assert resource["resource_kwargs"] == {"frame_per_point": 1}
    assert resource["run_start"] == documents.of("start")[0]["uid"]


def test_another_handler_is_told_where_the_frames_are(engine, make_datum, documents):
    engine(bp.count([make_datum(spec="SRX_HDF5", frames_per_event=3)]))
    [resource] = documents.of("resource")
    assert resource["spec"] == "SRX_HDF5"
    assert resource["resource_kwargs"] == {
        "frame_per_point": 3,
        "dataset": "/entry/instrument/eiger/data",
        "chunk_shape": [1, 3, 4, 6],
    }


def test_a_root_that_is_no_prefix_is_refused_at_stage(make_datum, service):
    det = make_datum(root="/gpfs")
    with pytest.raises(ValueError, match=r"root '/gpfs' is no prefix of /data/det"):
        det.stage()
    assert service.states == ["done"]


def test_several_frames_make_one_event(engine, make_datum, documents, service):
    engine(bp.count([make_datum(frames_per_event=3)], num=2))
    [descriptor] = documents.of("descriptor")
    assert descriptor["data_keys"]["det_image"]["shape"] == [3, 4, 6]
    [resource] = documents.of("resource")
    assert resource["resource_kwargs"] == {"frame_per_point": 3}
    assert documents.rows() == [0, 1]
    assert len(service.rows) == 6


@pytest.mark.parametrize("n", [1, 2])
def test_a_plain_fly_needs_no_more_than_staging(
    engine, make_datum, documents, service, n
):
    det = make_datum(frames_per_event=n, num_events=5)
    engine(bpp.stage_wrapper(bp.fly([det]), [det]))
    data = ["datum"] * 5
    names = ["start", "descriptor", "resource", *data, "event_page", "stop"]
    assert documents.names() == names
    assert documents.rows() == [0, 1, 2, 3, 4]
    assert (len(service.rows), service.states) == (5 * n, ["done"])
    assert documents.of("event_page")[0]["filled"] == {"det_image": [False] * 5}


def test_a_fly_goes_into_the_stream_the_device_names(engine, make_datum, documents):
    det = make_datum(fly_stream="fast")
    engine(bpp.stage_wrapper(bp.fly([det]), [det]))
    assert documents.of("descriptor")[0]["name"] == "fast"


def test_events_are_collected_while_it_flies(engine, det, documents, driver, service):
    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan():
        driver.held.set()  # the test sends the frames itself
        yield from bps.prepare(det, 4, wait=True)
        yield from bps.kickoff(det, wait=True)
        yield from bps.complete(det, group="flown")
        for wanted in (3, 4):
            service.send(*range(wanted - len(service.rows)))
            while det._staging.rows < wanted:
                yield from bps.sleep(0.01)
            yield from bps.read(det)  # to look at the scalars takes nothing away
            yield from bps.collect(det)
        yield from bps.wait("flown")
        driver.held.clear()

    engine(plan())
    assert [len(page["seq_num"]) for page in documents.of("event_page")] == [3, 1]
    assert documents.rows() == [0, 1, 2, 3]


def test_stepping_and_flying_in_one_run_take_a_file_each(
    engine, make_datum, documents, service
):
    det = make_datum(fly_stream="fly")

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def both():
        yield from bps.trigger_and_read([det], name="step")
        yield from bps.prepare(det, 3, wait=True)
        yield from bps.kickoff(det, wait=True)
        yield from bps.complete(det, wait=True)
        yield from bps.collect(det)

    engine(both())
    files = [one["file"] for one in service.acquisitions]
    paths = [f"/{one['resource_path']}" for one in documents.of("resource")]
    assert paths == files
    assert det.file.get() == files[-1]
    assert [one["name"] for one in documents.of("descriptor")] == ["step", "fly"]
    assert documents.rows() == [0, 0, 1, 2]


def test_two_streams_of_steps_in_one_staging_are_refused(engine, det, documents):
    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def mixed():
        yield from bps.trigger_and_read([det], name="dark")
        yield from bps.trigger_and_read([det], name="primary")

    with pytest.raises(RuntimeError, match="stage the device anew"):
        engine(mixed())
    assert documents.rows() == [0]


def test_two_fly_runs_in_one_staging_are_refused(engine, det, documents):
    def twice():
        yield from bp.fly([det])
        yield from bp.fly([det])

    with pytest.raises(RuntimeError, match="stage the device anew"):
        engine(bpp.stage_wrapper(twice(), [det]))
    assert len(documents.of("event_page")) == 1


def test_of_a_fly_that_fails_the_events_that_came_are_told(
    engine, det, documents, driver, service
):
    def send_some_and_fail(_number):
        service.send("a", "b", "c")
        while det._staging.rows < 3:
            time.sleep(0.01)
        driver.error = DriverError("no more photons")

    driver.on_trigger = send_some_and_fail
    det.num_events.put(10)
    with pytest.raises(FailedStatus, match="no more photons"):
        engine(bpp.stage_wrapper(bp.fly([det]), [det]))
    assert documents.rows() == [0, 1, 2]
    assert documents.names()[-2:] == ["event_page", "stop"]
    assert documents.of("descriptor")[0]["hints"] == {"det": {"fields": []}}
    assert (service.states, len(service.rows)) == (["aborted"], 3)
    driver.error, driver.on_trigger = None, lambda _number: None
    documents.all.clear()
    engine(bp.count([det]))
    assert documents.rows() == [0]


def test_an_aborted_fly_leaves_the_service_idle(engine, det, service, pause_at):
    pause_at(1)
    with pytest.raises(RunEngineInterrupted):
        engine(bpp.stage_wrapper(bp.fly([det]), [det]))
    engine.abort()
    assert service.states == ["aborted"]
    assert engine.state == "idle"


def test_without_a_plan_it_reads_its_scalars_alone(det):
    assert set(det.read()) == {"det_frames_missing", "det_total_counts"}
    assert list(det.collect_asset_docs()) == []
