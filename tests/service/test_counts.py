import pytest

from srx_service.counts import COUNTS, RECEIVED_AS, Counts, imbalance, settle


def counts(**numbers: int) -> Counts:
    made = Counts()
    for name, number in numbers.items():
        setattr(made, name, number)
    return made


def test_counts_begin_with_nothing():
    assert Counts().as_dict() == dict.fromkeys(COUNTS, 0)


def test_images_given_up_are_told_as_stale():
    assert counts(stale=2, given_up=3).as_dict()["stale"] == 5


def test_counts_that_add_up_are_no_imbalance():
    balanced = counts(received=9, written=4, rejected=1, late=2, given_up=2, missing=1)
    assert balanced.imbalance(None) is None
    assert balanced.imbalance(6) is None


@pytest.mark.parametrize(
    ("numbers", "expected", "text"),
    [
        ({"received": 2, "written": 1}, None, "received 2, accounted for 1"),
        ({"received": 1, "written": 1}, 3, "expected 3, accounted for 1"),
    ],
)
def test_counts_that_do_not_add_up_tell_by_how_much(numbers, expected, text):
    assert counts(**numbers).imbalance(expected) == text


def test_nothing_is_expected_of_what_is_not_saved():
    assert counts(received=2, unsaved=2).imbalance(5) is None


@pytest.mark.parametrize("lost_as", ["unsaved", "rejected"])
def test_what_is_settled_adds_up(lost_as):
    taken = dict.fromkeys(COUNTS, 0) | {"received": 7, "written": 3, "missing": 1}
    settle(taken, 9, lost_as)
    assert taken[lost_as] == 4
    assert taken["short"] == 1
    assert imbalance(taken, 9) is None


def test_what_adds_up_is_left_when_it_is_settled():
    taken = dict.fromkeys(RECEIVED_AS, 1) | {"received": 9, "missing": 1, "short": 0}
    before = dict(taken)
    settle(taken, None)
    assert taken == before
