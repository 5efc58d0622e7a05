"""Disks that fail, in a service that receives: what it says, and what is left."""

import errno
import os
import subprocess
import sys

import httpx
import numpy as np
import pytest

from srx_service.messages import End, Start
from tests.blocks import ROOT
from tests.conftest import pick_port
from tests.system.outcome import client_of, last_frame
from tests.system.shims import HANG, Faults, build
from tests.system.sources import SHAPE, image, pixels, sender_on, series
from tests.system.test_disk_full import in_namespace, run, small_disk
from tests.system.test_line import frames_in, newest, wait_for, wait_for_rows

__all__ = ["small_disk"]

GIB = 1 << 30
FRAMES = 20
"""Of which the disk takes the first half."""
FULL = {
    "full": errno.ENOSPC,
    "quota": errno.EDQUOT,
    "read-only": errno.EROFS,
    "broken": errno.EIO,
    "server-gone": errno.ESTALE,
}


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return build(tmp_path_factory.mktemp("shim"), "faults")


# -- at each call of a series ----------------------------------------------------------

STEP = os.environ.get("SRX_FAULT_STEP", "4")
"""1: each call is made to fail, instead of every fourth; takes a minute."""


@pytest.mark.parametrize(
    ("calls", "number", "times", "chunk", "checksum"),
    [
        ("wts", errno.EIO, 1, 1, 1),
        ("w", errno.ENOSPC, -1, 4, 1),
        ("wto", errno.EDQUOT, -1, 1, 0),
    ],
)
def test_whichever_call_fails_the_durable_frames_stay(
    shim, tmp_path, calls, number, times, chunk, checksum
):
    gate = tmp_path / "gate"
    words = ["-m", "tests.system.faulty_disk", tmp_path, gate, calls]
    told = subprocess.run(
        [sys.executable, *map(str, (*words, number, times, chunk, checksum, STEP))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        env=environment(shim, tmp_path, gate) | {"FAULT_QUICK": "1"},
    )
    assert told.returncode == 0, told.stderr[-3000:]
    assert int(told.stdout) > 50


def environment(shim, folder, gate):
    shims = {"LD_PRELOAD": shim, "FAULT_FOLDER": folder, "FAULT_FILE": gate}
    return os.environ | {name: str(value) for name, value in shims.items()}


# -- in a service ----------------------------------------------------------------------


class Line:
    """A service, its source, and the disk below it."""

    def __init__(self, service, sender, faults, folder):
        self.service = service
        self.sender = sender
        self.faults = faults
        self.folder = folder

    def arm(self, name, **request):
        body = {"file": str(self.folder / name), **request}
        return httpx.post(
            f"{self.service.url}/api/v1/acquisitions", json=body, timeout=60.0
        )

    def begin(self, name):
        """Send half a series, and wait until it is durable."""
        half = FRAMES // 2
        file = self.folder / name
        self.sender.send(Start(filename=str(file)), *map(image, range(half)))
        self.service.wait_until(lambda: newest(self.service)["file"] == str(file))
        wait_for_rows(self.service, half)
        return file

    def go_on(self):
        """Send the other half: in parts, so that a guard has looked in between."""
        for frame in range(FRAMES // 2, FRAMES):
            self.sender.send(image(frame))

    def wait_for_error(self):
        """Wait until it is told; return the acquisition."""
        self.service.wait_until(lambda: self.get("/status")["state"] == "error")
        return newest(self.service)

    def end(self, file):
        self.sender.send(End())
        return wait_for(self.service, file, "failed")

    def get(self, path):
        return self.service.get(path)

    def check_next(self, name):
        """The next acquisition is whole, and the service idle after it."""
        self.faults.end()
        file = self.folder / name
        self.sender.send(*series(str(file), 5))
        told = wait_for(self.service, file)
        counts = {key: count for key, count in told["counts"].items() if count}
        assert counts == {"received": 5, "written": 5}
        assert np.array_equal(frames_in(file), expect(5))
        self.service.wait_until(lambda: self.get("/status")["state"] == "idle")


def expect(count):
    return np.stack([pixels(frame) for frame in range(count)])


@pytest.fixture(scope="module")
def shared(shim, shared_programs):
    data, port = shared_programs.data, pick_port()
    gate = shared_programs.folder / "gate"
    entry = {"dcu_port_purple": port, "gap_timeout": 0.1, "keep_free": "1 GiB"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(shim, data, gate).items():
            patch.setenv(name, value)
        service = shared_programs.service(entry)
    with sender_on(port) as sender:
        yield service, sender, Faults(gate)


@pytest.fixture
def line(shared, folder):
    service, sender, faults = shared
    yield Line(service, sender, faults, folder)
    faults.end()


def accounted(told):
    counts = told["counts"]
    assert counts["received"] == counts["written"] + counts["unsaved"]
    assert counts["written"] == told["rows"]


@pytest.mark.parametrize("fault", FULL)
def test_what_was_durable_is_in_the_file_and_the_next_is_clean(line, fault):
    file = line.begin("a.h5")
    line.faults.begin("w", FULL[fault])
    line.go_on()
    assert os.strerror(FULL[fault]) in line.wait_for_error()["error"]
    told = line.end(file)
    accounted(told)
    assert (told["rows"], told["counts"]["received"]) == (FRAMES // 2, FRAMES)
    assert np.array_equal(frames_in(file, swmr=True), expect(FRAMES // 2))
    line.check_next("b.h5")
    assert np.array_equal(frames_in(file), expect(FRAMES // 2))


def test_live_view_and_forwarding_go_on(line):
    file = line.begin("a.h5")
    with client_of(line.service) as pull:
        line.faults.begin("wts", errno.EIO)
        line.go_on()
        line.wait_for_error()
        line.sender.send(image(FRAMES))
        line.service.wait_until(
            lambda: line.get("/api/v1/frame/latest")["frame"] == FRAMES
        )
        assert np.array_equal(last_frame(line.service), pixels(FRAMES))
        line.end(file)
        htypes = [pull.recv_multipart()[0] for _ in range(FRAMES // 2 + 3)]
    assert b"header" in htypes[0]
    assert b"series_end" in htypes[-1]
    line.check_next("b.h5")


@pytest.mark.parametrize("fault", FULL)
def test_a_disk_that_fails_between_arm_and_first_frame(line, fault):
    told = line.arm("a.h5", shape=SHAPE, dtype="uint16", expected=5).json()
    assert told["state"] == "armed"
    line.faults.begin("w", FULL[fault])
    line.sender.send(*series("", 5))
    line.service.wait_until(lambda: newest(line.service)["state"] == "failed")
    ended = newest(line.service)
    accounted(ended)
    assert os.strerror(FULL[fault]) in ended["error"]
    assert (ended["id"], ended["rows"], ended["counts"]["unsaved"]) == (
        told["id"],
        0,
        5,
    )
    line.check_next("b.h5")
    assert not (line.folder / "a.h5").exists()  # nothing was in it


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_file_that_cannot_be_made_refuses_the_arm(line, number):
    line.faults.begin("o", number)
    answer = line.arm("a.h5")
    assert answer.status_code == 507
    assert os.strerror(number) in answer.json()["detail"]
    line.check_next("b.h5")
    assert not (line.folder / "a.h5").exists()


def test_permissions_that_are_lost_hurt_the_next_file_only(line):
    file = line.begin("a.h5")
    line.faults.begin("o", errno.EACCES)
    line.go_on()
    line.sender.send(End())
    assert wait_for(line.service, file)["rows"] == FRAMES
    line.sender.send(*series(str(line.folder / "b.h5"), 5))
    told = wait_for(line.service, line.folder / "b.h5", "failed")
    assert "the service's user may not write there" in told["error"]
    assert told["counts"]["unsaved"] == 5
    line.check_next("c.h5")
    assert np.array_equal(frames_in(file), expect(FRAMES))


def test_a_disk_that_does_not_confirm_is_told_and_all_frames_are_there(line):
    file = line.begin("a.h5")
    line.faults.begin("s", errno.EIO)
    line.go_on()
    line.sender.send(End())
    told = wait_for(line.service, file, "failed")
    assert "cannot sync" in told["error"]
    assert told["rows"] == FRAMES
    line.check_next("b.h5")
    assert np.array_equal(frames_in(file), expect(FRAMES))


def test_one_fault_that_passes_fails_one_acquisition(line):
    file = line.begin("a.h5")
    line.faults.begin("w", errno.EIO, times=1)
    line.go_on()
    told = line.wait_for_error()
    line.end(file)
    accounted(told)
    line.check_next("b.h5")
    assert np.array_equal(frames_in(file), expect(newest_of(line, file)["rows"]))


def newest_of(line, file):
    listed = line.get("/api/v1/acquisitions")["acquisitions"]
    return next(told for told in listed if told["file"] == str(file))


def test_a_write_that_hangs_holds_the_file_and_nothing_else(line):
    file = line.begin("a.h5")
    line.faults.begin("w", HANG)
    line.go_on()
    line.service.wait_until(
        lambda: line.get("/api/v1/frame/latest")["frame"] == FRAMES - 1
    )
    line.service.wait_until(lambda: line.faults.was_hit)
    assert line.get("/status")["state"] == "running"
    assert newest(line.service)["rows"] == FRAMES // 2
    line.faults.end()
    line.sender.send(End())
    assert wait_for(line.service, file)["rows"] == FRAMES
    line.check_next("b.h5")
    assert np.array_equal(frames_in(file), expect(FRAMES))


# -- the free-space guard --------------------------------------------------------------


def has_free(line, nbytes):
    """Let the disk have so much free, beyond what stays free."""
    line.faults.begin("f", GIB + nbytes)


def test_an_arm_for_more_frames_than_fit_is_refused(line):
    has_free(line, 1_000_000)
    request = {"shape": [1000, 1000], "dtype": "uint16", "expected": 1000}
    answer = line.arm("a.h5", **request)
    assert answer.status_code == 507
    told = answer.json()
    assert told["type"] == "urn:srx:problem:no-room-on-the-disk"
    assert "1000 frames take 1.9 GiB" in told["detail"]
    assert "0 fit" in told["detail"]
    assert not (line.folder / "a.h5").exists()
    line.check_next("b.h5")


def test_more_frames_are_refused_after_the_arm_too(line):
    has_free(line, 1_000_000)
    told = line.arm("a.h5", shape=[100, 100], dtype="uint16", expected=1).json()
    url = f"{line.service.url}/api/v1/acquisitions/{told['id']}"
    assert httpx.patch(url, json={"expected": 40}).status_code == 200
    assert httpx.patch(url, json={"expected": 60}).status_code == 507
    assert line.get(f"/api/v1/acquisitions/{told['id']}")["expected"] == 40
    httpx.post(f"{url}/abort", timeout=60.0).raise_for_status()
    line.check_next("b.h5")


def test_it_warns_before_the_disk_is_full(line):
    has_free(line, 100_000)
    told = line.arm("a.h5", shape=SHAPE, dtype="uint16", expected=300).json()
    line.service.wait_until(lambda: line.get("/status")["disk_free_bytes"] < 2 * GIB)
    assert line.get("/status")["disk_warning"] is None
    has_free(line, 10_000)
    line.service.wait_until(lambda: line.get("/status")["disk_is_short"])
    assert "300 more frames are expected" in line.get("/status")["disk_warning"]
    metrics = httpx.get(f"{line.service.url}/metrics", timeout=60.0).text
    assert "srx_disk_is_short 1.0" in metrics
    line.faults.end()
    line.service.wait_until(lambda: not line.get("/status")["disk_is_short"])
    url = f"{line.service.url}/api/v1/acquisitions/{told['id']}"
    httpx.post(f"{url}/abort", timeout=60.0).raise_for_status()
    line.check_next("b.h5")


def test_writing_stops_above_a_limit_while_live_view_goes_on(line):
    file = line.begin("a.h5")
    has_free(line, -1)
    line.service.wait_until(lambda: line.get("/status")["disk_is_short"])
    line.go_on()
    told = line.wait_for_error()
    assert "1.0 GiB stay free (keep_free)" in told["error"]
    line.service.wait_until(
        lambda: line.get("/api/v1/frame/latest")["frame"] == FRAMES - 1
    )
    ended = line.end(file)
    accounted(ended)
    assert FRAMES // 2 < ended["rows"] <= FRAMES
    # whole at once, though the disk is as full as before
    assert np.array_equal(frames_in(file), expect(ended["rows"]))
    assert line.arm("b.h5").status_code == 507
    line.sender.send(*series(str(line.folder / "c.h5"), 3))
    refused = wait_for(line.service, line.folder / "c.h5", "failed")
    assert refused["counts"]["unsaved"] == 3
    assert not (line.folder / "c.h5").exists()
    line.check_next("d.h5")


def test_a_mount_whose_server_is_gone_holds_nobody(line):
    file = line.begin("a.h5")
    line.faults.begin("v", HANG)
    line.service.wait_until(lambda: line.faults.was_hit)
    line.go_on()
    line.sender.send(End())
    assert wait_for(line.service, file)["rows"] == FRAMES
    answer = line.arm("b.h5")
    assert answer.status_code == 507
    assert "no answer within" in answer.json()["detail"]
    line.service.wait_until(lambda: line.get("/status")["disk_is_short"])
    assert "does not answer" in line.get("/status")["disk_warning"]
    line.check_next("c.h5")
    line.service.wait_until(lambda: not line.get("/status")["disk_is_short"])


# -- real mounts -----------------------------------------------------------------------


def test_a_disk_that_is_unmounted_or_read_only(small_disk, tmp_path):
    script = [sys.executable, "-m", "tests.system.vanished_disk", tmp_path, small_disk]
    run(*in_namespace(small_disk, *script))
