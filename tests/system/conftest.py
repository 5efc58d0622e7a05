"""Whole programs for tests: the service, simulators and Tiled, each a process."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from tests.conftest import pick_port
from tests.system.nursery import Forked, Nursery
from tests.system.sources import Sender, sender_on

PATIENCE_S = 100.0
"""To start, on a machine where everything starts at once; Tiled alone takes seconds."""
API_KEY = "secret"


@dataclass
class Program:
    """A process and what it printed."""

    process: subprocess.Popen[bytes] | Forked
    log: Path
    url: str
    """Of its HTTP interface."""
    ports: dict[str, int] = field(default_factory=dict)
    ready: dict[str, Any] = field(default_factory=dict)
    """The line in which a simulator tells where it can be reached."""

    def wait_until(self, is_there: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_there():
            words = self.log.read_text(errors="replace")[-2000:]
            assert self.process.poll() is None, f"it ended, and said: {words}"
            assert time.monotonic() < deadline_s, f"not in time, it said: {words}"
            time.sleep(0.02)

    def answers(self, path: str) -> bool:
        try:
            return httpx.get(f"{self.url}{path}", timeout=2.0, verify=False).is_success
        except httpx.HTTPError:
            return False

    def get(self, path: str) -> Any:
        # verify=False: reading certificates, of which none is used, takes 0.1 s
        url = f"{self.url}{path}"
        return httpx.get(url, timeout=10.0, verify=False).raise_for_status().json()

    def kill(self) -> None:
        """As a crash does: nothing is said and nothing is finished."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """As a supervisor does; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20.0)


class Programs:
    """Starts programs, their files in one folder; all are gone when it is closed.

    Args:
        folder: For their files.
        are_mortal: Threads of the services can be let die.
    """

    nursery: ClassVar[Nursery | None] = None
    """Starts services and simulators, during a session of tests."""

    def __init__(self, folder: Path, *, are_mortal: bool = False) -> None:
        self.folder = folder
        self._are_mortal = are_mortal
        self.environment: dict[str, str] = {}
        """What services have in their environment besides ours."""
        self.data = folder / "data"
        """Where the service may write, and Tiled may read."""
        self.data.mkdir(exist_ok=True)
        self.started: list[subprocess.Popen[bytes] | Forked] = []
        # Taken by several threads, where programs are started side by side.
        self._numbers = itertools.count()

    def start(self, name: str, words: Sequence[str], url: str = "") -> Program:
        """Run a module of this very Python, with arguments."""
        log = self.folder / f"{name}-{next(self._numbers)}.log"
        process = self._run(words, log)
        self.started.append(process)
        return Program(process, log, url)

    def _run(self, words: Sequence[str], log: Path) -> subprocess.Popen[bytes] | Forked:
        if self.nursery is not None and self.nursery.can_start(words):
            return self.nursery.start(
                words, log, self.environment, is_mortal=self._are_mortal
            )
        with log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", *words],
                env=os.environ | self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def service(self, entry: dict[str, Any]) -> Program:
        """Run the service with an entry of detectors.yaml, and wait until it is ready.

        What the entry lacks is filled in: host, free ports, folders.
        """
        ports = {"api_port": pick_port(), "data_port": pick_port()}
        number = next(self._numbers)
        whole = {
            "class": "Detector",
            "dcu_host_purple": "127.0.0.1",
            "api_host": "127.0.0.1",
            "dset_name": "/entry/instrument/eiger/data",
            "write_root": str(self.data),
            "state_dir": str(self.folder / f"state-{number}"),
            **ports,
            **entry,
        }
        config = self.folder / f"detectors-{number}.yaml"
        config.write_text(json.dumps({"detector": whole}))  # JSON is YAML too
        url = f"http://127.0.0.1:{whole['api_port']}"
        words = ["srx_service", "run", str(config), "detector"]
        service = self.start("service", words, url)
        service.ports = {name: whole[name] for name in ports}
        service.wait_until(lambda: service.answers("/readyz"))
        return service

    def simulator(self, kind: str, *arguments: str) -> Program:
        """Run a simulator and wait for the line that tells its ports."""
        words = ["srx_service", "simulate", kind, *arguments]
        simulator = self.start(f"simulate-{kind}", words)
        simulator.wait_until(lambda: b"\n" in simulator.log.read_bytes())
        ready = json.loads(simulator.log.read_text().splitlines()[0])
        simulator.ready, simulator.url = ready, ready["url"]
        names = ("control_port", "stream_port")
        simulator.ports = {name: ready[name] for name in names}
        return simulator

    def end_all(self, but: int = 0) -> None:
        """Kill what was started, but for the first so many."""
        for process in self.started[but:]:
            process.kill()
        for process in self.started[but:]:
            process.wait()
        del self.started[but:]
        self.environment.clear()

    def close(self) -> None:
        for process in self.started:
            process.terminate()
        for process in self.started:
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="session", autouse=True)
def _nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with contextlib.closing(Nursery(tmp_path_factory.mktemp("nursery"))) as nursery:
        Programs.nursery = nursery
        yield
        Programs.nursery = None


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """For one test, which may kill them."""
    with contextlib.closing(Programs(tmp_path)) as programs:
        yield programs


