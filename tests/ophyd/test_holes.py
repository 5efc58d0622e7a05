import pytest

from srx_ophyd import holes
from srx_ophyd.client import Acquisition


def with_holes(*rows, told=None, **counts):
    counts = counts or {"missing": len(rows)}
    told = rows if told is None else told
    base = {"id": "1", "state": "running", "dataset": "/d", "rows": 999}
    return Acquisition.from_json(base | {"counts": counts, "holes": told})


@pytest.mark.parametrize(
    ("start", "target", "count"), [(0, 10, 2), (0, 3, 0), (3, 4, 1), (4, 10, 1)]
)
def test_holes_are_counted_within_the_exposure(start, target, count):
    assert holes.count_in(with_holes(3, 9, 20), start, target, before=99) == count


def test_the_last_rows_suffice_where_they_reach_back_to_the_exposure():
    acquisition = with_holes(told=[50, 60, 80], missing=300)
    assert holes.count_in(acquisition, 50, 70, before=298) == 2


def test_of_more_than_are_told_the_counts_tell():
    acquisition = with_holes(told=[*range(900, 1000)], missing=300)
    assert holes.count_in(acquisition, 500, 1000, before=50) == 250


def test_an_older_service_tells_counts_alone():
    assert holes.count_in(with_holes(told=(), missing=7), 0, 10, before=4) == 3
    assert holes.count_in(with_holes(told=(), missing=7), 0, 10, before=8) == 0


@pytest.mark.parametrize(
    ("acquisition", "text"),
    [
        (with_holes(17), "frame 8 of 10 never came (row 17 of the file)"),
        (
            with_holes(3, 10, 17, 19, 20),
            "frames 1, 8, 10 of 10 never came (rows 10, 17, 19 of the file)",
        ),
        (
            with_holes(12, rejected=1),
            "frame 3 of 10 could not be read (row 12 of the file)",
        ),
        (
            with_holes(12, 13, rejected=1, missing=1),
            "frames 3, 4 of 10 never came or could not be read (rows 12, 13 of the f"
            "ile)",
        ),
        (with_holes(told=(), missing=3), "3 of 10 frames never came"),
    ],
)
def test_frames_are_told_by_their_numbers_and_rows(acquisition, text):
    count = holes.count_in(acquisition, 10, 20, before=0)
    assert holes.words(acquisition, 10, 20, count) == text


def test_of_many_the_first_are_told():
    text = holes.words(with_holes(*range(40)), 0, 100, 40)
    assert text == (
        "frames 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 30 more of 100 never came "
        "(rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … of the file)"
    )
