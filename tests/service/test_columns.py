import h5py
import msgspec
import numpy as np
import pytest

from srx_service.columns import MAX_COLUMNS, columns_in, flatten, make_columns
from srx_service.metadata import save_metadata
from tests.service.writing import image


@pytest.fixture
def group(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        yield file.create_group("detector")


def shot(frame, **extras):
    return image(frame, extras=extras)


def extend(columns, frames, arrival_s):
    columns.extend(frames, [arrival_s] * len(frames))


def test_every_frame_has_its_number_and_arrival(group):
    columns = make_columns(group, None)
    extend(columns, [image(7), image(8)], 5.0)
    extend(columns, [image(10)], 6.0)
    columns.write()
    assert group["sequence_number"][:].tolist() == [7, 8, 10]
    assert group["sequence_number"].dtype == np.uint32
    assert group["timestamp"][:].tolist() == [5.0, 5.0, 6.0]


def test_a_row_without_a_frame_has_neither(group):
    columns = make_columns(group, None)
    extend(columns, [image(0)], 5.0)
    columns.skip(2)
    columns.write()
    assert group["sequence_number"][:].tolist() == [0, 2**32 - 1, 2**32 - 1]
    assert np.isnan(group["timestamp"][1:]).all()


def test_nested_fields_become_columns_joined_by_an_underscore(group):
    first = shot(0, exposure=0.5, timestamps={"dcu": "12:00", "fpga": {"ns": 5}})
    columns = make_columns(group, first)
    extend(columns, [first], 5.0)
    columns.write()
    assert group["exposure"][0] == 0.5
    assert group["timestamps_dcu"].asstr()[0] == "12:00"
    assert group["timestamps_fpga_ns"][0] == 5


def test_fields_come_as_dict_or_json(group):
    text = b'{"htype": "image", "frame": 1, "shape": [6, 8], "q": 1.5}'
    columns = make_columns(group, image(0, extras=text))
    extend(columns, [image(0, extras=text), shot(1, q=2.5), image(2)], 5.0)
    columns.write()
    assert set(group) == {"sequence_number", "timestamp", "q"}
    assert np.array_equal(group["q"], [1.5, 2.5, np.nan], equal_nan=True)


def test_where_modules_are_is_no_column_when_the_header_tells_it(group):
    where = {"x": [0, 5], "y": [0, 0], "rotation": [0, 90], "full_shape": [9, 9]}
    save_metadata(group, where)
    make_columns(group, shot(0, **where, q=1.5))
    assert set(group) == {"sequence_number", "timestamp", "q", *where}
    assert {name: group[name][:].tolist() for name in where} == where


@pytest.mark.parametrize("told", [{}, {"x": [1, 5]}, {"x": 0}, {"x": {"start": 0}}])
def test_where_modules_are_is_a_column_when_the_header_tells_another(group, told):
    save_metadata(group, told)
    columns = make_columns(group, shot(0, x=[0, 5]))
    extend(columns, [shot(0, x=[0, 5])], 5.0)
    columns.write()
    assert group["x_" if told else "x"][:].tolist() == [[0, 5]]


def test_extras_that_cannot_be_read_are_missing(group):
    columns = make_columns(group, shot(0, q=1.5))
    extend(columns, [image(0, extras=b"{broken"), image(1, extras=b"[1]")], 5.0)
    columns.write()
    assert np.isnan(group["q"]).all()


def test_a_later_frame_may_lack_or_change_fields(group):
    columns = make_columns(group, shot(0, a=1.5, b={"c": "x"}))
    extend(columns, [shot(0, a=1.5, b={"c": "x"}), shot(1, b=7), shot(2, d=1)], 5.0)
    columns.write()
    assert group["b_c"][:].tolist() == [b"x", b"", b""]
    assert np.isnan(group["a"][1:]).all()
    assert "d" not in group


def test_bytes_are_kept_with_their_length(group):
    columns = make_columns(group, shot(0, image_appendix=b"\0abc"))
    extend(columns, [shot(0, image_appendix=b"\0abc"), shot(1)], 5.0)
    columns.write()
    assert group["image_appendix_length"][:].tolist() == [4, 0]
    assert group["image_appendix"][0, :4].tobytes() == b"\0abc"


@pytest.mark.parametrize("name", ["data", "timestamp", "a/b", "", "\0", "a.b", "."])
def test_odd_names_are_made_fit_and_come_back_when_appended_to(group, name):
    make_columns(group, shot(0, **{name: 1.5}), frozenset({"data", "timestamp"}))
    again = columns_in(group)
    extend(again, [shot(0, **{name: 2.5})], 5.0)
    again.write()
    (made,) = set(group) - {"sequence_number", "timestamp"}
    assert group[made][0] == 2.5


def test_names_that_become_the_same_are_kept_apart(group):
    first = image(0, extras={"a": {"b": 1}, "a_b": 2, "a.b": 3})
    columns = make_columns(group, first)
    extend(columns, [first], 5.0)
    columns.write()
    assert {group[name][0] for name in ("a_b", "a_b_", "a_b__")} == {1, 2, 3}


def test_the_number_of_columns_is_bounded(group, caplog):
    make_columns(group, shot(0, **{f"k{k}": k for k in range(MAX_COLUMNS + 50)}))
    assert len(group) == MAX_COLUMNS + 2
    assert "only 256 columns" in caplog.text


def test_a_name_without_end_makes_no_column(group):
    make_columns(group, shot(0, **{"k" * 100_000: 1}))
    assert set(group) == {"sequence_number", "timestamp"}


def test_appending_adds_no_column_to_a_file_that_lacks_it(group):
    group.create_dataset("sequence_number", (3,), "u4", maxshape=(None,))
    columns = columns_in(group)
    columns.truncate(3)
    extend(columns, [shot(3, exposure=0.5)], 5.0)
    columns.write()
    assert set(group) == {"sequence_number"}
    assert group["sequence_number"][:].tolist() == [0, 0, 0, 3]


def test_a_column_shorter_than_the_data_is_filled_up_first(group):
    columns = make_columns(group, shot(0, q=1.5))
    extend(columns, [shot(0, q=1.5)], 5.0)
    columns.write()
    again = columns_in(group)
    again.truncate(3)
    extend(again, [shot(3, q=4.5)], 5.0)
    again.write()
    assert np.array_equal(group["q"], [1.5, np.nan, np.nan, 4.5], equal_nan=True)


@pytest.mark.parametrize("written", [0, 3, 5])
def test_rows_are_taken_back_whether_written_or_not(group, written):
    columns = make_columns(group, None)
    frames = [image(frame) for frame in range(5)]
    extend(columns, frames[:written], 5.0)
    columns.write()
    extend(columns, frames[written:], 5.0)
    columns.truncate(2)
    extend(columns, [image(9)], 5.0)
    columns.write()
    assert group["sequence_number"][:].tolist() == [0, 1, 9]


def test_metadata_of_the_name_timestamp_is_not_written_over(group):
    group["timestamp"] = "2020-01-01"
    columns = make_columns(group, None)
    extend(columns, [image(0)], 5.0)
    columns.write()
    assert group["timestamp"].asstr()[()] == "2020-01-01"


def test_another_programs_attribute_does_no_harm(group):
    group.attrs["columns"] = "x, y"
    assert columns_in(group).fields == []


def test_paths_lead_to_nested_values():
    header = msgspec.json.decode(b'{"a": {"b": {"c": 1}, "d": 2}, "e": {}}')
    assert flatten(header) == {("a", "b", "c"): 1, ("a", "d"): 2}
