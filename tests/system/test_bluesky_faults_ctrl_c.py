"""Ctrl-C, once and twice, in every part of a scan; and a session that is killed."""

import contextlib
import json
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.blocks import ROOT
from tests.system.beamline import pictures, start
from tests.system.bluesky_session import EVENTS, Case
from tests.system.conftest import PATIENCE_S, Program, Programs
from tests.system.faults import BOUND_S, FLAVOURS, faulty_line, stored


@pytest.fixture(scope="module")
def eiger(shared_programs: Programs) -> tuple[Program, Program]:
    """A service and its detector; tests leave them idle."""
    return start(shared_programs, "eiger")


class Prompt:
    """A Bluesky session in a process of its own."""

    def __init__(self, line: tuple[Program, Program], data: Path, lease_s: float):
        words = [line[0].url, line[1].url, str(data), str(lease_s)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.system.bluesky_session", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            # Keys reach the foreground's processes, and this one sends its own.
            start_new_session=True,
        )
        self.answer()

    def begin(self, case: Case) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asdict(case)).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        output = self.process.stdout
        assert output is not None
        assert select.select([output], [], [], PATIENCE_S)[0], "it hangs"
        return json.loads(output.readline())

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def prompt(
    eiger: tuple[Program, Program], shared_programs: Programs
) -> Iterator[Prompt]:
    with contextlib.closing(Prompt(eiger, shared_programs.data, 60.0)) as prompt:
        yield prompt


def check_idle(told: dict[str, Any]) -> None:
    for state in (told, told["next"]):
        assert (state["engine"], state["staged"]) == ("idle", "no")
        assert state["detector"] == "detector is 'idle'"
        assert state["threads"] == []
    assert told["next_raised"] is None
    assert told["next"]["stops"][-1] == ["success", ""]
    assert told["seconds"] < BOUND_S


WHOLE = [
    Case("step", "stage", 1),
    Case("step", "stage", 2),
    Case("step", "trigger", 2),
    Case("step", "expose", 1, exposure_s=0.6),
    Case("step", "expose", 2, exposure_s=0.6),
    Case("step", "expose", 2, exposure_s=0.6, flavour="datum"),
    Case("step", "read", 2),
    Case("step", "read", 2, flavour="datum"),
    Case("step", "unstage", 1),
    Case("step", "unstage", 2),
    Case("fly", "stage", 1),
    Case("fly", "expose", 1, exposure_s=0.6, flavour="datum"),
    Case("fly", "unstage", 2),
]
"""Where Ctrl-C costs nothing: the scan goes on, or the user lets it."""


def name_of(case: Case) -> str:
    return f"{case.plan}-{case.when}-{case.times}-{case.then}-{case.flavour}"


@pytest.mark.parametrize("case", WHOLE, ids=name_of)
def test_after_ctrl_c_a_scan_can_go_on_and_is_whole(prompt, case):
    prompt.begin(case)
    told = prompt.answer()
    assert told["raised"] is None
    assert told["stops"] == [["success", ""]]
    assert (told["acquisition"], told["rows"]) == ("done", EVENTS)
    check_idle(told)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    ("ending", "status"), [("abort", "abort"), ("stop", "success"), ("halt", "abort")]
)
def test_what_ctrl_c_paused_can_be_ended(prompt, ending, status, flavour):
    case = Case("step", "expose", 2, ending, flavour, events=20, exposure_s=0.6)
    prompt.begin(case)
    told = prompt.answer()
    assert (told["raised"], told["then"]) == (None, ending)
    assert told["stops"] == [[status, ""]]
    assert 1 <= told["events"] == told["rows"] < 20
    assert told["acquisition"] == "aborted"
    check_idle(told)


@pytest.mark.parametrize("when", ["kickoff", "expose"])
def test_ctrl_c_twice_ends_a_fly_scan(prompt, when):
    prompt.begin(Case("fly", when, 2, events=50, exposure_s=0.2))
    told = prompt.answer()
    assert (told["raised"], told["then"]) == ("RunEngineInterrupted", None)
    assert told["stops"] == [["fail", ""]]
    assert told["acquisition"] == "aborted"
    check_idle(told)


def test_a_session_that_is_killed_is_not_in_the_way_of_the_next_scan(
    eiger, shared_programs
):
    prompt = Prompt(eiger, shared_programs.data, lease_s=1.0)
    with faulty_line(*eiger, shared_programs.data) as line:
        with contextlib.closing(prompt):
            prompt.begin(Case("fly", "expose", 0, exposure_s=0.02, events=1500))
            line.wait_for_rows(3)
        # The detector does not know: it would go on for half a minute.
        line.service.wait_until(lambda: line.acquisitions()[0]["state"] == "aborted")
        left = line.acquisitions()[0]
        assert "client gone: no call for 1.0 s" in left["error"]
        assert np.array_equal(stored(left["file"])[:3], pictures(range(3)))
        line.check_next_scan()
