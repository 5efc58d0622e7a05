"""Promises name tests that exist: a page that promises more than is shown is none."""

import re

import pytest

from tests.blocks import ROOT

PAGE = ROOT / "docs/explanations/reliability.md"
NAMED = re.compile(r"(tests/[\w/]+\.py)(?:::(\w+))?")


def named():
    return sorted(set(NAMED.findall(PAGE.read_text())))


def promises():
    head = "| promise | shown by |"
    tables = PAGE.read_text().split(head)[1:]
    rows = [row for table in tables for row in table.split("\n\n")[0].splitlines()[2:]]
    return [row.strip("| ").split(" | ") for row in rows]


@pytest.mark.parametrize(("file", "test"), named(), ids="::".join)
def test_a_test_that_is_named_is_there(file, test):
    text = (ROOT / file).read_text()
    assert f"def {test}(" in text if test else "def test_" in text or "TestCase" in text


def test_every_promise_names_what_shows_it():
    assert len(promises()) > 30
    for promise, shown_by in promises():
        assert NAMED.search(shown_by) or "security.md" in shown_by, promise
