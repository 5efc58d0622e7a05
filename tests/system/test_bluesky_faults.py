"""Bluesky and what may go wrong around it, with real programs: killed, full, silent."""

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest

from srx_ophyd.client import ServiceError
from srx_ophyd.device import SrxDetector
from srx_ophyd.drivers import SimulatorDriver
from srx_ophyd.endpoint import Endpoint
from tests.conftest import pick_port
from tests.ophyd.faults import before
from tests.system.beamline import DECODERS, SHAPE, SIMULATE, pictures, start
from tests.system.conftest import Program, Programs
from tests.system.faults import FLAVOURS, FaultyLine, begin, faulty_line, stored

each_flavour = pytest.mark.parametrize("flavour", FLAVOURS)


@pytest.fixture(scope="module")
def eiger(shared_programs: Programs) -> tuple[Program, Program]:
    """A service and its detector; tests leave them idle."""
    return start(shared_programs, "eiger")


@pytest.fixture(scope="module")
def detector(shared_programs: Programs) -> tuple[Program, Program]:
    return start(shared_programs, "detector")


@pytest.fixture
def flavour() -> str:
    return "stream"


@pytest.fixture
def arguments() -> dict[str, Any]:
    """What else the device is made with."""
    return {}


@pytest.fixture
def line(
    eiger: tuple[Program, Program], shared_programs: Programs, flavour: str
) -> Iterator[FaultyLine]:
    with faulty_line(*eiger, shared_programs.data, "eiger", flavour) as line:
        yield line


@pytest.fixture
def generic_line(
    detector: tuple[Program, Program],
    shared_programs: Programs,
    flavour: str,
    arguments: dict[str, Any],
) -> Iterator[FaultyLine]:
    parts = (*detector, shared_programs.data, "detector", flavour)
    with faulty_line(*parts, **arguments) as line:
        yield line


# -- the service -----------------------------------------------------------------------


