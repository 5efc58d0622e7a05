"""Both flavours of documents, read back by programs that know nothing of the other."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky_tiled_plugins import TiledWriter
from ophyd.sim import SynAxis
from tiled.structures.core import Spec

from srx_ophyd.device import SrxDatumDetector, SrxDetector
from srx_ophyd.drivers import SimplonDriver
from srx_ophyd.plans import srx_fly
from srx_service.simulators.pictures import picture
from tests.blocks import ROOT, blocks
from tests.conftest import pick_port
from tests.system import readers
from tests.system.conftest import API_KEY, Program, Programs

SHAPE = (60, 50)
SEED = 3
EVENTS = 3
DEVICES = {"stream": SrxDetector, "datum": SrxDatumDetector}
KINDS = [
    ("stream", "step", 1, ""),
    ("stream", "fly", 3, ""),
    *itertools.product(("datum",), ("step", "fly"), (1, 3), ("AD_HDF5",)),
    ("datum", "step", 1, "SRX_HDF5"),
]
"""Flavour, plan, frames an event, and the spec of a Resource."""


@pytest.fixture(scope="module")
def pair(shared_programs: Programs) -> tuple[Program, Program]:
    """A service and the simulated Eiger it listens to; it sends compressed frames."""
    y, x = SHAPE
    options = ("--shape", f"{y},{x}", "--seed", str(SEED))
    simulator = shared_programs.simulator("eiger", *options)
    entry = {"class": "Eiger", "dcu_port_purple": simulator.ports["stream_port"]}
    return shared_programs.service(entry), simulator


@pytest.fixture(scope="module")
def container(catalog: Any, shared_programs: Programs) -> Any:
    """Of Tiled, as databroker's API needs it."""
    # A folder's name is one that no other test of this session has.
    name = f"readers-{shared_programs.folder.name}-{os.getpid()}"
    specs = [Spec("CatalogOfBlueskyRuns", version="3.0")]
    return catalog.create_container(name, specs=specs)


@pytest.fixture(scope="module")
def recorded(
    pair: tuple[Program, Program], container: Any, shared_programs: Programs
) -> Path:
    """Where the runs are, in files and in the container."""
    engine = RunEngine({}, context_managers=[])
    writer = TiledWriter(
        container,
        spec_to_mimetype={"SRX_HDF5": "application/x-hdf5"},
        patches={"resource": in_frames},
    )
    engine.subscribe(writer)
    folder = shared_programs.folder / "runs"
    folder.mkdir()
    for kind in KINDS:
        readers.save(taken(engine, pair, shared_programs.data, *kind), folder)
    return folder


def in_frames(resource: dict[str, Any]) -> dict[str, Any]:
    """As docs/how-to/read-with-tiled.md has it."""
    resource["resource_kwargs"].setdefault("chunk_shape", [1])
    return resource


def taken(
    engine: Any,
    pair: tuple[Program, Program],
    data: Path,
    flavour: str,
    plan: str,
    n: int,
    spec: str,
) -> readers.Run:
    """Take a run and return it."""
    extra = {"spec": spec} if spec else {}
    det = make_device(pair, data, flavour, frames_per_event=n, **extra)
    documents: list[Any] = []
    engine(
        plan_of(det, flavour, plan),
        lambda *document: documents.append(json.loads(json.dumps(document))),
    )
    det.destroy()
    frames = pictures(EVENTS * n).reshape(EVENTS, n, *SHAPE)
    return readers.Run(flavour, plan, spec, documents, frames)


def make_device(
    pair: tuple[Program, Program], data: Path, flavour: str, **extra: Any
) -> Any:
    service, simulator = pair
    return DEVICES[flavour](
        service.url,
        name="det",
        driver=SimplonDriver(simulator.url),
        write_path_template=f"{data}/{{name}}_{{uid8}}.h5",
        num_events=EVENTS,
        exposure_s=0.002,
        **extra,
    )


def pictures(n: int) -> np.ndarray:
    """Return the first frames that the simulator sends in a series."""
    return np.stack([picture(k, SHAPE, "uint16", SEED) for k in range(n)])


def plan_of(det: Any, flavour: str, plan: str) -> Any:
    if plan == "step":
        return bp.scan([det], SynAxis(name="motor"), 0, 3, EVENTS)
    if flavour == "stream":
        return srx_fly([det], EVENTS)
    return bpp.stage_wrapper(bp.fly([det]), [det])


