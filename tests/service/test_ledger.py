import pytest

from srx_service.fitting import UNREAD
from srx_service.ledger import Ledger
from srx_service.orders import Holes, Rewind, Rows, Tally
from tests.service.writing import acquisition, images


@pytest.fixture
def made(tmp_path):
    return acquisition(tmp_path / "a.h5", series="open")


@pytest.fixture
def ledger(made):
    return Ledger(made)


def rows(made, row, count):
    made.counts.received += count
    return Rows(made, row, images(*range(row, row + count)), [5.0] * count)


def counted(made):
    return {name: count for name, count in made.counts.as_dict().items() if count}


def test_images_count_as_written_once_they_are_durable(made, ledger):
    ledger.wrote(rows(made, 0, 5), 5, [(1, "is odd")])
    assert counted(made) == {"received": 5, "rejected": 1}
    assert (made.rows, made.rows_written) == (0, 5)
    ledger.durable()
    assert counted(made) == {"received": 5, "rejected": 1, "written": 4}
    assert made.rows == 5


def test_images_that_could_not_be_flushed_are_unsaved(made, ledger):
    ledger.wrote(rows(made, 0, 2), 2, [])
    ledger.durable()
    ledger.wrote(rows(made, 2, 3), 3, [])
    ledger.not_durable()
    assert counted(made) == {"received": 5, "written": 2, "unsaved": 3}
    assert made.rows_written == made.rows == 2


def test_images_that_a_file_refuses_are_rejected(made, ledger):
    ledger.lost(2)
    ledger.refuse()
    ledger.lost(3)
    assert counted(made) == {"unsaved": 2, "rejected": 3}


def test_only_the_first_rejected_image_is_logged(made, ledger, caplog):
    ledger.wrote(rows(made, 0, 3), 3, [(1, "is odd"), (2, "is odd")])
    ledger.wrote(rows(made, 3, 1), 1, [(0, "is odd")])
    assert [record.getMessage() for record in caplog.records] == [
        f"acquisition {made.id}: frame 1 is rejected: it is odd"
    ]


@pytest.mark.parametrize(
    ("expected", "short"), [(None, 0), (3, 0), (9, 0), (10, 1), (20, 11)]
)
def test_the_tail_that_never_came_is_short(made, ledger, expected, short):
    made.expected = expected
    ledger.wrote(rows(made, 0, 3), 3, [(0, "is odd")])
    ledger.missed(Holes(made, 3, 2, "missing"))
    ledger.missed(Holes(made, 5, 1, "rejected"))
    ledger.tally(Tally(made, "discarded", 2, 6))
    ledger.lost(1)
    ledger.settle()
    assert made.counts.short == short


def test_the_row_of_counts_tells_what_is_in_the_file_as_written(made, ledger):
    ledger.wrote(rows(made, 0, 3), 3, [])
    assert ledger.row()[:2] == [3, 3]
    ledger.durable()
    assert ledger.row()[:2] == [3, 3]


@pytest.mark.parametrize("is_stale", [True, False])
def test_a_rewind_opens_places_again_and_counts_images_once(made, ledger, is_stale):
    ledger.wrote(rows(made, 0, 4), 4, [(3, "is odd")])
    ledger.missed(Holes(made, 4, 4, "missing"))
    ledger.missed(Holes(made, 8, 2, "rejected"))
    made.counts.received += 2
    made.rows_written = 10
    ledger.durable()
    ledger.taken_back(Rewind(made, 3, is_stale=is_stale))
    gone = {"stale": 3} if is_stale else {"rewound": 3}
    assert counted(made) == {"received": 6, "written": 3} | gone
    assert made.rows == made.rows_written == 3


def test_what_is_taken_back_was_there_and_is_counted_for_ever(made, ledger):
    ledger.wrote(rows(made, 0, 3), 3, [(2, "is odd")])
    ledger.missed(Holes(made, 3, 2, "missing"))
    made.rows_written = 5
    ledger.durable()
    before = made.counts.ever(is_over=False)
    ledger.taken_back(Rewind(made, 1))
    assert made.counts.ever(is_over=False) == before | {"rewound": 2}


def test_rejected_images_are_counted_by_kind(made, ledger):
    ledger.missed(Holes(made, 0, 1, "rejected"))
    ledger.wrote(rows(made, 1, 2), 2, [(0, UNREAD), (1, "is odd")])
    ledger.refuse()
    ledger.lost(3)
    assert made.counts.rejected_as == {"undecodable": 2, "unfit": 1, "refused": 3}
    assert made.counts.rejected == 6


@pytest.mark.parametrize("row", range(8))
def test_a_rewind_may_cut_a_loss_in_two(made, ledger, row):
    ledger.missed(Holes(made, 0, 3, "missing"))
    ledger.missed(Holes(made, 3, 2, "missing"))
    made.rows_written = 5
    ledger.wrote(rows(made, 5, 3), 3, [])
    ledger.durable()
    ledger.taken_back(Rewind(made, row))
    assert (made.counts.missing, made.counts.written) == (min(row, 5), max(0, row - 5))
    assert made.counts.rewound == 3 - made.counts.written


def test_what_took_no_row_is_taken_back_as_told(made, ledger):
    made.counts.received = 3
    ledger.tally(Tally(made, "discarded", 2, 0))
    ledger.missed(Holes(made, None, 5, "missing"))
    ledger.missed(Holes(made, None, 1, "rejected"))
    ledger.taken_back(Rewind(made, 0, discarded=2, missing=5, rejected=1))
    assert counted(made) == {"received": 3, "rewound": 3}


def test_the_rows_without_a_frame_are_told_until_they_are_taken_back(made, ledger):
    ledger.wrote(rows(made, 0, 3), 3, [(1, "is odd")])
    ledger.missed(Holes(made, 3, 2, "missing"))
    made.rows_written = 5
    assert made.as_dict()["holes"] == [1, 3, 4]
    ledger.durable()
    ledger.taken_back(Rewind(made, 4))
    assert made.as_dict()["holes"] == [1, 3]


def test_frames_that_took_no_row_leave_no_hole(made, ledger):
    ledger.missed(Holes(made, None, 5, "missing"))
    assert made.as_dict()["holes"] == []