class Mortal:
    """A simulator, and a service that is killed and started again."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self.simulator = programs.simulator("eiger", *SIMULATE)
        self._entry = {
            "class": DECODERS["eiger"],
            "dcu_port_purple": self.simulator.ports["stream_port"],
            "api_port": pick_port(),
            "data_port": pick_port(),
            "state_dir": str(programs.folder / "state-mortal"),
        }
        self.service: Program

    def kill(self) -> None:
        self.service.kill()

    def revive(self) -> None:
        self.service = self._programs.service(self._entry)

    def restart(self) -> None:
        self.kill()
        self.revive()


@pytest.fixture(scope="module")
def mortals(shared_programs: Programs) -> Mortal:
    return Mortal(shared_programs)


@pytest.fixture
def mortal(mortals: Mortal) -> Iterator[Mortal]:
    mortals.revive()
    yield mortals
    mortals.service.terminate()


@pytest.fixture
def mortal_line(
    mortal: Mortal, shared_programs: Programs, flavour: str
) -> Iterator[FaultyLine]:
    parts = (mortal.service, mortal.simulator, shared_programs.data, "eiger", flavour)
    with faulty_line(*parts) as line:
        yield line


def check_next_scan(mortal: Mortal, line: FaultyLine) -> None:
    if mortal.service.process.poll() is not None:
        mortal.revive()
    line.service = mortal.service
    line.check_next_scan()


def test_a_service_that_is_killed_in_stage_is_told(mortal, mortal_line):
    before(mortal_line.det.driver, "configure", mortal.kill)
    with pytest.raises(ServiceError, match=r"unreachable \(ConnectError\) on POST"):
        mortal_line.engine(bp.count([mortal_line.det]))
    assert mortal_line.documents == []
    assert mortal_line.det.driver.state() == "detector is 'idle'"
    check_next_scan(mortal, mortal_line)


def test_a_service_that_is_killed_in_unstage_hides_nothing(mortal, mortal_line):
    before(mortal_line.det, "unstage", mortal.kill)
    mortal_line.engine(bp.count([mortal_line.det], num=2))
    assert mortal_line.documents[-1][1]["exit_status"] == "success"
    file = mortal_line.det.file.get()
    assert np.array_equal(stored(file, swmr=True, libver="latest"), pictures(range(2)))
    mortal.revive()
    assert np.array_equal(stored(file), pictures(range(2)))
    check_next_scan(mortal, mortal_line)


def test_a_service_that_is_restarted_between_two_points_is_told(mortal, mortal_line):
    before(mortal_line.det, "trigger", mortal.restart, nth=3)
    text = mortal_line.fails(bp.count([mortal_line.det], num=4))
    assert "det: the service was restarted" in text
    assert "at frame 0 of 1; acquisition" in text
    # It has mended what it left open.
    assert np.array_equal(stored(mortal_line.det.file.get()), pictures(range(2)))
    check_next_scan(mortal, mortal_line)


@each_flavour
def test_a_service_that_is_restarted_in_a_fly_scan_is_told(mortal, mortal_line):
    def restart():
        mortal_line.wait_for_rows(5)
        mortal.restart()

    mortal_line.det.exposure_s.put(0.02)
    thread = begin(restart)
    text = mortal_line.fails(mortal_line.fly(1500))
    thread.join()
    assert "unreachable" in text or "the service was restarted" in text
    assert " of 1500; acquisition" in text
    frames = stored(mortal_line.det.file.get())
    assert np.array_equal(frames[:5], pictures(range(5)))
    mortal_line.det.exposure_s.put(0.01)
    check_next_scan(mortal, mortal_line)


def test_a_service_that_stands_still_is_told_and_not_in_its_own_way(line):
    def stop():
        line.service.process.send_signal(signal.SIGSTOP)

    line.det.client.close()
    before(line.det.driver, "configure", stop)
    try:
        with pytest.raises(ServiceError, match=r"did not answer within 3 s on POST"):
            line.engine(bp.count([line.det]))
    finally:
        line.service.process.send_signal(signal.SIGCONT)
    # What was asked for in vain is done now; nobody waits for its lease to end.
    line.service.wait_until(
        lambda: [one["state"] for one in line.acquisitions()][:1] == ["armed"]
    )
    line.check_next_scan()


def test_what_is_no_srx_service_is_told(line):
    url = line.simulator.url
    other = SrxDetector(url, name="det", write_path_template="/data/x.h5")
    try:
        with pytest.raises(ServiceError, match=rf"{url} is no srx service"):
            line.engine(bp.count([other]))
    finally:
        other.destroy()


# -- the detector ----------------------------------------------------------------------


@each_flavour
def test_more_frames_than_asked_for_are_no_events(generic_line):
    generic_line.det.driver.trigger = lambda frames: SimulatorDriver.trigger(
        generic_line.det.driver, frames + 2
    )
    generic_line.engine(bp.count([generic_line.det], num=3))
    [newest, *_] = generic_line.acquisitions()
    assert (newest["state"], newest["rows"]) == ("done", 3)
    assert newest["counts"]["surplus"] == 6
    # Each point has the first of its own three.
    assert np.array_equal(stored(newest["file"]), pictures([0, 3, 6]))


@pytest.mark.parametrize("arguments", [{"stall_timeout_s": 1, "frames_per_event": 3}])
def test_frames_that_stay_out_are_told(generic_line):
    real = generic_line.det.driver.trigger
    generic_line.det.driver.trigger = lambda frames: real(frames - 1)
    text = generic_line.fails(bp.count([generic_line.det]))
    assert "det: no new frame for 1 s, at frame 2 of 3; acquisition" in text
    assert "detector is 'armed'" in text or "detector is 'running'" in text
    newest = generic_line.acquisitions()[0]
    assert (newest["state"], newest["rows"]) == ("aborted", 2)


@contextlib.contextmanager
def other_frames(det: Any, change: dict[str, Any], nth: int) -> Iterator[None]:
    """Let the detector send others from the nth arm on than its driver said."""
    control = Endpoint("simulated detector", det.driver._http.url)
    before(det.driver, "arm", lambda: control.request("PUT", "/config", change), nth)
    try:
        yield
    finally:
        back = {"dtype": "uint16", "shape": [*SHAPE]}
        control.request("PUT", "/config", back)
        control.close()


@pytest.mark.parametrize("change", [{"dtype": "uint32"}, {"shape": [60, 50]}])
def test_frames_unlike_those_promised_fail_the_scan(generic_line, change):
    with other_frames(generic_line.det, change, nth=1):
        text = generic_line.fails(bp.count([generic_line.det]))
    assert "det: the acquisition ended, at frame 0 of 1; acquisition" in text
    assert str(next(iter(change.values()))).strip("[]") in text
    assert generic_line.acquisitions()[0]["rows"] == 0
    generic_line.check_next_scan()


@pytest.mark.parametrize("arguments", [{"on_missing": "fill"}, {"on_missing": "fail"}])
def test_frames_that_change_their_type_in_a_scan_are_holes(generic_line, arguments):
    det = generic_line.det

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([det])
        # The detector is armed anew for it.
        yield from bps.abs_set(det.exposure_s, 0.02)
        yield from bps.trigger_and_read([det])

    with other_frames(det, {"dtype": "uint32"}, nth=2):
        if arguments["on_missing"] == "fail":
            text = generic_line.fails(plan())
            assert "on_missing is 'fail', at frame " in text
            assert ", 1 rejected" in text
        else:
            generic_line.engine(plan())
            events = [doc for name, doc in generic_line.documents if name == "event"]
            missing = [event["data"]["det_frames_missing"] for event in events]
            assert missing == [0, 1]
    generic_line.check_next_scan()


def test_a_lost_frame_fails_the_scan_that_wants_all(programs):
    pair = start(programs, "eiger", "--faults", "drop=0.1")
    with faulty_line(*pair, programs.data, on_missing="fail") as line:
        text = line.fails(line.fly(500))
        assert "on_missing is 'fail'" in text
        assert " of 500; acquisition" in text
        newest = line.acquisitions()[0]
        assert newest["state"] == "aborted"
        assert len(stored(newest["file"])) == newest["rows"] > 0


# -- the disk --------------------------------------------------------------------------

SPACE = 2 << 20
MOUNT = f'mount -t tmpfs -o size={SPACE} tmpfs "$1" && shift && exec "$@"'


class SmallDisk(Programs):
    """Its services fill a small file system, that only they see mounted."""

    def service(self, entry: dict[str, Any]) -> Program:
        return super().service({**entry, "keep_free": None})

    def start(self, name: str, words: Any, url: str = "") -> Program:
        if name != "service":
            return super().start(name, words, url)
        mounted = ["sh", "-c", MOUNT, "sh", str(self.data), sys.executable, "-m"]
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["unshare", "--map-root-user", "--mount", *mounted, *words],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        self.started.append(process)
        return Program(process, log, url)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    words = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh"]
    if shutil.which("unshare") is None:
        pytest.skip("no unshare(1) here")
    probe = subprocess.run([*words, str(tmp_path), "true"], capture_output=True)
    if probe.returncode:
        pytest.skip(f"no file system may be mounted here: {probe.stderr.decode()}")
    with contextlib.closing(SmallDisk(tmp_path)) as programs:
        yield programs


def test_a_full_disk_fails_the_scan_and_that_alone(small_disk):
    pair = start(small_disk, "eiger")
    with faulty_line(*pair, small_disk.data) as line:
        text = line.fails(line.fly(100_000))
        assert "det: the acquisition ended, at frame " in text
        assert "is failed (" in text
        assert "free space" in text
        failed = line.acquisitions()[0]
        file = Path(f"/proc/{pair[0].process.pid}/root{failed['file']}")
        frames = stored(file)
        assert len(frames) >= failed["rows"] > 0
        assert np.array_equal(frames[:3], pictures(range(3)))
        file.unlink()
        line.engine(bp.count([line.det], num=2))
        assert line.acquisitions()[0]["state"] == "done"
