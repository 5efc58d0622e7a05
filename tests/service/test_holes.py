import pytest

from srx_service.holes import TOLD, EmptyRows


@pytest.fixture
def empty() -> EmptyRows:
    """Rows 2 to 4 and 7 are missing, 5 was rejected."""
    made = EmptyRows(rewinds=True)
    for row, count, reason in [(2, 1, "missing"), (3, 2, "missing"), (7, 1, "missing")]:
        made.add(row, count, reason)
        if row == 3:
            made.add(5, 1, "rejected")
    return made


def test_they_are_told_in_order(empty):
    assert empty.last() == [2, 3, 4, 5, 7]


@pytest.mark.parametrize(
    ("row", "missing", "rejected"), [(8, 0, 0), (6, 1, 0), (4, 2, 1), (0, 4, 1)]
)
def test_they_are_taken_back_from_a_row_on(empty, row, missing, rejected):
    before = empty.last()
    assert empty.cut(row) == {"missing": missing, "rejected": rejected}
    assert empty.last() == [hole for hole in before if hole < row]


def test_the_last_are_told_also_of_many():
    empty = EmptyRows(rewinds=True)
    empty.add(0, 10**9, "missing")
    empty.add(10**9 + 5, 1, "rejected")
    assert empty.last() == [*range(10**9 - TOLD + 1, 10**9), 10**9 + 5]
    empty.cut(30)
    assert empty.last() == [*range(30)]


def test_neighbours_take_the_room_of_one():
    empty = EmptyRows(rewinds=True)
    for row in range(1000):
        empty.add(row, 1, "rejected")
    assert len(empty._spans) == 1


def test_what_is_never_rewound_is_kept_as_far_as_it_is_told():
    empty = EmptyRows(rewinds=False)
    for row in range(0, 10 * TOLD, 2):
        empty.add(row, 1, "missing")
    assert len(empty._spans) == TOLD
    assert empty.last() == [*range(8 * TOLD, 10 * TOLD, 2)]
