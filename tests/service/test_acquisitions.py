import msgspec
import pytest

from srx_service.acquisitions import (
    COUNTS,
    Acquisition,
    Acquisitions,
    ArmRequest,
    Counts,
    Rowless,
)
from srx_service.errors import RequestError


def make(**fields) -> Acquisition:
    return Acquisition(
        ArmRequest(**fields), origin="api", dataset="/entry/data", skip_missing=False
    )


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


def test_a_cause_makes_it_failed_when_it_is_done():
    acquisition = make()
    acquisition.fail("disk full")
    acquisition.fail("and more")
    acquisition.finish("done")
    assert (acquisition.state, acquisition.error) == ("failed", "disk full")
    assert acquisition.is_over


def test_what_was_aborted_stays_aborted_with_its_cause():
    acquisition = make()
    acquisition.fail("client gone")
    acquisition.finish("aborted")
    assert (acquisition.state, acquisition.error) == ("aborted", "client gone")


@pytest.mark.parametrize(
    ("series", "seen", "left"), [(1, 0, True), (1, 1, False), ("open", 99, True)]
)
def test_knows_whether_another_series_may_be_bound(series, seen, left):
    acquisition = make(series=series)
    acquisition.series_seen = seen
    assert acquisition.series_left is left


def test_is_idle_between_series_once_every_row_is_durable():
    acquisition = make()
    acquisition.rows_given, acquisition.rows = 5, 4
    assert not acquisition.is_idle
    acquisition.rows = 5
    assert acquisition.is_idle
    acquisition.is_series_open = True
    assert not acquisition.is_idle


def test_tells_all_of_itself_as_json():
    told = make(file="/data/a.h5", shape=(2, 3), metadata={"a": 1}).as_dict()
    again = msgspec.json.decode(msgspec.json.encode(told))
    assert (again["file"], again["shape"], again["metadata"]) == (
        "/data/a.h5",
        [2, 3],
        {"a": 1},
    )


def test_the_newest_comes_first_and_the_oldest_goes():
    acquisitions, made = Acquisitions(kept=2), [make() for _ in range(3)]
    for each in made:
        acquisitions.add(each)
    assert list(acquisitions) == [made[2], made[1]]
    assert acquisitions.get(made[1].id) is made[1]


def test_an_unknown_id_is_told_as_such():
    with pytest.raises(RequestError, match="'nobody'") as error:
        Acquisitions().get("nobody")
    assert error.value.status == 404


@pytest.fixture
def rowless() -> Rowless:
    """Three places before row 0, two before row 4, one before row 7."""
    made = Rowless()
    for row, count in [(0, 1), (0, 2), (4, 2), (7, 1)]:
        made.add(row, count)
    return made


@pytest.mark.parametrize(("row", "taken"), [(8, 0), (7, 1), (5, 1), (4, 3), (0, 6)])
def test_places_without_a_row_are_taken_back_with_the_rows_around(rowless, row, taken):
    assert rowless.take_back(row) == taken
    assert rowless.total == 6 - taken


@pytest.mark.parametrize("total", [6, 5, 4, 2, 0])
def test_the_last_places_without_a_row_are_cut(rowless, total):
    assert rowless.cut(total) == 6 - total
    rowless.add(9, 1)
    assert (rowless.total, rowless.take_back(9)) == (total + 1, 1)


def test_places_without_a_row_take_little_room():
    rowless = Rowless()
    for _ in range(1000):
        rowless.add(5, 1)
    assert len(rowless._rows) == 1
