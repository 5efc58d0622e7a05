import pytest

from srx_service.errors import RequestError
from srx_service.messages import End, Image
from tests.service.line import (
    UNFIT,
    Line,
    dectris_series,
    dectris_start,
    image,
    images,
    rejected,
    series,
    start,
)

# -- rows ----------------------------------------------------------------------------


def test_every_image_gets_its_row(line):
    line.push(*series(0, 3))
    assert line.newest.state == "done"
    assert line.frames() == [1, 2, 3]
    assert line.counts() == {"received": 3, "written": 3}


def test_images_that_follow_one_another_are_one_order(line):
    orders = line.router.route(series(0, 5), 0.0, 0.0)
    kinds = [type(order).__name__ for order in orders]
    assert kinds == ["Create", "Header", "Rows", "Close"]


def test_a_missing_frame_leaves_a_hole(line):
    line.push(start(), *images(1, 4), End(number=6))
    assert line.frames() == [1, None, None, 4, None]
    assert line.counts() == {"received": 2, "written": 2, "missing": 3}


def test_a_missing_frame_leaves_nothing_where_it_is_skipped():
    line = Line(missing="skip")
    line.push(start(), *images(1, 4), End(number=5))
    assert line.frames() == [1, 4]
    assert line.counts() == {"received": 2, "written": 2, "missing": 2}


def test_an_acquisition_may_skip_what_the_detector_fills(line):
    acquisition = line.arm("a.h5", missing="skip")
    line.push(start(), *images(1, 4), End(number=5))
    assert line.frames(acquisition) == [1, 4]


def test_a_frame_that_a_preview_leaves_out_is_no_loss():
    line = Line("series", missing="skip", leaves_out=True)
    acquisition = line.arm("a.h5", expected=10)
    preview = [message for message in dectris_series(1, 8) if not is_left_out(message)]
    line.push(*preview)
    assert line.frames(acquisition) == [0, 3, 6]
    assert line.counts(acquisition) == {"received": 3, "written": 3, "short": 7}


def is_left_out(message):
    return isinstance(message, Image) and message.frame % 3 != 0


def test_what_a_preview_leaves_out_is_missing_where_its_rows_are_wanted():
    line = Line("series", missing="skip", leaves_out=True)
    acquisition = line.arm("a.h5", missing="fill")
    preview = [message for message in dectris_series(1, 5) if not is_left_out(message)]
    line.push(*preview)
    assert line.frames(acquisition) == [0, None, None, 3]
    assert line.counts(acquisition) == {"received": 2, "written": 2, "missing": 2}


def test_a_frame_of_a_preview_that_cannot_be_read_is_rejected():
    line = Line("series", missing="skip", leaves_out=True)
    start, end = dectris_series(1, 0, filename="a.h5")
    line.push(start, image(0, series=1), rejected(4, series=1), end)
    assert line.counts() == {"received": 2, "written": 1, "rejected": 1}


def test_a_rejected_frame_leaves_a_hole_at_once(line):
    line.push(start(), image(1), rejected(2), image(3))
    assert line.frames() == [1, None, 3]
    assert line.counts() == {"received": 3, "written": 2, "rejected": 1}


def test_a_frame_that_the_writer_rejects_keeps_its_row(line):
    line.push(start(), image(1), image(2, encoding=UNFIT), image(3))
    assert line.frames() == [1, None, 3]
    assert line.counts() == {"received": 3, "written": 2, "rejected": 1}


def test_a_discarded_frame_takes_no_row(line):
    line.push(start(), image(1), image(2, discard=True), image(3), End(number=4))
    assert line.frames() == [1, 3]
    assert line.router.received == 3
    assert line.counts() == {"received": 3, "written": 2, "discarded": 1}


def test_places_count_from_the_first_frame_where_there_is_no_counter(line):
    line.push(start(None), *(image(None, k) for k in (1, 2, 4)), End())
    assert line.frames() == [1, 2, None, 4]


def test_places_of_dectris_count_from_frame_0(dectris):
    dectris.push(dectris_start(4, filename="a.h5"), *images(2, series=4))
    dectris.wait(2.0)
    assert dectris.frames() == [None, None, 2]


# -- expected ------------------------------------------------------------------------


def test_images_beyond_the_expected_are_surplus(line):
    acquisition = line.arm("a.h5", expected=2)
    discarded = image(4, discard=True)
    line.push(start(), *images(1, 2, 3), discarded, rejected(5), End(number=6))
    assert line.frames(acquisition) == [1, 2]
    assert line.counts(acquisition) == {"received": 5, "written": 2, "surplus": 3}


