"""Files named by metadata or by a path provider, and read back through Tiled."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky_tiled_plugins import TiledWriter
from ophyd_async.core import StaticFilenameProvider, StaticPathProvider

from srx_ophyd.device import SrxDetector
from srx_ophyd.drivers import SimplonDriver
from srx_ophyd.plans import srx_fly
from srx_service.simulators.pictures import picture
from tests.blocks import run_python
from tests.system.conftest import Program, Programs

SHAPE = (12, 10)
SIMULATE = ("--shape", "12,10", "--seed", "7")
UID8 = "[0-9a-f]{8}"


@pytest.fixture(scope="module")
def pair(shared_programs: Programs) -> tuple[Program, Program]:
    simulator = shared_programs.simulator("eiger", *SIMULATE)
    port = simulator.ports["stream_port"]
    return shared_programs.service(
        {"class": "Eiger", "dcu_port_purple": port}
    ), simulator


@pytest.fixture
def engine(catalog: Any) -> RunEngine:
    # No context managers: they catch SIGINT, which is pytest's here.
    engine = RunEngine({}, context_managers=[])
    engine.subscribe(TiledWriter(catalog, batch_size=1))
    return engine


@pytest.fixture
def make(pair: tuple[Program, Program]) -> Iterator[Callable[..., SrxDetector]]:
    made: list[SrxDetector] = []

    def make_device(where: object, **arguments: Any) -> SrxDetector:
        service, simulator = pair
        det = SrxDetector(
            service.url,
            name="det",
            driver=SimplonDriver(simulator.url),
            write_path_template=where,
            **arguments,
        )
        made.append(det)
        return det

    yield make_device
    for det in made:
        det.destroy()


@pytest.fixture
def readers_data(shared_programs: Programs) -> Path:
    """Where readers see what the service writes."""
    link = shared_programs.folder / "readers"
    if not link.exists():
        link.symlink_to(shared_programs.data)
    return link


def frames_of(run: Any) -> np.ndarray:
    return np.asarray(run["primary"]["det_image"].read())


def uri_of(run: Any) -> str:
    [source] = run["primary"]["det_image"].data_sources()
    return source.assets[0].data_uri


def test_files_are_named_by_the_runs_they_hold(engine, make, catalog, shared_programs):
    data = shared_programs.data
    engine.md.update(scan_id=41, sample={"name": "iron foil"})
    det = make(f"{data}/{{sample.name}}/{{scan_id:05d}}.h5", md=engine.md)
    for plan, frames in ((bp.count([det], num=2), 2), (srx_fly([det], 3), 3)):
        (uid,) = engine(plan)
        run = catalog[uid]
        scan_id = run.metadata["start"]["scan_id"]
        file = re.escape(f"{data}/iron_foil/{scan_id:05d}_") + UID8 + r"\.h5"
        assert re.fullmatch(file, det.file.get())
        assert uri_of(run) == f"file://localhost{det.file.get()}"
        taken = [picture(k, SHAPE, "uint16", 7) for k in range(frames)]
        assert np.array_equal(frames_of(run), np.stack(taken))
    assert scan_id == 43


@pytest.mark.parametrize("told_by", ["provider", "map"])
def test_readers_find_files_that_they_see_elsewhere(
    engine, make, catalog, shared_programs, readers_data, told_by
):
    data, name = shared_programs.data, StaticFilenameProvider(told_by)
    if told_by == "provider":
        uri = f"file://localhost{readers_data}/"
        det = make(StaticPathProvider(name, data, uri))
    else:
        path_map = {str(data): str(readers_data)}
        det = make(StaticPathProvider(name, data), path_map=path_map)
    for suffix in ("", f"_{UID8}"):  # the second time there is such a file
        (uid,) = engine(bp.count([det]))
        file = Path(det.file.get())
        assert file.parent == data
        assert re.fullmatch(rf"{told_by}{suffix}\.h5", file.name)
        assert uri_of(catalog[uid]) == f"file://localhost{readers_data}/{file.name}"
        assert np.array_equal(
            frames_of(catalog[uid])[0], picture(0, SHAPE, "uint16", 7)
        )


def test_a_file_of_somebody_else_is_never_overwritten(engine, make, shared_programs):
    data = shared_programs.data
    (data / "mine.h5").write_text("keep me")
    det = make(StaticPathProvider(StaticFilenameProvider("mine"), data))
    engine(bp.count([det]))
    assert re.fullmatch(rf"mine_{UID8}\.h5", Path(det.file.get()).name)
    assert (data / "mine.h5").read_text() == "keep me"


def test_the_document_can_be_followed(pair, shared_programs, capsys):
    """docs/how-to/choose-file-names.md, block by block, in one session."""
    service, simulator = pair
    places = {
        "http://localhost:5000": service.url,
        "http://localhost:8080": simulator.url,
        '"/data': f'"{shared_programs.data}',
    }
    session = run_python("docs/how-to/choose-file-names.md", places)
    printed = capsys.readouterr().out.strip()
    path = rf"{shared_programs.data}/\d{{4}}/iron_foil/eiger_00001_{UID8}\.h5"
    assert re.fullmatch(path, printed)
    for name in ("eiger", "elsewhere"):
        session[name].destroy()
