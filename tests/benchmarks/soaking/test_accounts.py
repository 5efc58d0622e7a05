import pytest

from benchmarks.soaking.accounts import Account, Books
from benchmarks.soaking.series import GOOD, Kind, Series, clean, numbered

KIND = Kind((16, 16), "uint16", "none")
FATES = {
    "sent": {"received": 1, "written": 1},
    "repacked": {"received": 1, "written": 1},
    "swapped": {"received": 1, "written": 1},
    "twice": {"received": 2, "written": 1, "duplicate": 1},
    "discarded": {"received": 1, "discarded": 1},
    "broken": {"received": 1, "rejected": 1},
    "unfit": {"received": 1, "rejected": 1},
    "odd": {"received": 1, "rejected": 1},
    "garbled": {"missing": 1},
    "lost": {"missing": 1},
    "after the end": {"missing": 1},
}


def series(*fates, **more):
    return Series(KIND, numbered(fates), **more)


def rows(account):
    return [row.index if row and row.fate in GOOD else None for row in account.rows]


@pytest.mark.parametrize(("fate", "counts"), FATES.items())
def test_a_frame_of_each_fate_is_counted(fate, counts):
    account = Account("a.h5")
    account.take(series(fate))
    assert account.counts == counts
    holes = [] if fate == "discarded" else [None]
    assert rows(account) == ([0] if "written" in counts else holes)


def test_a_tail_that_nobody_knows_of_has_no_place():
    account = Account("a.h5")
    account.take(series("lost", "sent", "lost", end="lost"))
    assert rows(account) == [None, 1]
    assert account.counts["missing"] == 1


def test_beyond_what_is_expected_images_are_surplus_and_nothing_is_missing():
    account = Account("a.h5", expected=2)
    account.take(series("sent", "lost", "sent", "lost"))
    assert account.settle().counts == {
        "received": 2, "written": 1, "missing": 1, "surplus": 1, "short": 0
    }  # fmt: skip


def test_the_tail_that_never_came_is_short():
    account = Account("a.h5", expected=5)
    account.take(series("sent", "discarded"))
    assert account.settle().counts["short"] == 3


def test_without_a_file_images_are_unsaved():
    account = Account(None)
    account.take(series("sent", "unfit", "broken", "lost", "discarded"))
    counts = {"unsaved": 2, "rejected": 1, "missing": 1, "discarded": 1, "received": 4}
    assert account.counts == counts
    assert account.rows == []


def test_a_file_of_another_shape_refuses_all():
    account = Account("a.h5", refused=True)
    account.take(clean(KIND, 3))
    assert account.counts == {"received": 3, "rejected": 3}
    assert account.rows == []


def test_what_comes_after_the_end_is_late_while_the_acquisition_goes_on():
    account = Account("a.h5")
    account.take(series("sent", "after the end"), goes_on=True)
    assert (account.counts["late"], account.counts["received"]) == (1, 2)


def test_rows_taken_back_are_rewound():
    account = Account("a.h5", expected=4)
    account.take(clean(KIND, 3))
    account.rewind(1)
    account.take(clean(KIND, 2))
    counts = account.settle().counts
    assert rows(account) == [0, 0, 1]
    assert (counts["rewound"], counts["written"], counts["short"]) == (2, 3, 1)


def test_what_cannot_be_read_is_counted_by_kind():
    books = Books()
    books.count(series("garbled", "broken", "sent", "lost", "garbled"))
    assert books.unread == {"not JSON": 2, "bad field": 1}
    assert (books.series, books.faulty, books.frames, books.passed) == (1, 1, 5, 1)


def test_images_of_no_acquisition_are_orphans():
    books = Books()
    books.count(series("sent", "twice", "broken", start="lost"), is_bound=False)
    books.count_late(series("after the end"))
    assert books.orphans == 4


def test_a_file_holds_the_rows_of_all_its_acquisitions():
    books = Books()
    for name in ("a.h5", "b.h5", "a.h5"):
        books.open(Account(name)).take(series("sent", "lost"))
    kind, found = books.rows_of("a.h5")
    assert kind == KIND
    assert [row and row.index for row in found] == [0, None, 0, None]
    assert books.files == ["a.h5", "b.h5"]