def run_python(*words: str) -> str:
    """Run it with these arguments and return what it printed."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("reader", readers.READERS)
def test_every_reader_finds_exactly_the_pixels_that_were_sent(
    recorded, tiled, container, reader
):
    words = ["-m", "tests.system.readers", reader, str(recorded)]
    if reader == "over_tiled":
        words += [tiled.url, API_KEY, container.item["id"]]
    run_python(*words)


@pytest.fixture
def device(pair, shared_programs, request) -> Iterator[Any]:
    """Of the flavour that the test names."""
    device = make_device(pair, shared_programs.data, request.param)
    yield device
    device.destroy()


@pytest.fixture
def follower() -> Iterator[Callable[..., Any]]:
    """A process that fills documents, as a subscriber: returns what it answered."""
    words = [sys.executable, "-m", "tests.system.readers", "follow"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as it:

        def ask(name: str, document: dict[str, Any]) -> Any:
            it.stdin.write(json.dumps([name, document]) + "\n")
            it.stdin.flush()
            return json.loads(it.stdout.readline())

        yield ask
        it.stdin.close()


def newest_state(pair: tuple[Program, Program]) -> str:
    """Return the state of the acquisition that was armed last."""
    service, _ = pair
    return service.get("/api/v1/acquisitions")["acquisitions"][0]["state"]


@pytest.mark.parametrize("device", ["datum"], indirect=True)
def test_another_process_fills_events_while_the_scan_goes_on(pair, device, follower):
    states, sums = [], []

    def look(name, document):
        answer = follower(name, document)
        if name == "event":
            states.append(newest_state(pair))
            sums.append(answer)

    engine = RunEngine({}, context_managers=[])
    engine(bp.count([device], num=EVENTS), look)
    assert states == ["running"] * EVENTS
    assert sums == [int(frame.sum()) for frame in pictures(EVENTS)]


@pytest.mark.parametrize("device", ["stream"], indirect=True)
def test_tiled_reads_frames_of_a_fly_scan_while_it_flies(pair, device, container):
    frames, read, uids = pictures(40), [], []

    def look(name, document):
        if name == "start":
            uids.append(document["uid"])
        elif name == "stream_datum":
            image = container.v3[uids[0]]["primary"]["det_image"]
            read.append(len(image))
            assert np.array_equal(image[read[-1] - 1], frames[read[-1] - 1])
            assert newest_state(pair) == "running"

    engine = RunEngine({}, context_managers=[])
    engine.subscribe(TiledWriter(container, batch_size=1))
    device.exposure_s.put(0.05)
    engine(srx_fly([device], 40), look)
    assert read == sorted(read)
    assert read[-1] == 40


def code_of(page: str, language: str, places: dict[str, str]) -> str:
    """Return a page's blocks as one text, with the places where tests have them."""
    found = [block for block in blocks(language) if block.file == f"docs/how-to/{page}"]
    assert found
    code = "\n".join(block.text for block in found)
    for there, here in places.items():
        code = code.replace(there, here)
    return code


@pytest.fixture
def places(pair, shared_programs) -> dict[str, str]:
    """What stands for the addresses and folders of the pages."""
    service, simulator = pair
    return {
        "http://localhost:5000": service.url,
        "http://localhost:8080": simulator.url,
        "/data": str(shared_programs.data),
        '"raw"': f'"raw-{os.getpid()}"',  # the catalog is not ours alone
    }


@pytest.fixture
def configured_tiled(programs, places) -> Program:
    """A Tiled server as its page configures one."""
    storage = programs.folder / "tiled"
    storage.mkdir()
    places["/var/lib/tiled"] = str(storage)
    config = programs.folder / "tiled.yml"
    config.write_text(code_of("read-with-tiled.md", "yaml", places))
    port = pick_port()
    words = ["tiled", "serve", "config", str(config), "--port", str(port)]
    words += ["--api-key", API_KEY]
    server = programs.start("tiled", words, f"http://127.0.0.1:{port}")
    server.wait_until(lambda: server.answers("/api/v1/"))
    return server


def test_the_page_on_tiled_can_be_followed(places, configured_tiled):
    places["http://localhost:8000"] = configured_tiled.url
    code = code_of("read-with-tiled.md", "python", places)
    code += "\nprint(*[name for name, _ in run.documents()])"
    shape, part, notes, documents = run_python("-c", code).splitlines()
    assert shape == "(3, 60, 50) ('time', 'y', 'x')"
    assert part == f"{pictures(2)[1].mean()} (10, 10)"
    assert notes == "None"
    assert documents.startswith("start descriptor ")


def test_the_page_on_databroker_can_be_followed(places, tiled):
    places["http://localhost:8000"] = tiled.url
    code = code_of("read-with-databroker.md", "python", places)
    assert run_python("-c", code).splitlines() == [
        *["(1, 60, 50)"] * 3,
        "('time', 'frame', 'y', 'x') (3, 1, 60, 50)",
        "srx_fly 1",
        "20 (60, 50) True",
    ]


def test_the_page_on_event_model_can_be_followed(places):
    code = code_of("read-with-event-model.md", "python", places)
    frames = pictures(3)
    afterwards = [f"(1, 60, 50) {frame.max()}" for frame in frames]
    meanwhile = [str(frame.mean()) for frame in frames]
    assert run_python("-c", code).splitlines() == [*afterwards, *meanwhile]
