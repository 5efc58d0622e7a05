import msgspec
import pytest

from srx_service.acquisitions import (
    Acquisition,
    Acquisitions,
    ArmRequest,
    Rowless,
)
from srx_service.errors import RequestError


def make(**fields) -> Acquisition:
    return Acquisition(
        ArmRequest(**fields), origin="api", dataset="/entry/data", skip_missing=False
    )


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


def test_each_change_of_a_state_is_told_once():
    seen = []
    acquisitions = Acquisitions(on_state=lambda each: seen.append(each.state))
    acquisitions.add(made := make())
    made.state = "running"
    made.state = "running"
    made.finish("done")
    assert seen == ["armed", "running", "done"]


PAST = {"id": "old", "state": "interrupted"}


def test_those_from_before_come_last_and_do_not_change():
    acquisitions = Acquisitions(past=[PAST])
    acquisitions.add(made := make())
    assert acquisitions.told(9) == [made.as_dict(), PAST]
    assert acquisitions.told(1) == [made.as_dict()]
    assert acquisitions.past("old") is PAST
    assert acquisitions.past(made.id) is None
    with pytest.raises(RequestError, match="old is interrupted already") as error:
        acquisitions.get("old")
    assert error.value.status == 409


def test_the_oldest_of_this_life_joins_them():
    acquisitions, made = Acquisitions(kept=1, past=[PAST]), [make(), make()]
    for each in made:
        acquisitions.add(each)
    assert [told["id"] for told in acquisitions.told(9)] == [
        made[1].id,
        made[0].id,
        "old",
    ]
    assert acquisitions.past(made[0].id) == made[0].as_dict()


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


def test_what_was_counted_stays_counted_when_it_is_listed_no_longer():
    acquisitions = Acquisitions(kept=2)
    for _ in range(50):
        made = make()
        acquisitions.add(made)
        made.counts.received = made.counts.written = 3
        made.finish("done")
    totals = acquisitions.totals()
    assert totals["frames"]["written"] == 150
    assert totals["acquisitions"] == {"done": 50, "failed": 0, "aborted": 0}


def test_what_is_not_over_is_counted_however_many_come_after_it():
    acquisitions = Acquisitions()
    first = make()
    acquisitions.add(first)
    for _ in range(50):
        made = make()
        acquisitions.add(made)
        made.finish("done")
    first.counts.received = 7
    assert acquisitions.totals()["frames"]["received"] == 7
