"""The plans against the service, a simulated Eiger and Tiled, each a process."""

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky_tiled_plugins import TiledWriter

from srx_ophyd.device import SrxDetector
from srx_ophyd.drivers import SimplonDriver
from srx_ophyd.plans import srx_count_burst, srx_fly
from srx_service.simulators.pictures import picture

SHAPE = (60, 50)


@pytest.fixture(scope="module")
def pair(shared_programs):
    simulator = shared_programs.simulator("eiger", "--shape", "60,50")
    port = simulator.ports["stream_port"]
    entry = {"class": "Eiger", "dcu_port_purple": port}
    return shared_programs.service(entry), simulator


@pytest.fixture
def det(pair, shared_programs):
    service, simulator = pair
    det = SrxDetector(
        service.url,
        name="det",
        driver=SimplonDriver(simulator.url),
        write_path_template=f"{shared_programs.data}/{{name}}.h5",
        exposure_s=0.01,
    )
    yield det
    det.unstage()
    det.destroy()


@pytest.fixture
def engine(catalog):
    # No context managers: they catch SIGINT, which is pytest's here.
    engine = RunEngine({}, context_managers=[])
    engine.subscribe(TiledWriter(catalog, batch_size=1))
    yield engine
    if engine.state != "idle":
        engine.halt()


def pictures(frames):
    return np.stack([picture(k, SHAPE, "uint16") for k in range(frames)])


def fly(det, frames):
    """As a plan of a user's own has it, with what Bluesky itself offers."""
    yield from bps.prepare(det, frames, wait=True)
    yield from bps.stage(det, wait=True)
    yield from bps.open_run()
    yield from bps.declare_stream(det, name="fly", collect=True)
    yield from bps.clear_checkpoint()
    yield from bps.kickoff(det, wait=True)
    yield from bps.collect_while_completing([det], [det], 0.1, stream_name="fly")
    yield from bps.close_run()


def test_what_is_told_of_can_be_read_while_it_flies(engine, det, catalog):
    told, seen, uids = [0], [], []
    engine.subscribe(lambda _, start: uids.append(start["uid"]), "start")
    resources = {}

    def note(name, document):
        if name == "stream_resource":
            resources[document["uid"]] = document["data_key"]
        elif resources.get(document.get("stream_resource")) == "det_image":
            told.append(document["indices"]["stop"])

    def look(msg):
        # Between two collections: the file is ahead of the documents, mostly.
        if msg.command == "wait" and told[-1]:
            frames = catalog[uids[0]]["fly"]["det_image"].read()
            assert np.array_equal(frames, pictures(told[-1]))
            seen.append(len(frames))

    engine.subscribe(note)
    engine.msg_hook = look
    det.exposure_s.put(0.03)
    engine(bpp.finalize_wrapper(fly(det, 90), bps.unstage(det, wait=True)))
    seen.append(len(catalog[uids[0]]["fly"]["det_image"].read()))
    assert seen == sorted(seen)
    assert 0 < seen[0] < seen[-1] == told[-1] == 90
    run = catalog[uids[0]]
    assert np.array_equal(run["fly"]["det_image"].read(), pictures(90))


def test_how_many_frames_are_missing_can_be_read_back(engine, det, catalog):
    (uid,) = engine(srx_fly([det], 8))
    missing = catalog[uid]["primary_missing"]["det_frames_missing"]
    assert missing.read().tolist() == [0]


def test_bursts_can_be_read_back(engine, det, catalog):
    (uid,) = engine(srx_count_burst([det], 3, num=2))
    image = catalog[uid]["primary"]["det_image"]
    assert image.dims == ("time", "frame", "y", "x")
    assert np.array_equal(image.read(), pictures(6).reshape(2, 3, *SHAPE))
