import pytest

from srx_service.errors import WriteError
from srx_service.filing import FLUSH_APART_S
from tests.service.writing import acquisition, images

AT_ONCE = 0.0


@pytest.fixture
def filing(desk):
    return desk.writer._filing


@pytest.fixture
def made(desk, filing):
    """An acquisition with two rows that were just flushed."""
    begun = desk.begin(acquisition(desk.file, series="open"))
    desk.write(begun, *images(0, 1))
    filing.flush()
    return begun


def test_the_first_rows_are_flushed_at_once(desk, filing):
    begun = desk.begin()
    desk.write(begun, *images(0))
    filing.flush_if_due()
    assert begun.rows == 1


def test_only_flushed_rows_are_durable(desk, filing, made):
    desk.write(made, *images(2))
    filing.flush_if_due()
    assert (made.rows, made.counts.written) == (2, 2)
    filing.flush()
    assert (made.rows, made.counts.written) == (3, 3)


def test_rows_are_flushed_at_the_interval(desk, filing, made):
    desk.write(made, *images(2))
    desk.now_s += 0.49
    filing.flush_if_due()
    assert made.rows == 2
    desk.now_s += 0.02
    filing.flush_if_due()
    assert made.rows == 3


def test_rows_that_somebody_waits_for_are_flushed_when_written(desk, filing, made):
    made.wanted_rows = 4
    desk.write(made, *images(2))
    desk.now_s += 2 * FLUSH_APART_S
    filing.flush_if_due()
    assert made.rows == 2
    desk.write(made, *images(3))
    filing.flush_if_due()
    assert made.rows == 4


def test_two_flushes_are_5_ms_apart_whoever_waits(desk, filing, made):
    made.wanted_rows = 3
    desk.write(made, *images(2))
    desk.now_s += 0.004
    filing.flush_if_due()
    assert made.rows == 2
    assert filing.patience_s == pytest.approx(0.001)


def test_an_empty_queue_is_waited_on_until_the_next_flush_may_be(desk, filing, made):
    assert filing.patience_s is None
    desk.write(made, *images(2))
    assert filing.patience_s == pytest.approx(FLUSH_APART_S)
    desk.now_s += 1.0
    assert filing.patience_s == AT_ONCE


def test_nothing_is_flushed_where_nothing_changed(desk, filing, made):
    notices = desk.notices
    desk.now_s += 1.0
    filing.flush_if_due()
    filing.flush()
    assert desk.notices == notices


def test_whoever_waits_is_told_of_each_flush(desk, filing, made):
    notices = desk.notices
    desk.write(made, *images(2))
    filing.flush()
    assert desk.notices == notices + 1


def test_how_long_a_flush_took_is_told(desk, filing, made, monkeypatch):
    desk.write(made, *images(2))
    real = filing.file._storage.flush

    def slow():
        desk.now_s += 2.5
        real()

    monkeypatch.setattr(filing.file._storage, "flush", slow)
    filing.flush()
    took = filing.flushing.as_dict()
    assert (took["1.0"], took["3.0"]) == (1, 2)
    assert took["sum"] == pytest.approx(2.5)


def test_a_file_that_cannot_be_flushed_is_given_up_with_its_durable_rows(
    desk, filing, made, monkeypatch
):
    desk.write(made, *images(2, 3))
    monkeypatch.setattr(filing.file._storage, "flush", full)
    filing.flush()
    assert filing.file is None
    assert (made.rows, made.counts.written, made.counts.unsaved) == (2, 2, 2)
    assert "No space left" in made.error
    assert desk.errors == [made.error]
    assert desk.open_files._files == {}


def full():
    raise OSError(28, "full")


@pytest.mark.parametrize("name", ["a.h5", "b.h5"])
def test_what_could_not_be_repaired_is_tried_again_with_the_next_in_its_folder(
    desk, filing, monkeypatch, name
):
    begun = desk.begin()
    desk.write(begun, *images(0, 1))
    filing.flush()
    desk.write(begun, *images(2))
    real, filing._repair = filing._repair, refuse
    monkeypatch.setattr(filing.file._storage, "flush", full)
    desk.end(begun)
    assert str(desk.file) in desk.open_files._files
    filing._repair = real
    elsewhere = desk.folder / "elsewhere" / "a.h5"
    assert desk.series(*images(5), file=elsewhere).state == "done"
    assert str(desk.file) in desk.open_files._files
    assert desk.series(*images(5), file=desk.folder / name).state == "done"
    assert desk.open_files._files == {}


def refuse(path, rows):
    raise WriteError("still full")


def test_an_acquisition_that_is_not_open_is_counted_all_the_same(filing, made):
    other = acquisition(None)
    assert filing.file_of(other) is None
    filing.ledger_of(other).lost(2)
    assert other.counts.unsaved == 2
    assert filing.file_of(made) is filing.file
