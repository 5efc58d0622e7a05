import pytest

from srx_service.messages import End
from tests.service.line import (
    FILE,
    ROOT,
    dectris_series,
    dectris_start,
    image,
    images,
    series,
    start,
)

# -- series that nobody armed for ----------------------------------------------------


def test_the_next_series_of_that_name_appends_as_a_new_acquisition(line):
    line.push(*series(0, 2), *series(4, 1))
    newest, first = line.acquisitions
    assert (newest.id != first.id, newest.rows, first.rows) == (True, 1, 2)
    assert line.frames() == [1, 2, 5]


def test_the_next_start_ends_a_series_without_an_end(line):
    line.push(start(0), image(1), start(2, "b.h5"), image(3))
    newest, first = line.acquisitions
    assert (first.state, newest.state) == ("done", "running")
    assert (line.frames(first), line.frames(newest)) == ([1], [3])


def test_a_series_without_a_file_is_counted_as_unsaved(line):
    line.push(start(name=""), *images(1, 2, 3))
    assert line.newest.file is None
    assert line.counts() == {"received": 3, "unsaved": 3}


def test_a_series_that_must_not_be_saved_has_no_file(line):
    line.push(start(save=False), *images(1), End(number=2))
    assert line.writer.files == {}
    assert line.counts() == {"received": 1, "unsaved": 1}


@pytest.mark.parametrize("name", ["../a.h5", "/etc/a.h5", "a\0.h5"])
def test_a_stream_may_not_write_outside_of_write_root(line, name):
    line.push(start(name=name), *images(1))
    assert repr(name) in (line.acquisitions.error or "")
    line.push(End(number=2))
    assert line.newest.state == "failed"
    assert line.counts() == {"received": 1, "unsaved": 1}


def test_a_failure_stays_until_the_next_header(line):
    line.push(start(name="../a.h5"), End(number=1))
    assert line.acquisitions.error
    line.push(*series(2, 1))
    assert line.acquisitions.error is None


def test_a_file_that_cannot_be_made_fails_its_series_only(line):
    line.writer.broken.add(FILE)
    line.push(*series(0, 2), start(4, "b.h5"), image(5), End(number=6))
    good, bad = line.acquisitions
    assert (bad.state, good.state) == ("failed", "done")
    assert line.counts(bad) == {"received": 2, "unsaved": 2}


def test_images_of_an_older_series_are_stale(dectris):
    first = dectris_series(1, 2, filename="a.h5")
    dectris.push(*first, dectris_start(2, filename="b.h5"), *images(2, series=1))
    assert dectris.counts() == {"received": 1, "stale": 1}
    assert dectris.frames() == []


def test_the_same_id_twice_is_two_series(dectris):
    dectris.push(*dectris_series(1, 2, filename="a.h5"))
    dectris.push(*dectris_series(1, 3, filename="b.h5"))
    assert [acquisition.rows for acquisition in dectris.acquisitions] == [3, 2]


def test_a_restarted_source_begins_a_new_acquisition(line):
    line.push(start(100), *images(101, 103), start(0, "b.h5"), *images(1, 2))
    newest, first = line.acquisitions
    assert line.frames(first) == [101, None, 103]
    assert line.frames(newest) == [1, 2]


# -- several series ------------------------------------------------------------------


def test_takes_so_many_series_as_asked_for(line):
    acquisition = line.arm("a.h5", series=2)
    line.push(*series(0, 2))
    assert (acquisition.state, acquisition.is_idle) == ("running", True)
    line.push(*series(4, 1))
    assert acquisition.state == "done"
    assert line.frames(acquisition) == [1, 2, 5]


def test_an_open_acquisition_takes_series_until_it_is_stopped(line):
    acquisition = line.arm("a.h5", series="open")
    line.push(*series(0, 1), *series(3, 1), start(6), image(7))
    assert (acquisition.state, acquisition.is_idle) == ("running", False)
    line.stop(acquisition)
    assert (acquisition.state, acquisition.series_seen) == ("done", 3)


def test_a_start_ends_the_series_and_not_the_acquisition(line):
    acquisition = line.arm("a.h5", series=2)
    line.push(start(0), image(1), start(2), image(3))
    assert (acquisition.state, acquisition.series_seen) == ("running", 2)
    assert line.frames(acquisition) == [1, 3]


