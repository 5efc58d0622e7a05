"""Either flavour of documents, read back through Tiled."""

from collections.abc import Iterator
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import hdf5plugin  # noqa: F401  registers the filters that files are read with
import numpy as np
import pytest
from bluesky_tiled_plugins.writing.tiled_writer import BATCH_SIZE
from ophyd.sim import SynAxis

from srx_ophyd.device import SrxDatumDetector, SrxDetector
from srx_ophyd.plans import declare_fly_streams
from tests.system.beamline import (
    SHAPE,
    Beamline,
    at_beamline,
    frames_of,
    pictures,
    start,
)
from tests.system.conftest import Program, Programs


@pytest.fixture(scope="module")
def pair(shared_programs: Programs) -> tuple[Program, Program]:
    return start(shared_programs, "eiger")


@pytest.fixture(params=[SrxDetector, SrxDatumDetector])
def beamline(
    pair: tuple[Program, Program],
    catalog: Any,
    shared_programs: Programs,
    request: pytest.FixtureRequest,
) -> Iterator[Beamline]:
    """With a TiledWriter as it is by default."""
    folder, flavour = shared_programs.data, request.param
    with at_beamline(pair, catalog, folder, "eiger", flavour, BATCH_SIZE) as line:
        yield line


PLANS = {
    "count": lambda det: bp.count([det], num=4),
    "list_scan": lambda det: bp.list_scan([det], SynAxis(name="motor"), [0, 2, 1, 4]),
    "fly": lambda det: bpp.stage_wrapper(
        declare_fly_streams(bp.fly([det]), [det]), [det]
    ),
}


@pytest.mark.parametrize(("plan", "n"), [("count", 2), ("list_scan", 1), ("fly", 3)])
def test_frames_are_read_back_from_every_plan(beamline, plan, n):
    det = beamline.det
    det.frames_per_event.put(n)
    det.num_events.put(4)
    run = beamline.run(PLANS[plan](det))
    taken = frames_of(run)
    assert len(taken) == 4
    assert np.array_equal(taken.reshape(-1, *SHAPE), pictures(range(4 * n)))


def test_frames_are_read_back_when_the_configuration_changes(beamline):
    @bpp.stage_decorator([beamline.det])
    @bpp.run_decorator()
    def changing():
        for exposure_s in (0.01, 0.02):
            yield from bps.configure(beamline.det, {"exposure_s": exposure_s})
            for _ in range(2):
                yield from bps.trigger_and_read([beamline.det])

    taken = frames_of(beamline.run(changing()))
    # A new series counts its frames from 0 again.
    assert np.array_equal(taken.reshape(-1, *SHAPE), pictures([0, 1, 0, 1]))
    descriptors = [one for name, one in beamline.documents if name == "descriptor"]
    assert len(descriptors) == 2


def test_one_run_steps_and_flies(beamline):
    det = beamline.det

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def both():
        yield from bps.trigger_and_read([det], name="steps")
        yield from bps.trigger_and_read([det], name="steps")
        if isinstance(det, SrxDetector):
            yield from bps.declare_stream(det, name="primary", collect=True)
        for number in (3, 4):
            yield from bps.prepare(det, number, wait=True)
            yield from bps.kickoff(det, wait=True)
            yield from bps.complete(det, wait=True)
            yield from bps.collect(det)

    run = beamline.run(both())
    stepped = frames_of(run, "steps").reshape(-1, *SHAPE)
    flown = frames_of(run).reshape(-1, *SHAPE)
    assert np.array_equal(stepped, pictures(range(2)))
    # Armed for 3 frames and then for 4: each series counts from 0.
    assert np.array_equal(flown, pictures([*range(3), *range(4)]))
