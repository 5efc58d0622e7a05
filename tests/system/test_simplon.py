"""A DECTRIS detector in Bluesky: both streams, all trigger modes, every pixel."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import bluesky.plans as bp
import httpx
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import FailedStatus
from bluesky_tiled_plugins import TiledWriter

from srx_ophyd.device import SrxDetector
from srx_ophyd.driver import DriverError
from srx_ophyd.plans import srx_fly
from srx_ophyd.simplon import SimplonDriver
from srx_service.simulators.pictures import picture
from tests.blocks import run_python
from tests.system.outcome import opened, same

SHAPE, SEED = (64, 80), 11
SIMULATE = ("--shape", "64,80", "--seed", "11")
CLASSES = {"legacy": ("eiger", "Eiger"), "cbor": ("pilatus4", "DectrisStream2")}
DATASET = "/entry/instrument/eiger/data"
DOCUMENT = "docs/reference/simplon.md"


def start(programs, stream, *options):
    """A simulated detector and the service that receives its stream."""
    model, decoder = CLASSES[stream]
    simulator = programs.simulator(model, *SIMULATE, *options)
    port = simulator.ports["stream_port"]
    return programs.service({"class": decoder, "dcu_port_purple": port}), simulator


@pytest.fixture(scope="module")
def lines(shared_programs):
    """For each format of the stream, a service and its detector."""
    with ThreadPoolExecutor() as pool:
        started = {s: pool.submit(start, shared_programs, s) for s in CLASSES}
        return {stream: line.result() for stream, line in started.items()}


@pytest.fixture(params=CLASSES)
def stream(request):
    return request.param


@pytest.fixture
def line(lines, stream):
    return lines[stream]


@pytest.fixture
def engine():
    # No context managers: they catch SIGINT, which is pytest's here.
    return RunEngine({}, context_managers=[])


@pytest.fixture
def make(shared_programs):
    """make(line, driver's arguments, **device's): a detector for Bluesky."""
    made = []

    def device(line, arguments=None, **options):
        service, simulator = line
        det = SrxDetector(
            service.url,
            name="det",
            driver=SimplonDriver(simulator.url, **(arguments or {})),
            write_path_template=f"{shared_programs.data}/{{name}}_{{uid8}}.h5",
            **{"exposure_s": 0.01, **options},
        )
        made.append(det)
        return det

    yield device
    for det in made:
        det.destroy()


def put(simulator, path, value):
    url = f"{simulator.url}/{path}"
    return httpx.put(url, json={"value": value}, timeout=30).raise_for_status()


def check_file(det, frames, dtype="uint16"):
    """The file holds these frames, and is what it says."""
    with opened(det.file.get(), DATASET) as (images, _):
        expected = np.stack([picture(k, SHAPE, dtype, SEED) for k in frames])
        assert same(images[:], expected)


@pytest.mark.parametrize("mode", ["ints", "inte"])
def test_triggers_of_its_own_are_written(line, stream, make, engine, mode):
    det = make(line, {"stream": stream}, trigger_mode=mode, frames_per_event=2)
    engine(bp.count([det], num=2))
    check_file(det, range(4))
    engine(srx_fly([det], 5))
    check_file(det, range(10))


@pytest.mark.parametrize(("mode", "n"), [("exts", 3), ("exte", 1)])
def test_triggers_of_others_are_written(line, make, engine, mode, n):
    det = make(line, trigger_mode=mode, frames_per_event=n)
    pulses = threading.Thread(target=give_pulses, args=(line, det, 4))
    pulses.start()
    engine(bp.count([det], num=4))
    pulses.join()
    check_file(det, range(4 * n))


def give_pulses(line, det, count):
    """On the trigger input, once it is armed."""
    line[1].wait_until(lambda: det.driver.state() == "detector is 'ready'")
    put(line[1], "simulator/pulse", count)


@pytest.fixture
def thresholds(lines):
    """Two, and their difference: three channels."""
    keys = [f"threshold/{name}/mode" for name in ("2", "difference")]
    yield dict.fromkeys(keys, "enabled")
    for key in keys:
        put(lines["cbor"][1], f"detector/api/1.8.0/config/{key}", "disabled")


def test_several_thresholds_are_read_back(lines, make, engine, catalog, thresholds):
    engine.subscribe(TiledWriter(catalog, batch_size=1))
    det = make(lines["cbor"], {"config": thresholds})
    runs = [
        catalog[engine(plan)[0]] for plan in (bp.count([det], 2), srx_fly([det], 3))
    ]
    for run, count in zip(runs, (2, 3), strict=True):
        frames = run["primary"]["det_image"]
        assert frames.dims == ("time", "channel", "y", "x")
        shown = [picture(k, SHAPE, "uint16", SEED) for k in range(count + 2)]
        expected = np.stack([shown[k : k + 3] for k in range(count)])
        assert same(frames.read(), expected)


def test_longer_exposures_are_wider(lines, make, engine):
    det = make(lines["cbor"], {"period_s": 0.3}, exposure_s=0.2)
    engine(bp.count([det], num=1))
    check_file(det, range(1), "uint32")


@pytest.mark.parametrize("command", ["arm", "trigger", "disarm"])
def test_a_lost_answer_loses_nothing(lines, make, engine, command):
    det = make(lines["legacy"])
    put(lines["legacy"][1], "simulator/answers", f"lost@command/{command}")
    engine(bp.count([det], num=3))
    check_file(det, range(3))


def test_a_trigger_that_never_arrived_is_told(lines, make, engine):
    det = make(lines["legacy"], stall_timeout_s=1.0)
    put(lines["legacy"][1], "simulator/answers", "deaf@command/trigger")
    with pytest.raises(FailedStatus, match=r"no new frame .* detector is 'ready'"):
        engine(bp.count([det], num=3))
    assert det.driver.state() == "detector is 'idle'"


def test_a_service_of_the_other_stream_is_told_at_once(lines, make, engine):
    service, simulator = lines["legacy"][0], lines["cbor"][1]
    det = make((service, simulator))
    begun_s = time.monotonic()
    with pytest.raises(DriverError, match=r"streams 'cbor', .* class Eiger"):
        engine(bp.count([det]))
    assert time.monotonic() - begun_s < 20


def test_the_reference_can_be_followed(lines, shared_programs, capsys):
    """Block by block, in one session."""
    service, simulator = lines["cbor"]
    places = {
        "http://localhost:5000": service.url,
        "http://172.16.1.5": simulator.url,
        "/data/": f"{shared_programs.data}/",
    }
    session = run_python(DOCUMENT, places)
    told = "simulated Dectris PILATUS4 Si 1M - detector is 'idle'"
    assert told in capsys.readouterr().out
    check_file(session["det"], range(3))
    session["det"].destroy()
