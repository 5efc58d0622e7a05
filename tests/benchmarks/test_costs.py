import pytest

from benchmarks import bare, costs, senders
from benchmarks.verdicts import Measured
from srx_service.journal import Journal
from srx_service.space import Space


def test_the_best_runs_are_compared_and_the_middle_is_told():
    cpu_us = {
        costs.BARE.name: [10.0, 11.0, 10.0],
        costs.USUAL.name: [11.0, 10.2, 12.0],
        costs.SUMMED.name: [11.0, 14.0, 11.22],
    }
    usual, summed = costs.figures(cpu_us)
    assert usual.value == pytest.approx(1.02)
    assert summed.value == pytest.approx(11 / 10.2)
    assert (usual.most, summed.most) == (1.03, 1.10)
    assert "0.927 to 1.200, 1.100 in the middle" in usual.beside


def test_every_row_has_its_number_of_frames():
    assert all(row.is_written for row in costs.rows())
    assert {row.shape[0] for row in costs.rows()} == costs.FRAMES.keys()


def test_what_costs_too_much_ends_with_1(monkeypatch, tmp_path, capsys):
    def measure(row, *_):
        cpu_us = {way: [10.0] for way in (costs.BARE.name, costs.USUAL.name)}
        cpu_us[costs.SUMMED.name] = [10.0 if row.shape[0] == 512 else 20.0]
        return Measured(tuple(costs.figures(cpu_us)), {})

    monkeypatch.setattr(costs, "measure", measure)
    words = ["--target", str(tmp_path), "--only"]
    assert costs.main([*words, "512"]) == 0
    assert costs.main([*words, "2000"]) == 1
    assert "cost with checksums 2.000 (≤ 1.1)" in capsys.readouterr().out


def test_bare_takes_journal_and_guard_away(monkeypatch, tmp_path):
    for kind in (Journal, Space):
        for name in dir(kind):
            if not name.startswith("__"):
                monkeypatch.setattr(kind, name, getattr(kind, name))
    bare.strip()
    journal, space = Journal(tmp_path, "x"), Space(None)
    journal.note(None)
    space.grown(7)
    for made in (journal, space):
        made.stop()
        made.run()
    assert not journal.waiting


def test_all_three_ways_are_run(tmp_path):
    row = costs.rows()[0].cheap()
    try:
        measured = costs.measure(row, 50, 1, tmp_path)
    except senders.CannotBuild as error:
        pytest.skip(str(error))
    assert all(figure.value > 0 for figure in measured.figures)
