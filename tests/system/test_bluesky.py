"""Bluesky, the device, the service, a simulated detector and Tiled, all real."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import hdf5plugin  # noqa: F401  registers the filters that files are read with
import numpy as np
import pytest
from ophyd.sim import SynAxis

from srx_ophyd.device import SrxDetector
from srx_ophyd.plans import srx_fly
from srx_service.simulators.pictures import picture
from tests.blocks import run_python
from tests.system.beamline import (
    DSET,
    SEED,
    SHAPE,
    Beamline,
    at_beamline,
    frames_of,
    is_exposing,
    make_device,
    paused_when,
    pictures,
    start,
)
from tests.system.conftest import Program, Programs


@pytest.fixture(params=["eiger", "detector"], scope="module")
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def pair(kind: str, shared_programs: Programs) -> tuple[Program, Program]:
    return start(shared_programs, kind)


@pytest.fixture
def beamline(
    pair: tuple[Program, Program], kind: str, catalog: Any, shared_programs: Programs
) -> Iterator[Beamline]:
    """Its programs are shared: a test leaves them idle."""
    with at_beamline(pair, catalog, shared_programs.data, kind) as line:
        yield line


@pytest.fixture
def own_beamline(programs: Programs, catalog: Any) -> Iterator[Beamline]:
    """Its programs are the test's own, to be killed."""
    pair = start(programs, "eiger")
    with at_beamline(pair, catalog, programs.data, "eiger") as line:
        yield line


only_eiger = pytest.mark.parametrize("kind", ["eiger"], scope="module", indirect=True)


def test_a_count_is_read_back_through_tiled_pixel_for_pixel(beamline):
    run = beamline.run(bp.count([beamline.det], num=5))
    assert np.array_equal(frames_of(run), pictures(range(5)))
    assert beamline.acquisitions()[0]["state"] == "done"
    assert run["primary"]["det_frames_missing"].read().tolist() == [0] * 5


def test_a_scan_is_read_back_with_its_positions(beamline):
    motor = SynAxis(name="motor")
    run = beamline.run(bp.scan([beamline.det], motor, 0, 3, 4))
    assert np.array_equal(frames_of(run), pictures(range(4)))
    assert run["primary"]["motor"].read().tolist() == [0, 1, 2, 3]


def test_a_fly_scan_is_read_back_pixel_for_pixel(beamline):
    run = beamline.run(srx_fly([beamline.det], 40))
    assert np.array_equal(frames_of(run), pictures(range(40)))


@only_eiger
def test_several_frames_an_event_are_read_back(beamline):
    beamline.det.frames_per_event.put(3)
    run = beamline.run(bp.count([beamline.det], num=2))
    expected = pictures(range(6)).reshape(2, 3, *SHAPE)
    assert np.array_equal(frames_of(run), expected)
    assert run["primary"]["det_image"].dims == ("time", "frame", "y", "x")


@only_eiger
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("plan", ["count", "fly"])
def test_validation_finds_nothing_to_mend(beamline, n, plan):
    det = beamline.det
    det.frames_per_event.put(n)
    steps = bp.count([det], num=6) if plan == "count" else srx_fly([det], 6)
    run = beamline.run(steps)
    numbers = run["primary"]["det_frame_number"].read()
    assert np.array_equal(np.ravel(numbers), range(6 * n))
    times_s = np.ravel(run["primary"]["det_timestamp"].read())
    assert (np.diff(times_s) >= 0).all()
    assert run.metadata["start"]["time"] < times_s[0]
    assert times_s[-1] < run.metadata["stop"]["time"]
    with pytest.warns(UserWarning, match="does not support remote validation"):
        assert run.validate()
    assert "notes" not in beamline.catalog[run.item["id"]].metadata


@only_eiger
def test_a_run_can_be_read_while_it_goes_on(beamline):
    seen, numbers = [], []

    def look(number):
        # Between two points: the last one told of is readable now.
        run = beamline.catalog[beamline.documents[0][1]["uid"]]
        seen.append(frames_of(run))
        numbers.append([*run["primary"]["det_frame_number"].read()])

    def plan():
        for number in range(3):
            yield from bps.trigger_and_read([beamline.det])
            look(number)

    beamline.run(bpp.stage_wrapper(bpp.run_wrapper(plan()), [beamline.det]))
    assert [len(one) for one in seen] == [1, 2, 3]
    assert np.array_equal(seen[-1], pictures(range(3)))
    assert numbers == [[0], [0, 1], [0, 1, 2]]


@only_eiger
def test_detectors_of_different_rates_share_a_stream(beamline, programs):
    other = start(programs, "eiger")
    words = {"name": "slow", "exposure_s": 0.1}
    slow = make_device(*other, programs.data, "eiger", **words)
    fast = beamline.det
    fast.frames_per_event.put(2)
    try:
        run = beamline.run(srx_fly([fast, slow], 5))
    finally:
        slow.destroy()
    assert np.array_equal(frames_of(run).reshape(-1, *SHAPE), pictures(range(10)))
    slow_frames = np.asarray(run["primary"]["slow_image"].read())
    assert np.array_equal(slow_frames, pictures(range(5)))


@only_eiger
def test_the_file_is_complete_and_opens_without_swmr(beamline):
    beamline.run(bp.count([beamline.det], num=3))
    with h5py.File(beamline.det.file.get()) as file:
        assert file[DSET].shape == (3, *SHAPE)
        assert file["/entry/data/data"].shape == (3, *SHAPE)


