import h5py
import numpy as np
import pytest

from srx_service.extendable import Extendable


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as opened:
        yield opened


def make(file, dtype="u4", shape=(), **more):
    limits = {"shape": (0, *shape), "maxshape": (None, *shape), "dtype": dtype}
    return file.create_dataset("x", **limits | more)


@pytest.mark.parametrize("dtype", ["u1", "i8", "f8", ">u4", "S5"])
def test_appended_rows_follow_one_another(file, dtype):
    made = make(file, dtype)
    column = Extendable(made.id)
    values = np.array([1, 2, 3]).astype(dtype)
    column.append(values[:2])
    column.append(values[2:])
    assert np.array_equal(made[:], values)
    assert np.array_equal(column.read(), values)


def test_rows_may_be_vectors(file):
    made = make(file, "f8", (2, 3))
    Extendable(made.id).append(np.arange(12.0).reshape(2, 2, 3))
    assert np.array_equal(made[1], np.arange(6.0, 12.0).reshape(2, 3))


def test_text_keeps_its_utf8(file):
    dtype = h5py.string_dtype("utf-8", 8)
    made = make(file, dtype)
    Extendable(made.id).append(np.array(["µm".encode()], dtype))
    assert made.asstr()[0] == "µm"


def test_rows_can_be_written_over(file):
    made = make(file, "i8", (2,))
    column = Extendable(made.id)
    column.resize(3)
    column.put(1, np.array([[7, 8]]))
    assert made[:].tolist() == [[0, 0], [7, 8], [0, 0]]


def test_added_rows_read_as_the_fill_value_and_cut_ones_are_gone(file):
    made = make(file, fillvalue=9)
    column = Extendable(made.id)
    column.append(np.array([1, 2], "u4"))
    column.resize(1)
    column.resize(3)
    assert made[:].tolist() == [1, 9, 9]


def test_only_extendable_datasets_are_found(file):
    file["scalar"], file["fixed"] = 1, [1, 2]
    file.create_group("group")
    make(file)
    names = ("scalar", "fixed", "group", "missing", "x")
    found = {name for name in names if Extendable.find(file["/"], name)}
    assert found == {"x"}
