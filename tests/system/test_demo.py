"""`srx demo`: the main job in one command, on real processes."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - registers the filters
import pytest
from PIL import Image

from srx_ophyd import showing
from tests.system.viewers import viewing

TIMEOUT_S = 110


@pytest.fixture
def demo(tmp_path):
    """Start the demo, small; the process is gone at the end."""
    words = [sys.executable, "-m", "srx_service", "demo", "--folder", str(tmp_path)]
    words += ["--points", "3", "--frames", "5", "--shape", "60,50"]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    yield process
    process.kill()
    process.communicate()


def processes_about(folder):
    """Command lines of living processes that name a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(str(folder).encode() in word for word in words):
            found.append(words)
    return found


def wait_for_log(folder, name, text):
    deadline_s = time.monotonic() + TIMEOUT_S
    while True:
        log = folder / "logs" / name
        if log.exists() and text in log.read_text():
            return
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_it_takes_two_runs_reads_them_back_and_draws_a_frame(demo, tmp_path):
    output, _ = demo.communicate(timeout=TIMEOUT_S)
    assert demo.returncode == 0, output
    rows = re.findall(r"^(scan|fly) +(\d+) +(\d+) +[\d.]+ +(\d+) +(\S+)", output, re.M)
    assert [row[:4] for row in rows] == [("scan", *"330"), ("fly", *"550")]
    for *_, name in rows:
        with h5py.File(name) as file:
            assert file["/entry/data/data"].shape[1:] == (60, 50)
    with Image.open(tmp_path / "frame.png") as picture:
        assert picture.size == (50, 60)
    assert processes_about(tmp_path) == []


def test_a_detector_goes_on_to_be_watched(tmp_path):
    words = [sys.executable, "-m", "srx_service", "demo", "--folder", str(tmp_path)]
    words += ["--watch", "--rate", "50", "--shape", "60,50"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        url = next(word for word in demo.stdout if word.strip().startswith("http"))
        with viewing(url.strip().rstrip("/")) as viewer:
            assert viewer.sees().levels.shape == (60, 50)
            assert viewer.sees().levels.max() > 0
            report = viewer.hears()
            while not report["acquisition"]["counts"]["written"]:
                report = viewer.hears()
        assert report["acquisition"]["file"] == str(tmp_path / "data/live_000001.h5")
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(TIMEOUT_S) == 0
    assert processes_about(tmp_path) == []


def test_old_files_are_removed(tmp_path):
    for number in range(1, 8):
        file = showing._next_file(tmp_path, number)
        assert not file.exists()
        file.touch()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["live_000005.h5", "live_000006.h5", "live_000007.h5"]


def test_ctrl_c_ends_it_and_leaves_nothing_running(demo, tmp_path):
    wait_for_log(tmp_path, "service.log", "receiving from")
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=TIMEOUT_S)
    assert demo.returncode == 130, output
    assert "Traceback" not in output
    assert processes_about(tmp_path) == []