def test_a_pause_in_an_exposure_and_a_resume_lose_nothing(beamline):
    beamline.det.exposure_s.put(0.4)
    beamline.det.frames_per_event.put(2)
    with paused_when(beamline, lambda: is_exposing(beamline, rows=[3])):
        beamline.engine(bp.count([beamline.det], num=3))
    (uid,) = beamline.engine.resume()
    taken = frames_of(beamline.catalog[uid])
    # A new series counts its frames from 0 again: the second event and the third.
    dtype = taken.dtype.name
    kinds = [picture(k, SHAPE, dtype, SEED) for k in (0, 1, 0, 1, 2, 3)]
    assert np.array_equal(taken.reshape(6, *SHAPE), np.stack(kinds))
    stored = beamline.acquisitions()[0]
    assert (stored["state"], stored["rows"]) == ("done", 6)
    assert stored["counts"]["missing"] == 0


@only_eiger
@pytest.mark.parametrize("plan", ["count", "fly"])
def test_an_abort_leaves_everything_idle(beamline, plan):
    beamline.det.exposure_s.put(0.2)
    det = beamline.det
    steps = bp.count([det], num=50) if plan == "count" else srx_fly([det], 50)
    with paused_when(beamline, lambda: is_exposing(beamline, rows=range(2, 40))):
        beamline.engine(steps)
    if beamline.engine.state == "paused":
        beamline.engine.abort()
    assert beamline.acquisitions()[0]["state"] == "aborted"
    assert beamline.service.get("/status")["state"] == "idle"
    assert det.driver.state() == "detector is 'idle'"


def test_the_next_run_after_an_abort_is_whole(beamline):
    beamline.det.exposure_s.put(0.2)
    with paused_when(beamline, lambda: is_exposing(beamline, rows=range(1, 40))):
        beamline.engine(bp.count([beamline.det], num=50))
    beamline.engine.abort()
    beamline.det.exposure_s.put(0.01)
    run = beamline.run(bp.count([beamline.det], num=3))
    assert np.array_equal(frames_of(run), pictures(range(3)))


def test_a_service_that_is_killed_in_a_scan_fails_it_with_its_cause(own_beamline):
    own_beamline.det.exposure_s.put(0.1)

    def kill():
        own_beamline.wait_for_rows(3)
        own_beamline.service.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    text = own_beamline.fails(bp.count([own_beamline.det], num=100))
    thread.join()
    assert "unreachable" in text
    assert "at frame 0 of 1; acquisition" in text
    assert own_beamline.det.file.get() in text
    with h5py.File(own_beamline.det.file.get(), swmr=True, libver="latest") as file:
        told = sum(name == "event" for name, _ in own_beamline.documents)
        assert len(file[DSET]) >= told >= 2


def test_a_simulator_that_is_killed_in_a_fly_scan_fails_it_with_its_cause(own_beamline):
    own_beamline.det.exposure_s.put(0.05)

    def kill():
        own_beamline.wait_for_rows(5)
        own_beamline.simulator.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    text = own_beamline.fails(srx_fly([own_beamline.det], 200))
    thread.join()
    assert "detector http" in text
    assert "of 200; acquisition" in text
    newest = own_beamline.acquisitions()[0]
    assert (newest["state"], newest["rows"] >= 5) == ("aborted", True)
    with h5py.File(newest["file"]) as file:
        assert np.array_equal(file[DSET][:5], pictures(range(5)))


def test_frames_that_are_lost_on_the_way_are_holes_and_counted(programs, catalog):
    pair = start(programs, "eiger", "--faults", "drop=0.1")
    with at_beamline(pair, catalog, programs.data, "eiger") as line:
        line.det.exposure_s.put(0.001)
        line.engine(in_spite_of_a_lost_tail(line.det, 200))
        [acquisition] = line.acquisitions()
        with h5py.File(acquisition["file"]) as file:
            taken, holes = file[DSET][:], file["/entry/instrument/eiger/missing_frames"]
            lost = [*holes[:]]
    assert len(lost) == acquisition["counts"]["missing"] > 0
    assert acquisition["holes"] == lost[-100:]
    there = np.delete(np.arange(len(taken)), lost)
    assert np.array_equal(taken[there], pictures(there))
    assert (taken[lost] == np.iinfo(taken.dtype).max).all()


def in_spite_of_a_lost_tail(det: SrxDetector, frames: int) -> Any:
    """Fly; when the very last frames are lost too, that is a failure for itself."""

    def nothing(_error: Exception) -> Any:
        yield from bps.null()

    plan = srx_fly([det], frames)
    return bpp.contingency_wrapper(plan, except_plan=nothing, auto_raise=False)


@only_eiger
def test_a_second_client_is_told_who_is_in_the_way(beamline):
    other = make_device(beamline.service, beamline.simulator, Path("/"), "eiger")
    beamline.det.stage()
    with pytest.raises(Exception, match="is in use: acquisition"):
        other.stage()
    assert beamline.det.driver.state() == "detector is 'ready'"
    beamline.det.unstage()
    assert beamline.acquisitions()[0]["state"] == "done"
    other.destroy()


@only_eiger
def test_the_document_can_be_followed(beamline, tiled, shared_programs, capsys):
    """docs/how-to/use-with-bluesky.md, block by block, in one session."""
    places = {
        "http://localhost:5000": beamline.service.url,
        "http://localhost:8080": beamline.simulator.url,
        "http://localhost:8000": tiled.url,
        "/data/": f"{shared_programs.data}/",
    }
    session = run_python("docs/how-to/use-with-bluesky.md", places)
    assert capsys.readouterr().out.endswith("(3, 120, 100) uint16\n")
    session["eiger"].destroy()
    session["catalog"].context.http_client.close()
