"""What all tests share: recordings, free ports, and the rules every test keeps.

No test may leave a thread or a process behind, and where CI=true none may be skipped
unless tests/allowed_skips.txt says so: a green run has then run everything.
"""

import os
import random
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TypeVar

import hypothesis
import pytest

HERE = Path(__file__).parent
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
GRACE_S = 5.0
"""Threads and processes that were told to stop get so long to be gone."""
OTHERS_THREADS = (
    "bluesky-run-engine",  # the RunEngine keeps its event loop for the next run
    "asyncio_",  # the default executor of an event loop, and so is the next
    "ThreadPoolExecutor",
    "AnyIO worker thread",
)
"""Names that threads of libraries begin with, which outlive their use by design."""
OTHERS_MODULES = ("zmq.utils.garbage",)  # frees what was sent without a copy

# Two cores, shared: how long an example takes says nothing. Derandomized, so that the
# same checkout has the same result.
hypothesis.settings.register_profile("srx", deadline=None, derandomize=True)
hypothesis.settings.load_profile("srx")


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recordings of real detectors: beside the checkout, or as set."""
    folder = Path(
        os.environ.get("SRX_RECORDINGS", HERE.parents[1] / "shared" / "recordings")
    )
    if not folder.is_dir():
        pytest.skip(f"no recordings: {folder} is no folder (set SRX_RECORDINGS)")
    return folder


@pytest.fixture
def free_port() -> int:
    """A TCP port that nobody listens on."""
    return pick_port()


@pytest.fixture
def free_ports() -> Callable[[], int]:
    """Ask it for a TCP port that nobody listens on, as often as needed."""
    return pick_port


PORTS = range(15_000, 32_000)
_picked: deque[int] = deque(maxlen=1000)
"""Ports given before: who asks twice may not listen on the first one yet."""


def pick_port() -> int:
    """Return a port below the ephemeral ones: no outgoing connection can take it.

    Each process of a parallel run has ports of its own.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = len(PORTS) // workers
    mine = PORTS[worker * count : (worker + 1) * count]
    while True:
        port = random.SystemRandom().choice(mine)
        if port in _picked:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            _picked.append(port)
            return port


@pytest.fixture(autouse=True)
def _leaves_nothing_behind() -> Iterator[None]:
    threads = set(threading.enumerate())
    # twice: those of a thread that has just ended are another's by the second time
    children = _children() | _children()
    yield
    deadline = time.monotonic() + GRACE_S
    while left := [*_new_threads(threads), *(_children() - children)]:
        if time.monotonic() > deadline:
            pytest.fail(f"left behind by this test: {left}")
        time.sleep(0.01)


def _new_threads(before: set[threading.Thread]) -> list[str]:
    return [
        thread.name
        for thread in threading.enumerate()
        if thread not in before
        and not thread.name.startswith(OTHERS_THREADS)
        and type(thread).__module__ not in OTHERS_MODULES
    ]


def _children() -> set[str]:
    """The living child processes; empty where the kernel does not tell."""
    found: set[str] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(task.read_text().split())
        except OSError:  # the thread has just ended
            continue
    return {pid for pid in found if _is_alive(pid)}


def _is_alive(pid: str) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[
    None, pytest.TestReport, pytest.TestReport
]:
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[
    None, pytest.CollectReport, pytest.CollectReport
]:
    return _refuse_skip((yield))


def _refuse_skip(report: Report) -> Report:
    """Turn a skip into a failure where everything has to run."""
    expected = not report.skipped or hasattr(report, "wasxfail")
    if expected or os.environ.get("CI") != "true":
        return report
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
    reason = str(reason).removeprefix("Skipped: ")
    if not _is_allowed(report.nodeid, reason):
        report.outcome = "failed"
        report.longrepr = f"skipped, which tests/allowed_skips.txt forbids: {reason}"
    return report


def _is_allowed(test: str, reason: str) -> bool:
    lines = (HERE / "allowed_skips.txt").read_text().splitlines()
    rules = [line.split(" | ", 1) for line in lines if line and line[0] != "#"]
    return any(_matches(t, test) and _matches(r, reason) for t, r in rules)


def _matches(rule: str, text: str) -> bool:
    # Not fnmatch: test ids hold [brackets], which are sets of characters there.
    return re.fullmatch(re.escape(rule).replace(r"\*", ".*"), text, re.S) is not None