@pytest.fixture(scope="module")
def shared_programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    """For all tests of a module, which leave them as they were."""
    folder = tmp_path_factory.mktemp("programs")
    with contextlib.closing(Programs(folder)) as programs:
        yield programs


@pytest.fixture(scope="session")
def whole_nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    """For tests of several modules: services whose threads can be let die."""
    folder = tmp_path_factory.mktemp("mortal")
    with contextlib.closing(Programs(folder, are_mortal=True)) as programs:
        yield programs


@pytest.fixture
def nursery(whole_nursery: Programs) -> Iterator[Programs]:
    """The same for one test: what it starts is killed at its end."""
    before = len(whole_nursery.started)
    yield whole_nursery
    whole_nursery.end_all(but=before)


@pytest.fixture
def start_service(programs: Programs) -> Callable[[dict[str, Any]], Program]:
    """Run the service with an entry of detectors.yaml; returns when it is ready."""
    return programs.service


@pytest.fixture
def start_simulator(programs: Programs) -> Callable[..., Program]:
    """Run a simulator: its kind and its options; returns when it is ready."""
    return programs.simulator


@pytest.fixture(scope="session")
def tiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A Tiled server that reads what the tests of this session write."""
    port, root = pick_port(), tmp_path_factory.getbasetemp()
    words = ["tiled", "serve", "catalog", "--temp", "--read", str(root)]
    words += ["--api-key", API_KEY, "--port", str(port)]
    folder = tmp_path_factory.mktemp("tiled")
    with contextlib.closing(Programs(folder)) as programs:
        server = programs.start("tiled", words, f"http://127.0.0.1:{port}")
        server.wait_until(lambda: server.answers("/api/v1/"))
        yield server


@pytest.fixture(scope="session")
def catalog(tiled: Program) -> Iterator[Any]:
    """A client of that Tiled, at its root."""
    from tiled.client import from_uri

    client = from_uri(tiled.url, api_key=API_KEY)
    yield client
    client.context.http_client.close()


@pytest.fixture
def data(programs: Programs) -> Path:
    """Where a service of the test's own may write."""
    return programs.data


@pytest.fixture(scope="module")
def shared_line(shared_programs: Programs) -> Iterator[tuple[Program, Sender]]:
    port = pick_port()
    entry = {"dcu_port_purple": port, "gap_timeout": 0.1}
    service = shared_programs.service(entry)
    with sender_on(port) as sender:
        yield service, sender


@pytest.fixture
def line(shared_line: tuple[Program, Sender]) -> tuple[Program, Sender]:
    """A service of the generic stream, and a source it is connected to."""
    return shared_line


@pytest.fixture
def folder(shared_programs: Programs, request: pytest.FixtureRequest) -> Path:
    """Where the service of `line` may write: a folder for each test."""
    path = shared_programs.data / f"{abs(hash(request.node.name))}"
    path.mkdir()
    return path
