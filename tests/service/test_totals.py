import pytest

from srx_service.counts import COUNTS, REJECTED_AS
from srx_service.totals import Totals
from tests.service.test_counts import counts


@pytest.fixture
def totals():
    return Totals()


def frames(totals, *listed, is_over=True):
    told = totals.told([(each, is_over) for each in listed])["frames"]
    return {name: number for name, number in told.items() if number}


def test_all_are_told_of_before_the_first(totals):
    nothing = {name: dict.fromkeys(k, 0) for name, k in KINDS.items()}
    assert totals.told([]) == nothing


KINDS = {"frames": COUNTS, "rejected": REJECTED_AS}


def test_those_listed_and_those_forgotten_are_summed(totals):
    totals.forget(counts(received=3, written=3))
    seen = frames(totals, counts(received=2, written=1), counts(received=1, late=1))
    assert seen == {"received": 6, "written": 4, "late": 1}


def test_what_a_rewind_takes_back_was_written_all_the_same(totals):
    taken = counts(received=5, written=5)
    taken.take_back("written", 2)
    taken.rewound = 2
    assert frames(totals, taken) == {"received": 5, "written": 5, "rewound": 2}


def test_a_count_is_never_told_as_less_than_before(totals):
    taken = counts(written=5)
    assert frames(totals, taken) == {"written": 5}
    taken.written = 3  # half of a rewind is done
    assert frames(totals, taken) == {"written": 5}
    taken.taken_back["written"], taken.written = 2, 4
    assert frames(totals, taken) == {"written": 6}


def test_what_is_short_counts_once_nothing_can_come(totals):
    assert frames(totals, counts(short=4), is_over=False) == {}
    assert frames(totals, counts(short=4)) == {"short": 4}


def test_rejected_images_are_told_by_kind(totals):
    gone, listed = counts(), counts()
    gone.rejected_as["unfit"] = 2
    listed.rejected_as["refused"] = 1
    totals.forget(gone)
    told = totals.told([(listed, False)])["rejected"]
    assert told == {"undecodable": 0, "unfit": 2, "refused": 1}
