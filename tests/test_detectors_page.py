"""docs/reference/detectors.md tells of every entry, and what it tells is so."""

import re
import shlex
from typing import NamedTuple

import pytest

from srx_service import config
from tests.blocks import ROOT
from tests.system.test_detectors import DETECTORS

ENTRIES = config.load(ROOT / "detectors.yaml")
PAGE = (ROOT / "docs/reference/detectors.md").read_text()
NOTE = re.compile(r" \*?\*?\(\d+\)\*?\*?")


class Line(NamedTuple):
    """A line of the table, without backticks and notes."""

    detector: str
    protocol: str
    shape: str
    dtype: str
    rate: str
    entry: str
    simulator: str
    test: str


def lines():
    rows = re.findall(r"^\| (.*) \|$", PAGE, re.M)[1:]
    found = [Line(*NOTE.sub("", row.replace("`", "")).split(" | ")) for row in rows]
    return {line.entry: line for line in found}


def test_every_entry_has_its_line():
    assert list(lines()) == list(ENTRIES) == list(DETECTORS)


@pytest.mark.parametrize("name", ENTRIES)
def test_a_line_tells_what_is_configured_and_tested(name):
    line, entry, detector = lines()[name], ENTRIES[name], DETECTORS[name]
    protocol = [entry.decoder, *([entry.pipeline] if entry.pipeline else [])]
    assert line.protocol.split(", ") == protocol
    assert line.shape == ", ".join(map(str, detector.shape))
    assert line.dtype.split(" ")[0] == detector.dtype
    assert line.test == f"test_detectors.py[{name}]"


@pytest.mark.parametrize("name", ENTRIES)
def test_the_simulator_of_a_line_is_that_of_the_test(name):
    detector = DETECTORS[name]
    shape = ",".join(map(str, detector.shape))
    words = ["srx", "simulate", detector.simulator, "--shape", shape]
    words += ["--dtype", detector.dtype, *detector.options]
    assert shlex.split(lines()[name].simulator) == words


def test_every_note_that_is_referred_to_is_there():
    table, _, notes = PAGE.rpartition("|\n")
    there = re.findall(r"^(\d+)\. ", notes, re.M)
    assert there == sorted(set(re.findall(r"\((\d+)\)", table)), key=int)
