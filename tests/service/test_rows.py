import h5py
import numpy as np
import pytest

from srx_service.rows import count_frames, find_rows

GROUP = "/entry/instrument/eiger"


@pytest.fixture
def file():
    with h5py.File("rows.h5", "w", driver="core", backing_store=False) as made:
        yield made


def make(file, name, rows, shape=(), dtype="u4", marked=True):
    dataset = file.create_dataset(
        name, (rows, *shape), dtype, maxshape=(None, *shape), fillvalue=7
    )
    if marked:
        dataset.attrs["rows"] = "one per frame"
    return dataset


def lengths(group):
    return {name: len(each) for name, each in group.items() if each.shape}


def test_durable_is_what_frames_and_their_numbers_both_have(file):
    make(file, f"{GROUP}/data", 9, (2, 3))
    make(file, f"{GROUP}/sequence_number", 5)
    make(file, f"{GROUP}/appendix", 4, (1000,), "u1")
    assert [rows.durable() for rows in find_rows(file)] == [5]
    assert count_frames(file) == 5


def test_the_link_in_entry_data_is_no_second_set_of_frames(file):
    file["/entry/data/data"] = make(file, f"{GROUP}/data", 9, (2, 3))
    make(file, f"{GROUP}/sequence_number", 5)
    assert [rows.group.name for rows in find_rows(file)] == [GROUP]


def test_all_columns_come_to_one_length_and_shorter_ones_are_filled(file):
    make(file, f"{GROUP}/data", 9, (2, 3))
    make(file, f"{GROUP}/sequence_number", 5)
    make(file, f"{GROUP}/real_time", 2)[:] = 0
    (rows,) = find_rows(file)
    assert rows.trim(4) == {f"{GROUP}/data": 5, f"{GROUP}/sequence_number": 1}
    assert set(lengths(rows.group).values()) == {4}
    assert rows.group["real_time"][:].tolist() == [0, 0, 7, 7]


def test_holes_beyond_the_last_row_are_taken_off_the_list(file):
    make(file, f"{GROUP}/data", 9, (2, 3))
    make(file, f"{GROUP}/sequence_number", 9)
    make(file, f"{GROUP}/missing_frames", 3, marked=False)[:] = [1, 4, 8]
    make(file, f"{GROUP}/missing_reason", 3, marked=False)[:] = [1, 2, 1]
    (rows,) = find_rows(file)
    rows.trim(5)
    assert rows.group["missing_frames"][:].tolist() == [1, 4]
    assert rows.group["missing_reason"][:].tolist() == [1, 2]


def test_what_is_not_one_per_frame_keeps_its_length(file):
    make(file, f"{GROUP}/data", 9, (2, 3))
    make(file, f"{GROUP}/sequence_number", 5)
    make(file, f"{GROUP}/header_log", 80, marked=False)
    file[GROUP]["mask"] = np.zeros((9, 9))
    file[GROUP]["nothing"] = h5py.Empty("f8")
    (rows,) = find_rows(file)
    rows.trim(5)
    assert len(rows.group["header_log"]) == 80
    assert rows.group["mask"].shape == (9, 9)


def test_the_predecessors_files_are_known_by_their_names(file):
    make(file, f"{GROUP}/my_frames", 9, (2, 3), marked=False)
    make(file, f"{GROUP}/sequence_number", 5, marked=False)
    make(file, f"{GROUP}/timestamps", 2, marked=False)
    (rows,) = find_rows(file)
    assert rows.members.keys() == {"my_frames", "sequence_number"}


def test_frames_without_numbers_count_by_themselves(file):
    make(file, f"{GROUP}/data", 9, (2, 3))
    assert count_frames(file) == 9


def test_a_file_without_frames_has_none(file):
    make(file, f"{GROUP}/sequence_number", 5)
    file["a"] = h5py.SoftLink("/nowhere")
    file["b"] = h5py.ExternalLink("nowhere.h5", "/x")
    assert count_frames(file) is None
