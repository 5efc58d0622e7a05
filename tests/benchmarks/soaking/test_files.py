import h5py
import numpy as np
import pytest

from benchmarks.soaking.files import GROUP, compare
from benchmarks.soaking.program import DATASET
from benchmarks.soaking.series import Frame, Kind, numbered

KIND = Kind((4, 4), "uint16", "none")
FRAMES = numbered(["sent", "sent"])
ROWS = [FRAMES[0], None, FRAMES[1]]
HOLE = 2**16 - 1


@pytest.fixture
def path(tmp_path):
    """A file as the service would make it of a frame, a hole and a frame."""
    path = tmp_path / "a.h5"
    pixels = [KIND.pixels(frame.token) for frame in FRAMES]
    with h5py.File(path, "w") as file:
        rows = [pixels[0], np.full((4, 4), HOLE, "u2"), pixels[1]]
        file.create_dataset(DATASET, data=np.stack(rows), fillvalue=HOLE)
        file[f"{GROUP}/sequence_number"] = [0, 2**32 - 1, 1]
        file[f"{GROUP}/missing_frames"] = [1]
    return path


def test_a_file_that_holds_what_was_sent_has_no_faults(path):
    assert compare(path, KIND, ROWS) == (0, [])


def test_a_frame_in_the_row_of_another_is_absent(path):
    found = compare(path, KIND, [FRAMES[1], None, FRAMES[0]])
    assert found.absent == 2
    assert "row 0" in found.faults[0]


def test_a_frame_that_did_not_fit_leaves_a_hole_with_its_number_or_none(path):
    good, unfit = FRAMES[0], Frame(5, 9, "unfit")
    rows = [good, unfit, FRAMES[1]]
    assert compare(path, KIND, rows) == (0, [])
    with h5py.File(path, "r+") as file:
        file[f"{GROUP}/sequence_number"][1] = 5
    assert compare(path, KIND, rows) == (0, [])
    assert "number 5" in compare(path, KIND, ROWS).faults[0]


def test_a_row_too_few_is_seen(path):
    found = compare(path, KIND, [*ROWS, *numbered(["sent"])])
    assert found.absent == 3
    assert "4 rows are due" in found.faults[0]


def test_a_hole_that_is_not_listed_is_seen(path):
    with h5py.File(path, "r+") as file:
        file[f"{GROUP}/missing_frames"][0] = 2
    assert compare(path, KIND, ROWS) == (0, ["missing_frames [2] instead of [1]"])


def test_a_file_that_is_not_there_lacks_all_its_frames(tmp_path):
    assert compare(tmp_path / "b.h5", KIND, ROWS).absent == 2


def test_a_file_without_a_frame_has_no_dataset(path, tmp_path):
    h5py.File(tmp_path / "b.h5", "w").close()
    assert compare(tmp_path / "b.h5", None, [None]) == (0, [])
    assert compare(path, None, []).faults == ["it holds what was never sent"]
