"""Half a minute of what `python -m benchmarks.soak` does for twenty."""

import json

from benchmarks import records, soak
from benchmarks.soaking import plot

FLAT = {"MiB grown": 40.0, "file descriptors grown": 6.0, "threads grown": 4.0}
"""In half a minute caches still fill, and the list of acquisitions that are over."""
MINUTES = 0.5
SEED = 1


def test_half_a_minute(tmp_path, subtests):
    # one test: in a parallel run, several would each soak in a process of its own
    found = soak.soak(tmp_path, MINUTES, SEED, print)
    figures = {figure.name: figure.value for figure in found.measured.figures}
    details = found.measured.details
    with subtests.test("every frame is in its row, or counted"):
        assert found.differences == []
        assert figures["frames lost without being reported"] == 0
    with subtests.test("series were sent under faults, with clients around"):
        assert figures["series under faults"] >= 20
        assert details["made"]["files"] >= 20
        assert len(details["clients"]) >= 5
    with subtests.test("nobody complains"):
        assert found.complaints == []
        assert figures["HTTP answers 500"] == 0
    for name, bound in FLAT.items():
        with subtests.test("what is held stays the same", what=name):
            assert figures[name] < bound
    with subtests.test("it is kept and drawn"):
        kept = records.record("soak", found.measured, table=1, repeat=1)
        json.dumps(kept, allow_nan=False)
        plot.draw(tmp_path / "soak.svg", soak.title_of(kept), kept["details"])
        assert (tmp_path / "soak.svg").read_text().count("MiB") == 1
