import pytest

from benchmarks.rows import ROWS
from benchmarks.works import WORKS, UnknownRow, named

BOUNDS = {
    "50x50, no file": 0.7,
    "50x50, written, frames_per_chunk auto": 0.6,
    "50x50, written, one frame a chunk": 0.35,
    "512x512, written": 0.85,
    "1065x1030 bslz4 (368 kB), written": 0.95,
    "2000x4000 (16 MB), written": 0.9,
    "368 kB, written, with a client, wait": 0.85,
    "368 kB, written, with a client, drop": 0.8,
    "368 kB, written, from DECTRIS stream v1": 0.85,
    "368 kB, written, from DECTRIS stream v2": 0.85,
    "368 kB, written, live view at 10 Hz": 0.95,
}
LARGEST_FILE = 7e9


def test_each_row_asks_for_what_was_agreed():
    assert {row.name: row.least for row in ROWS} == BOUNDS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_file_leaves_room_in_memory(row):
    assert row.frames * row.frame_bytes < LARGEST_FILE


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_cheap_series_is_the_same_work_with_fewer_frames(row):
    cheap = row.cheap()
    assert 4 <= cheap.frames <= 1000
    assert (cheap.shape, cheap.config, cheap.stream) == (
        row.shape,
        row.config,
        row.stream,
    )


def test_what_is_forwarded_may_be_held_beside_what_is_written():
    most = {row.name: row.most_mib for row in ROWS}
    assert most["1065x1030 bslz4 (368 kB), written"] == 250 + 256
    assert most["368 kB, written, with a client, drop"] == 250 + 256 + 256


def test_rows_are_chosen_by_parts_of_their_names():
    assert named([]) == WORKS
    assert list(named(["2000", "idle"])) == [
        "2000x4000 (16 MB), written",
        "idle, after a series",
    ]


def test_a_row_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(UnknownRow, match=r"'50x51'.*there are:\n  50x50, no file"):
        named(["50x51"])