def test_the_tail_that_never_came_is_short(line):
    acquisition = line.arm("a.h5", expected=5)
    line.push(*series(0, 3))
    assert line.frames(acquisition) == [1, 2, 3]
    assert line.counts(acquisition) == {"received": 3, "written": 3, "short": 2}


def test_no_more_is_missing_than_was_expected(line):
    acquisition = line.arm("a.h5", expected=4)
    line.push(start(), *images(1, 2, 9), End(number=12))
    assert line.frames(acquisition) == [1, 2, None, None]
    counts = {"received": 3, "written": 2, "missing": 2, "surplus": 1}
    assert line.counts(acquisition) == counts


def test_what_is_expected_may_be_told_later(line):
    acquisition = line.arm("a.h5")
    line.push(start(), image(1))
    line.router.patch(acquisition, expected=2, series_id=None)
    line.push(*images(2, 3))
    assert line.counts(acquisition) == {"received": 3, "written": 2, "surplus": 1}


def test_no_fewer_can_be_expected_than_have_come(line):
    acquisition = line.arm("a.h5")
    line.push(start(), *images(1, 2))
    with pytest.raises(RequestError, match="2 frames have come"):
        line.router.patch(acquisition, expected=1, series_id=None)
    assert acquisition.expected is None


# -- rewind --------------------------------------------------------------------------


def test_after_a_rewind_the_next_start_goes_on_at_its_row(line):
    acquisition = line.arm("a.h5")
    line.push(start(), *images(1, 2, 3))
    line.rewind(acquisition, 1)
    line.push(*images(4), End(number=5), *series(6, 2))
    assert acquisition.state == "done"
    assert line.frames(acquisition) == [1, 7, 8]
    counts = {"received": 6, "written": 3, "rewound": 2, "stale": 1}
    assert line.counts(acquisition) == counts


def test_a_rewind_to_the_last_row_ends_the_series(line):
    acquisition = line.arm("a.h5")
    line.push(start(), image(1))
    line.rewind(acquisition, 1)
    line.push(*series(5, 1))
    assert (acquisition.state, line.frames(acquisition)) == ("done", [1, 6])


def test_a_rewind_takes_back_what_was_lost_too(line):
    acquisition = line.arm("a.h5", expected=6)
    unfit, discarded = image(5, encoding=UNFIT), image(6, discard=True)
    line.push(start(), *images(1, 3), rejected(4), unfit, discarded)
    line.wait(2.0)
    line.rewind(acquisition, 1)
    line.push(*series(10, 5))
    assert line.frames(acquisition) == [1, 11, 12, 13, 14, 15]
    assert line.counts(acquisition) == {"received": 10, "written": 6, "rewound": 4}


def test_a_rewind_takes_back_what_was_skipped_too(line):
    acquisition = line.arm("a.h5", expected=6, missing="skip")
    line.push(start(), *images(1, 3), rejected(4))
    line.wait(2.0)
    line.rewind(acquisition, 1)
    line.push(*series(10, 5))
    assert line.counts(acquisition) == {"received": 8, "written": 6, "rewound": 2}


def test_a_rewind_gives_back_each_series_that_lost_rows(line):
    acquisition = line.arm("a.h5", series=3)
    line.push(*series(0, 2), *series(4, 2))
    line.rewind(acquisition, 1)
    assert acquisition.series_seen == 0
    line.push(*series(8, 1), *series(11, 1))
    assert (acquisition.state, acquisition.series_seen) == ("running", 2)


def test_a_rewind_between_series_keeps_them(line):
    acquisition = line.arm("a.h5", series=3)
    line.push(*series(0, 2), *series(4, 2))
    line.rewind(acquisition, 2)
    assert (acquisition.state, acquisition.series_seen) == ("running", 1)


def test_a_pin_after_a_rewind_waits_for_another_start(dectris):
    acquisition = dectris.arm("a.h5", series="open", await_series_id=True)
    dectris.push(dectris_start(7), *images(0, series=7))
    dectris.rewind(acquisition, 0)
    dectris.pin(acquisition, 7)
    dectris.push(*images(1, series=7), *dectris_series(7, 2))
    assert dectris.frames(acquisition) == [0, 1]


@pytest.mark.parametrize("row", [-1, 3])
def test_only_rows_that_are_there_can_be_rewound_to(line, row):
    acquisition = line.arm("a.h5")
    line.push(start(), *images(1, 2))
    with pytest.raises(RequestError, match="rows 0 to 2"):
        line.rewind(acquisition, row)


def test_what_is_over_is_neither_rewound_nor_patched(line):
    acquisition = line.arm("a.h5")
    line.stop(acquisition)
    with pytest.raises(RequestError, match="is done already"):
        line.rewind(acquisition, 0)
    with pytest.raises(RequestError, match="is done already"):
        line.pin(acquisition, 5)
