"""The tutorial as somebody types it; its file, opened as another page says."""

import contextlib

import matplotlib as mpl
import numpy as np
import pytest
import yaml
from PIL import Image

from srx_service.simulators.pictures import picture
from tests.blocks import blocks, run_python
from tests.system.beamline import SEED, SHAPE, SIMULATE

TUTORIAL = "docs/tutorials/first-scan.md"
OPEN = "docs/how-to/open-a-file.md"
POINTS = 31


@pytest.fixture(scope="module")
def entry():
    """The tutorial's detector, as it stands in its YAML."""
    [block] = [block for block in blocks("yaml") if block.file == TUTORIAL]
    return yaml.safe_load(block.text)["first"]


@pytest.fixture(scope="module")
def session(entry, shared_programs):
    """What the tutorial's Python leaves behind, on ports that are free here."""
    simulator = shared_programs.simulator("eiger", *SIMULATE)
    kept = {key: entry[key] for key in ("class", "dcu_host_purple", "dset_name")}
    port = {"dcu_port_purple": simulator.ports["stream_port"]}
    places = {
        f"http://localhost:{entry['api_port']}": shared_programs.service(
            kept | port
        ).url,
        "http://localhost:8080": simulator.url,
        entry["write_root"]: str(shared_programs.data),
    }
    mpl.use("Agg")
    with contextlib.chdir(shared_programs.folder):
        session = run_python(TUTORIAL, places)
    yield session
    session["eiger"].destroy()
    session["plt"].close("all")


def test_the_tutorial_ends_with_a_plotted_scan(session, shared_programs):
    positions = [point["motor"] for point in session["points"]]
    assert np.allclose(positions, np.linspace(-1, 1, POINTS))
    plot = np.asarray(Image.open(shared_programs.folder / "first-scan.png"))
    assert len(np.unique(plot)) > 100


def test_its_file_opens_as_the_page_says(session, capsys):
    file = session["eiger"].file.get()
    read = run_python(OPEN, {"/data/scan_000001.h5": file})
    shape = (POINTS, *SHAPE)
    assert capsys.readouterr().out == f"{shape} {read['first'].dtype}\n{POINTS}\n"
    expected = picture(0, SHAPE, str(read["first"].dtype), SEED)
    assert np.array_equal(read["first"], expected)
    assert np.array_equal(read["there"], range(POINTS))
    assert read["region"][0] == expected[20:40, 30:60].sum()
    assert read["masked"].mask.any()
