"""The IPython profile in examples/, in an IPython of its own."""

import io
import json
import os
import shutil
import subprocess
import sys

import bluesky.plans as bp
import httpx
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.callbacks.json_writer import JSONLinesWriter
from ophyd.sim import SynSignal
from PIL import Image

from srx_service.simulators.pictures import picture
from tests.blocks import ROOT, blocks
from tests.system.conftest import API_KEY

PROFILE = ROOT / "examples" / "ipython_profile" / "profile_srx"
SHAPE = (60, 50)
TIMEOUT_S = 100
NOWHERE = "http://127.0.0.1:9"
"""Where nothing listens."""


@pytest.fixture
def ipython(tmp_path):
    """Run code in an IPython that was started with these words; return what it says."""

    def run(code, *words, **environment):
        places = {"SRX_SERVICE": NOWHERE, "SRX_SIMPLON": NOWHERE, "SRX_TILED": NOWHERE}
        done = subprocess.run(
            [sys.executable, "-m", "IPython", "--colors=NoColor", *words, "-c", code],
            env=os.environ
            | {"IPYTHONDIR": str(tmp_path / "ipython"), "MPLBACKEND": "Agg"}
            | {"SRX_NOTES": str(tmp_path / "notes"), "TILED_API_KEY": API_KEY}
            | places
            | environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        said = done.stdout + done.stderr
        assert (done.returncode, "Traceback" in said) == (0, False), said
        return done.stdout

    return run


@pytest.fixture
def profile(tmp_path):
    """A copy: IPython writes its history and more into a profile."""
    shutil.copytree(PROFILE, tmp_path / "profile_srx")
    return f"--profile-dir={tmp_path / 'profile_srx'}"


DOCUMENT = "docs/how-to/use-in-ipython.md"
AFTERWARDS = """
print("flown", *frames.shape, *sorted(run))
np.save("frames.npy", catalog[1]["primary"]["eiger_image"].read())
np.save("shown.npy", np.asarray(plt.gca().images[0].get_array()))
print("kept", *catalog[17]["primary"]["det"].read())
"""


def keep_a_run(folder):
    """Leave the documents of a run there, as a session without Tiled does."""
    engine = RunEngine({"scan_id": 16}, context_managers=[])
    engine.subscribe(JSONLinesWriter(folder))
    engine(bp.count([SynSignal(name="det", func=lambda: 5.0)], num=2))


def test_a_session_takes_shows_and_reads_back(
    ipython, profile, start_simulator, start_service, tiled, data, tmp_path
):
    simulator = start_simulator("eiger", "--shape", "60,50")
    source = simulator.ports["stream_port"]
    service = start_service({"class": "Eiger", "dcu_port_purple": source})
    documents = tmp_path / "notes" / "documents"
    documents.mkdir(parents=True)
    keep_a_run(documents)
    session = [one.text for one in blocks("python") if one.file == DOCUMENT]
    printed = ipython(
        "\n".join([*session, AFTERWARDS]),
        profile,
        SRX_SERVICE=service.url,
        SRX_SIMPLON=simulator.url,
        SRX_TILED=tiled.url,
        SRX_FILES=f"{data}/{{name}}_{{scan_id:05d}}.h5",
    )
    # BestEffortCallback's tables, of 3 and of 5 points.
    assert "| eiger_frames_missing |" in printed
    rows = [printed.count(f"|         {n} |") for n in range(1, 7)]
    assert rows == [2, 2, 2, 1, 1, 0]
    frames = np.load(tmp_path / "frames.npy")
    assert np.array_equal(frames, [picture(k, SHAPE, "uint16") for k in range(3)])
    assert "flown 20 60 50 primary primary_missing" in printed
    assert "kept 5.0 5.0" in printed
    assert not [*documents.iterdir()]
    answer = httpx.get(f"{service.url}/api/v1/frame/latest.png?scale=log")
    sent = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
    assert np.allclose(np.load(tmp_path / "shown.npy"), sent / 255)
    assert (tmp_path / "last.png").read_bytes().startswith(b"\x89PNG")
    names = sorted(file.name[:11] for file in data.iterdir())
    assert names == ["eiger_00001", "eiger_00002", "eiger_00003"]
    assert json.loads((tmp_path / "notes" / "md.json").read_text())["scan_id"] == 3


def test_a_session_begins_with_everything_down(ipython, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "md.json").write_text('{"scan_id": 41, "proposal": "p1"}')
    startup = PROFILE / "startup" / "00-srx.py"
    printed = ipython(
        f"get_ipython().run_line_magic('run', {str(startup)!r})\n"
        "from ophyd.sim import det\n"
        "RE(count([det], 2))\n"
        "print('and goes on', catalog, RE.md['proposal'])\n"
    )
    no_tiled, no_service = printed.splitlines()[:2]
    assert no_tiled.startswith(f"no catalog from {NOWHERE} (")
    assert no_service.startswith("eiger: srx service http://127.0.0.1:9")
    assert "and goes on None p1" in printed
    [file] = (tmp_path / "notes" / "documents").iterdir()
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    names = [one["name"] for one in kept]
    assert names == ["start", "descriptor", "event_page", "event_page", "stop"]
    assert kept[0]["doc"]["scan_id"] == 42
