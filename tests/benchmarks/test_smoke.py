"""Every kind of work is done with a few frames, so that the programs in C are run."""

import dataclasses

import pytest

from benchmarks import (
    comparison,
    http_load,
    idle,
    long_run,
    records,
    senders,
    threads,
)
from benchmarks.__main__ import main
from benchmarks.rows import ROWS, SMALL
from benchmarks.runs import QUICK, Place, Served

BY_NAME = {row.name: row for row in ROWS}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    try:
        senders.build(folder)
    except senders.CannotBuild as error:
        pytest.skip(str(error))
    return Place(folder, tmp_path_factory.mktemp("files"))


@pytest.fixture
def run(place):
    """Do a row's work by the service, with a few frames."""

    def once(name, **changes):
        row = dataclasses.replace(BY_NAME[name].cheap(), **changes)
        side = Served(row, place)
        try:
            return side.run(0.0)
        finally:
            side.close()

    return once


def test_the_table_is_printed_and_kept(place, tmp_path, capsys):
    assert place
    kept = tmp_path / "kept.jsonl"
    words = ["--quick", "--only", "client, wait", "--target", str(tmp_path)]
    assert main([*words, "--save", str(kept)]) == 0
    (found,) = records.read([kept])
    frames = BY_NAME[found["row"]].cheap().frames
    for side in ("service", "yardstick"):
        assert found["details"][side]["client_images"] == [frames]
    printed = capsys.readouterr().out
    assert "| 368 kB, written, with a client, wait | ratio | ≥ 0.85 |" in printed
    assert main(["--show", str(kept)]) == 0
    assert capsys.readouterr().out in printed


def test_stream_v1_is_sent_with_a_client_and_a_viewer(run):
    found = run(
        "368 kB, written, from DECTRIS stream v1", has_client=True, has_viewer=True
    )
    assert found.notes["client_images"] + found.notes["dropped"] == found.frames
    assert found.notes["pictures"] >= 0
    assert found.cpu_us > 0
    assert found.peak_mib > 10


def test_the_http_interface_is_asked_while_stream_v2_is_sent(place):
    row = BY_NAME["368 kB, written, from DECTRIS stream v2"]
    found = http_load.measure(row, place, QUICK)
    names = {figure.name for figure in found.figures}
    assert {"p99 ms, GET /status", "p99 ms, long poll", "peak MiB"} <= names


def test_a_long_run_is_compared_with_short_ones(place):
    cost, memory, peak = long_run.measure(place, QUICK).figures
    assert min(cost.value, memory.value, peak.value) > 0


def test_an_idle_service_is_looked_at(place):
    (share,) = idle.measure(place, QUICK).figures
    assert 0 <= share.value < 100


def test_rows_of_the_service_are_compared_with_one_another(monkeypatch, place):
    monkeypatch.setattr(comparison, "side_of", lambda row, *_, **__: Fake(row))
    row = dataclasses.replace(SMALL, against=BY_NAME["50x50, no file"])
    found = comparison.compare(row, place, QUICK)
    assert found.details["against"] == "50x50, no file"
    assert found.figures[0].value == 0.5


class Fake:
    """A side that is twice as fast without a file."""

    def __init__(self, row):
        self._row = row

    def run(self, _):
        from benchmarks.runs import Run

        seconds = 2.0 if self._row.is_written else 1.0
        return Run(frames=10, seconds=seconds, cpu_s=1.0, peak_mib=1.0)

    def close(self):
        pass


def test_the_time_of_a_frame_is_told_by_thread(place, tmp_path, capsys):
    assert place
    words = ["--only", "2000x4000", "--frames", "40", "--repeat", "1"]
    threads.main([*words, "--target", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "2000x4000 (16 MB), written: " in printed
    assert "  write  " in printed
