"""ophyd-async's flavour of the device, with service, simulated detector and Tiled."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import hdf5plugin  # noqa: F401  registers the filters that files are read with
import httpx
import numpy as np
import pytest
from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import (
    DetectorTrigger,
    StaticPathProvider,
    TriggerInfo,
    UUIDFilenameProvider,
    init_devices,
)
from ophyd_async.sim import SimBlobDetector

from srx_ophyd.async_device import SrxAsyncDetector
from srx_ophyd.drivers import SimplonDriver
from srx_ophyd.plans import srx_fly
from srx_service.simulators.pictures import picture
from tests.blocks import run_python
from tests.system.beamline import (
    DSET,
    SEED,
    SHAPE,
    Beamline,
    is_exposing,
    make_device,
    paused_when,
    pictures,
    start,
)
from tests.system.conftest import Program, Programs

DOCUMENT = "docs/how-to/use-with-ophyd-async.md"


async def leave(det: SrxAsyncDetector) -> None:
    await det.unstage()


@contextlib.contextmanager
def at_beamline(
    pair: tuple[Program, Program], catalog: Any, data: Any
) -> Iterator[Any]:
    line: Any = Beamline(*pair, catalog)
    service, simulator = pair
    paths = StaticPathProvider(UUIDFilenameProvider(), data)
    with init_devices():
        det = SrxAsyncDetector(
            service.url, paths, driver=SimplonDriver(simulator.url), exposure_s=0.01
        )
    line.det = det
    yield line
    if line.engine.state != "idle":
        line.engine.halt()
    call_in_bluesky_event_loop(leave(det))
    det.client.close()
    det.driver.close()


@pytest.fixture(scope="module")
def pair(shared_programs: Programs) -> tuple[Program, Program]:
    return start(shared_programs, "eiger")


@pytest.fixture(scope="module")
def classic_pair(shared_programs: Programs) -> tuple[Program, Program]:
    return start(shared_programs, "detector")


@pytest.fixture
def beamline(
    pair: tuple[Program, Program], catalog: Any, shared_programs: Programs
) -> Iterator[Any]:
    """Its programs are shared: a test leaves them idle."""
    with at_beamline(pair, catalog, shared_programs.data) as line:
        yield line


def is_valid(beamline: Any, run: Any) -> bool:
    """True when validation changes nothing."""
    with pytest.warns(UserWarning, match="does not support remote validation"):
        valid = run.validate()
    return valid and "notes" not in beamline.catalog[run.item["id"]].metadata


def test_a_count_is_read_back_pixel_for_pixel(beamline):
    run = beamline.run(bp.count([beamline.det], num=4))
    stream = run["primary"]
    assert np.array_equal(stream["det"].read(), pictures(range(4)))
    assert stream["det"].dims == ("time", "y", "x")
    assert stream["det-frame_number"].read().tolist() == [0, 1, 2, 3]
    assert (np.diff(stream["det-timestamp"].read()) > 0).all()
    assert stream["det-frames_missing"].read().tolist() == [0] * 4
    sums = [one[one < np.iinfo(one.dtype).max].sum() for one in pictures(range(4))]
    assert stream["det-total_counts"].read().tolist() == sums
    assert is_valid(beamline, run)
    assert beamline.acquisitions()[0]["state"] == "done"


def test_several_frames_an_event_are_read_back(beamline):
    def plan():
        info = TriggerInfo(collections_per_event=3)
        yield from bps.prepare(beamline.det, info, wait=True)
        yield from bp.count([beamline.det], num=2)

    run = beamline.run(plan())
    frames = run["primary"]["det"]
    assert np.array_equal(frames.read(), pictures(range(6)).reshape(2, 3, *SHAPE))
    assert frames.dims == ("time", "frame", "y", "x")
    assert is_valid(beamline, run)


def test_a_fly_scan_is_read_back_pixel_for_pixel(beamline):
    run = beamline.run(srx_fly([beamline.det], 40))
    assert np.array_equal(run["primary"]["det"].read(), pictures(range(40)))
    assert is_valid(beamline, run)


def test_pulses_are_taken_from_when_it_is_prepared(beamline):
    det = beamline.det
    edge = TriggerInfo(
        trigger=DetectorTrigger.EXTERNAL_EDGE,
        livetime=0.02,
        number_of_events=3,
        collections_per_event=2,
    )

    def pulse(count):
        url = f"{beamline.simulator.url}/simulator/pulse"
        httpx.put(url, json={"value": count}, timeout=30.0).raise_for_status()

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(det, edge, wait=True)
        yield from bps.declare_stream(det, name="primary", collect=True)
        pulse(2)
        yield from bps.kickoff(det, wait=True)
        pulse(4)
        yield from bps.collect_while_completing([det], [det], stream_name="primary")

    run = beamline.run(plan())
    taken = run["primary"]["det"].read()
    assert np.array_equal(taken, pictures(range(6)).reshape(3, 2, *SHAPE))
    assert is_valid(beamline, run)


def test_flies_with_the_classic_one_and_ophyd_asyncs_own(
    beamline, classic_pair, shared_programs, tmp_path
):
    classic = make_device(*classic_pair, shared_programs.data, "detector")
    classic.name = "old"
    paths = StaticPathProvider(UUIDFilenameProvider(), tmp_path)
    with init_devices():
        blob = SimBlobDetector(paths)
    info = TriggerInfo(number_of_events=10, livetime=0.02)
    run = beamline.run(srx_fly([beamline.det, classic, blob], info))
    stream = run["primary"]
    assert np.array_equal(stream["det"].read(), pictures(range(10)))
    assert np.array_equal(stream["old_image"].read(), pictures(range(10)))
    assert stream["blob"].shape[0] == 10
    classic.destroy()


def test_a_pause_in_an_exposure_and_a_resume_lose_nothing(beamline):
    def plan():
        info = TriggerInfo(collections_per_event=2, livetime=0.4)
        yield from bps.prepare(beamline.det, info, wait=True)
        yield from bp.count([beamline.det], num=3)

    with paused_when(beamline, lambda: is_exposing(beamline, rows=[3])):
        beamline.engine(plan())
    (uid,) = beamline.engine.resume()
    taken = beamline.catalog[uid]["primary"]["det"].read()
    # A new series counts its frames from 0 again: the second event and the third.
    dtype = taken.dtype.name
    expected = [picture(k, SHAPE, dtype, SEED) for k in (0, 1, 0, 1, 2, 3)]
    assert np.array_equal(taken.reshape(6, *SHAPE), np.stack(expected))
    stored = beamline.acquisitions()[0]
    assert (stored["state"], stored["rows"]) == ("done", 6)


def test_an_abort_leaves_everything_idle(beamline):
    info = TriggerInfo(number_of_events=50, livetime=0.2)
    with paused_when(beamline, lambda: is_exposing(beamline, rows=range(1, 40))):
        beamline.engine(srx_fly([beamline.det], info))
    assert beamline.engine.state == "idle"
    assert beamline.acquisitions()[0]["state"] == "aborted"
    assert beamline.det.driver.state() == "detector is 'idle'"


def test_a_service_that_is_killed_fails_the_scan_with_its_cause(programs, catalog):
    with at_beamline(start(programs, "eiger"), catalog, programs.data) as line:

        def kill():
            line.wait_for_rows(5)
            line.service.kill()

        thread = threading.Thread(target=kill)
        thread.start()
        info = TriggerInfo(number_of_events=400, livetime=0.05)
        text = line.fails(srx_fly([line.det], info))
        thread.join()
        assert text.startswith("det: srx service")
        assert "unreachable" in text
        assert "of 400; acquisition" in text
        [file] = programs.data.glob("*.h5")
        assert f"file {file}" in text
        with h5py.File(file, swmr=True, libver="latest") as file:
            assert np.array_equal(file[DSET][:5], pictures(range(5)))


def test_the_document_can_be_followed(beamline, shared_programs):
    """docs/how-to/use-with-ophyd-async.md, block by block, in one session."""
    places = {
        "http://localhost:5000": beamline.service.url,
        "http://localhost:8080": beamline.simulator.url,
        "/data/": f"{shared_programs.data}/",
    }
    session = run_python(DOCUMENT, places)
    # the newest first: fly scan, bursts, count
    assert [one["rows"] for one in beamline.acquisitions()[:3]] == [50, 10, 3]
    for name in ("eiger", "pretended"):
        session[name].client.close()
        session[name].driver.close()