def test_a_series_beyond_those_asked_for_is_its_own(line):
    line.arm("mine.h5", series=1)
    line.push(*series(0, 1), *series(3, 1))
    newest, mine = line.acquisitions
    assert (mine.file, newest.file) == (str(ROOT / "mine.h5"), FILE)


# -- pins ----------------------------------------------------------------------------


def test_a_series_with_another_id_than_the_pin_is_stale(dectris):
    acquisition = dectris.arm("a.h5")
    dectris.pin(acquisition, 8)
    dectris.push(*dectris_series(7, 2), *dectris_series(8, 3))
    assert acquisition.state == "done"
    assert dectris.counts(acquisition) == {"received": 5, "stale": 2, "written": 3}


def test_a_pin_gives_up_a_series_with_another_id(dectris):
    acquisition = dectris.arm("a.h5", expected=3, await_series_id=True)
    discarded = image(1, series=7, discard=True)
    dectris.push(dectris_start(7), *images(0, series=7), discarded)
    dectris.pin(acquisition, 8)
    assert (acquisition.state, acquisition.series_id) == ("armed", None)
    dectris.push(*images(2, series=7), *dectris_series(8, 2))
    assert dectris.frames(acquisition) == [0, 1]
    counts = {"received": 5, "stale": 3, "written": 2, "short": 1}
    assert dectris.counts(acquisition) == counts


def test_a_pin_keeps_the_series_that_is_meant(dectris):
    acquisition = dectris.arm("a.h5", await_series_id=True)
    dectris.push(dectris_start(7), *images(0, series=7))
    dectris.pin(acquisition, 7)
    dectris.push(*images(1, series=7), End(series=7))
    assert acquisition.state == "done"
    assert dectris.frames(acquisition) == [0, 1]


def test_until_the_pin_every_start_binds_anew(dectris):
    acquisition = dectris.arm("a.h5", await_series_id=True)
    dectris.push(*dectris_series(6, 2), dectris_start(7), *images(0, series=7))
    assert (acquisition.state, acquisition.series_id) == ("running", 7)
    assert dectris.counts(acquisition) == {"received": 3, "stale": 2, "written": 1}


def test_a_pin_may_come_after_the_end_of_its_series(dectris):
    acquisition = dectris.arm("a.h5", await_series_id=True)
    dectris.push(*dectris_series(7, 2))
    assert acquisition.state == "running"
    dectris.pin(acquisition, 7)
    assert acquisition.state == "done"


def test_a_pin_gives_up_another_series_that_is_over(dectris):
    acquisition = dectris.arm("a.h5", await_series_id=True)
    dectris.push(*dectris_series(7, 2))
    dectris.pin(acquisition, 8)
    assert acquisition.state == "armed"
    assert dectris.frames(acquisition) == []


def test_a_pin_binds_the_series_that_is_under_way(dectris):
    acquisition = dectris.arm("a.h5")
    dectris.pin(acquisition, 8)
    dectris.push(dectris_start(9), *images(0, series=9))
    dectris.pin(acquisition, 9)
    dectris.push(*images(1, series=9))
    assert dectris.frames(acquisition) == [None, 1]


def test_a_pin_does_not_bind_a_series_that_is_over(dectris):
    acquisition = dectris.arm("a.h5")
    dectris.pin(acquisition, 8)
    dectris.push(*dectris_series(9, 1))
    dectris.pin(acquisition, 9)
    assert (acquisition.state, acquisition.series_seen) == ("armed", 0)


def test_a_pin_is_for_one_series(dectris):
    acquisition = dectris.arm("a.h5", series=2)
    dectris.pin(acquisition, 7)
    dectris.push(*dectris_series(7, 1), *dectris_series(8, 1))
    assert acquisition.state == "done"
    assert dectris.frames(acquisition) == [0, 0]


def test_a_series_that_may_be_another_one_does_not_outlive_its_acquisition(dectris):
    first = dectris.arm("a.h5", await_series_id=True)
    dectris.push(dectris_start(7), *images(0, series=7))
    dectris.stop(first)
    second = dectris.arm("b.h5")
    dectris.push(*dectris_series(8, 1))
    assert (first.state, second.state) == ("done", "done")
