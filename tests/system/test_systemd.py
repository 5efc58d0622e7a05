"""What systemd asks of a service: the unit file, and what it is told."""

import configparser
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from srx_service import cli
from srx_service.config_keys import Keys
from tests.blocks import ROOT

UNIT = ROOT / "deploy" / "systemd" / "srx@.service"
PATIENCE_S = 60.0


class Settings(configparser.ConfigParser):
    """A unit file; where a key stands twice, the values are joined."""

    def __init__(self):
        super().__init__(strict=False, interpolation=None)
        self.optionxform = str
        lines = UNIT.read_text().splitlines()
        keys = [line.partition("=")[0] for line in lines if "=" in line]
        several = [n for n, key in enumerate(keys) if keys.count(key) > 1]
        assert {keys[n] for n in several} <= {"Environment", "#   systemctl enable"}
        self.read_string("\n".join(lines))
        self.environment = dict(
            line.removeprefix("Environment=").split("=")
            for line in lines
            if line.startswith("Environment=")
        )


@pytest.fixture
def unit():
    return Settings()


def test_its_command_is_one_that_srx_knows(unit):
    words = unit["Service"]["ExecStart"].replace("%i", "my-eiger").split()
    arguments = cli.parser().parse_args(words[1:])
    assert (arguments.command, arguments.name) == ("run", "my-eiger")


def test_it_starts_again_what_died_and_not_what_cannot_start(unit):
    service = unit["Service"]
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == "2"
    assert "Exit codes: 0 done, 1 failed, 2" in cli.parser().format_help()


def test_a_stop_has_time_for_every_stage(unit):
    stages = 3
    wanted_s = stages * Keys.model_fields["shutdown_timeout"].default
    assert int(unit["Service"]["TimeoutStopSec"]) > wanted_s


def test_state_and_caches_are_where_it_may_write(unit):
    service = unit["Service"]
    state = f"{unit.environment['XDG_STATE_HOME']}/srx"
    assert state == f"/var/lib/{service['StateDirectory']}"
    cache = unit.environment["NUMBA_CACHE_DIR"]
    assert cache == f"/var/cache/{service['CacheDirectory']}"
    assert service["ProtectSystem"] == "strict"
    assert service["ReadWritePaths"] == "-/data"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_understands_it(tmp_path):
    (tmp_path / "srx").write_text("#!/bin/sh\n")
    (tmp_path / "srx").chmod(0o755)
    copy = tmp_path / "srx@my-eiger.service"
    copy.write_text(UNIT.read_text().replace("/opt/srx/bin/srx", f"{tmp_path}/srx"))
    words = ["systemd-analyze", "verify", "--man=no", str(copy)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def systemd(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(PATIENCE_S)
        yield sock


def test_a_service_tells_when_it_is_ready_that_it_lives_and_that_it_ends(
    nursery, systemd, tmp_path
):
    nursery.environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
    nursery.environment["WATCHDOG_USEC"] = "400000"
    service = nursery.service({"dcu_port_purple": 9})
    assert systemd.recv(100) == b"READY=1"
    assert [systemd.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    assert service.terminate() == 0
    while (told := systemd.recv(100)) == b"WATCHDOG=1":
        pass
    assert told == b"STOPPING=1\nSTATUS=SIGTERM"


def test_one_whose_thread_died_says_no_more_that_it_lives(nursery, systemd, tmp_path):
    nursery.environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
    nursery.environment["WATCHDOG_USEC"] = "400000"
    service = nursery.service({"dcu_port_purple": 9})
    service.log.with_suffix(".victim").write_text("receive")
    (gate := service.log.with_suffix(".wait")).touch()
    service.process.send_signal(10)
    while not (told := systemd.recv(100)).startswith(b"STOPPING=1"):
        assert told in (b"READY=1", b"WATCHDOG=1")
    assert told == b"STOPPING=1\nSTATUS=thread receive died"
    systemd.settimeout(0.5)
    with pytest.raises(TimeoutError):
        systemd.recv(100)
    gate.unlink()
    assert service.process.wait(PATIENCE_S) == 1


def test_faults_of_python_itself_leave_a_traceback(unit, tmp_path):
    assert unit.environment["PYTHONFAULTHANDLER"] == "1"
    words = [sys.executable, "-c", "import os; os.abort()"]
    done = subprocess.run(
        words, env={"PYTHONFAULTHANDLER": "1"}, capture_output=True, cwd=tmp_path
    )
    assert b"Fatal Python error: Aborted" in done.stderr
    assert b'File "<string>", line 1' in done.stderr


def test_containers_get_one_too():
    assert "PYTHONFAULTHANDLER=1" in Path(ROOT / "Dockerfile").read_text()
