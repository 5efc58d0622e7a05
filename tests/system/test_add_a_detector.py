"""docs/how-to/add-a-detector.md, followed word for word."""

import os
import subprocess
import sys

import numpy as np
import pytest
import yaml

from tests.blocks import blocks
from tests.conftest import pick_port
from tests.system.outcome import client_of, opened, receive_series, wait_for_file
from tests.system.sources import sender_on

PAGE = "docs/how-to/add-a-detector.md"
DECODER, CAMERA, TEST = (b.text for b in blocks("python") if b.file == PAGE)
[ENTRY] = (b.text for b in blocks("yaml") if b.file == PAGE)
FRAMES = np.stack([np.full((30, 40), n, "uint16") for n in range(5)])


@pytest.fixture
def site(tmp_path, monkeypatch):
    """The folder of the reader, where Python finds modules."""
    (tmp_path / "slowcam.py").write_text(DECODER)
    (tmp_path / "slowcam.yaml").write_text(ENTRY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path


def python(*words, folder):
    command = [sys.executable, *words]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_entry_of_the_page_passes_the_check(site):
    said = python("-m", "srx_service", "check", "slowcam.yaml", folder=site)
    assert "1 entries, no errors" in said


def test_the_test_of_the_page_passes(site):
    (site / "test_slowcam.py").write_text(TEST)
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_slowcam.py")
    assert "5 passed" in python(*words, folder=site)


def test_the_camera_of_the_page_is_written_shown_and_sent_on(site, programs):
    port, file = pick_port(), programs.data / "slowcam.h5"
    entry = yaml.safe_load(ENTRY)["slowcam"]
    here = {"dcu_port_purple": port, "write_root": str(programs.data)}
    here |= {"api_port": pick_port(), "data_port": pick_port()}
    service = programs.service({**entry, **here})
    with client_of(service) as client:
        script = CAMERA.replace("7000", str(port)).replace("/tmp/slowcam.h5", str(file))
        assert script.count(str(port)) == script.count(str(file)) == 1
        python("-c", script, folder=site)
        sent_on = receive_series(client)
    assert wait_for_file(service, file)["counts"]["written"] == 5
    assert np.array_equal(sent_on.pixels, FRAMES)
    with opened(file, entry["dset_name"]) as (images, _):
        assert np.array_equal(images, FRAMES)


def test_what_the_camera_should_not_send_is_counted(site, programs):
    port = pick_port()
    entry = yaml.safe_load(ENTRY)["slowcam"]
    here = {"api_port": pick_port(), "data_port": pick_port()}
    service = programs.service({**entry, **here, "dcu_port_purple": port})
    with sender_on(port) as camera:
        camera.send_parts(b"junk")
        camera.send_parts(b'{"kind": "done", "scan": 1}', b"more")
        service.wait_until(lambda: service.get("/status")["messages"] == 2)
    assert service.get("/status")["undecodable"] == {"bad header": 1, "part count": 1}
