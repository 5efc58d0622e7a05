"""Half a minute of what `python -m benchmarks.soak` does for twenty."""

import json

import pytest

from benchmarks import records, soak
from benchmarks.soaking import plot

FLAT = {"MiB grown": 40.0, "file descriptors grown": 6.0, "threads grown": 4.0}
"""In half a minute caches still fill, and the list of acquisitions that are over."""
MINUTES = 0.5
SEED = 1


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return soak.soak(tmp_path_factory.mktemp("soak"), MINUTES, SEED, print)


def test_every_frame_is_in_its_row_or_counted(found):
    assert found.differences == []
    assert value(found, "frames lost without being reported") == 0


def value(found, name):
    (figure,) = [figure for figure in found.measured.figures if figure.name == name]
    return figure.value


def test_series_were_sent_under_faults_with_clients_around(found):
    details = found.measured.details
    assert value(found, "series under faults") >= 20
    assert details["made"]["files"] >= 20
    assert len(details["clients"]) >= 5


def test_nobody_complains(found):
    assert found.complaints == []
    assert value(found, "HTTP answers 500") == 0


@pytest.mark.parametrize("name", FLAT)
def test_what_is_held_stays_the_same(found, name):
    assert value(found, name) < FLAT[name]


def test_it_is_kept_and_drawn(found, tmp_path):
    kept = records.record("soak", found.measured, table=1, repeat=1)
    json.dumps(kept, allow_nan=False)
    plot.draw(tmp_path / "soak.svg", soak.title_of(kept), kept["details"])
    assert (tmp_path / "soak.svg").read_text().count("MiB") == 1
