"""Disks that are full or may not be written fail the acquisition, and it alone."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.blocks import ROOT

MOUNT = 'mount -t tmpfs -o size=8m tmpfs "$1" && shift && exec "$@"'


def in_namespace(folder, *words):
    """Return words that run others with a small file system of their own."""
    mounted = ["sh", "-c", MOUNT, "sh", folder, *words]
    return ["unshare", "--map-root-user", "--mount", *mounted]


@pytest.fixture
def small_disk(tmp_path):
    """A folder for a small file system; skipped where none may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("unshare") is None:
        pytest.skip("no unshare(1) here")
    probe = subprocess.run(in_namespace(folder, "true"), capture_output=True)
    if probe.returncode:
        pytest.skip(f"no file system may be mounted here: {probe.stderr.decode()}")
    return folder


def run(*words):
    done = subprocess.run(words, cwd=ROOT, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return json.loads(done.stdout)


def check(told):
    assert (told["first"], told["state"]) == ("done", "failed")
    assert "free space" in told["error"]
    counts = told["counts"]
    assert counts["written"] == told["rows"]
    assert counts["received"] == counts["written"] + counts["unsaved"]
    assert told["kept"][: told["rows"]] == list(range(told["rows"]))
    assert told["open"] == 0
    assert (told["other"], told["again"]) == ("done", "done")
    assert told["all"] == [*range(told["rows"]), 7, 8]


FULL_DISK = [sys.executable, "-m", "tests.system.full_disk"]
# Each ends at another step: the pixels, a column's chunk, the index of either.
LEFT = [70_000, 123_456, 150_000, 201_000, 250_001, 299_999, 400_000, 1_000_000]


@pytest.mark.parametrize("left_bytes", LEFT)
def test_files_that_may_not_grow_keep_their_durable_frames(tmp_path, left_bytes):
    told = run(*FULL_DISK, tmp_path, "limit", str(left_bytes))
    check(told)
    assert told["rows"] > 0 or left_bytes < 100_000


@pytest.mark.parametrize("left_bytes", LEFT)
def test_a_full_disk_keeps_the_durable_frames(small_disk, left_bytes):
    words = in_namespace(small_disk, *FULL_DISK, small_disk, "space", str(left_bytes))
    check(run(*words))


WRITE_ONE = """
import json, sys
from pathlib import Path
from tests.service.writing import Desk, image
desk = Desk(Path(sys.argv[1]))
made = desk.series(image(0), file=Path(sys.argv[2]) / "a.h5")
good = desk.series(image(0))
print(json.dumps([made.state, made.error, made.counts.unsaved, good.state]))
"""


def test_a_folder_that_may_not_be_written_is_told(small_disk, tmp_path):
    read_only = 'mount -o remount,ro "$1" && shift && exec "$@"'
    words = ["sh", "-c", read_only, "sh", small_disk]
    words += [sys.executable, "-c", WRITE_ONE, tmp_path, small_disk]
    state, error, unsaved, good = run(*in_namespace(small_disk, *words))
    assert (state, unsaved, good) == ("failed", 1, "done")
    assert "Read-only file system" in error
