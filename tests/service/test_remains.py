import h5py
import pytest

from srx_service.errors import WriteError
from srx_service.remains import Remains, remains_of
from tests.service.writing import DATASET, acquisition, image, images


def test_of_a_file_with_several_acquisitions_the_last_is_told(desk):
    desk.series(*images(0, 1))
    made = desk.begin()
    desk.write(made, image(2))
    desk.lose(made, 1)
    desk.write(made, image(4))
    desk.end(made)
    found = remains_of(desk.file, DATASET)
    assert (found.acquisition, found.rows, found.holes) == (made.id, 3, [1])
    assert found.counts["written"] == 2


def test_a_file_before_its_first_header_is_of_whom_it_was_made_for(desk):
    made = acquisition(desk.file, series="open")
    desk.writer._filing.open(made, append=False)
    desk.end(made)
    nothing = Remains(acquisition=made.id, rows=0, holes=[], counts=None)
    assert remains_of(desk.file, DATASET) == nothing


def test_a_file_without_frames_of_ours_has_none(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[DATASET] = 1
    assert remains_of(tmp_path / "a.h5", DATASET).rows == 0


@pytest.mark.parametrize("content", [None, b"", b"text"])
def test_what_cannot_be_read_is_told(tmp_path, content):
    path = tmp_path / "a.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WriteError, match=r"a\.h5: "):
        remains_of(path, DATASET)
