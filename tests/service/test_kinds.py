import math

import numpy as np
import pytest

from srx_service.kinds import BYTES_ROOM, MAX_ROOM, convert_for, kinds_of, numbers


def kept(first, *values):
    """What a column made for `first` keeps of these values."""
    (kind,) = kinds_of(first)
    return kind.convert([first, *values]).tolist()


@pytest.mark.parametrize(
    ("first", "dtype"),
    [
        (0.1, "float64"),
        (7, "float64"),
        (1 << 53, "int64"),
        (-(1 << 53), "int64"),
        (True, "int8"),
        ("text", "|S64"),
        ("long " * 20, "|S200"),
        ([1, 2.5], "float64"),
        ([[1, 2], [3, 4]], "float64"),
    ],
)
def test_a_first_value_decides_the_type(first, dtype):
    (kind,) = kinds_of(first)
    assert str(kind.dtype) == dtype


@pytest.mark.parametrize(
    "value", [None, {}, [], ["a"], [1, "a"], [[1], [1, 2]], [None], [1.0] * 3000]
)
def test_what_hdf5_has_no_fixed_type_for_makes_no_column(value):
    assert kinds_of(value) == []


def test_an_integer_first_does_not_cut_later_fractions():
    assert kept(1, 1.5, 3) == [1.0, 1.5, 3.0]


def test_large_integers_are_exact():
    assert kept((1 << 62) + 1, 5) == [(1 << 62) + 1, 5]


@pytest.mark.parametrize("odd", [None, "5", [1], {"a": 1}, b"6"])
def test_what_is_no_number_is_missing(odd):
    found = kept(1.5, odd, 2.5)
    assert math.isnan(found[1])
    assert found[::2] == [1.5, 2.5]


@pytest.mark.parametrize("odd", [1 << 32, -1, 1.5, math.nan, 10**30])
def test_numbers_a_type_cannot_hold_are_missing(odd):
    convert = numbers(np.uint32, 99)
    assert convert([1, odd, 2]).tolist() == [1, 99, 2]


def test_booleans_have_a_value_for_missing():
    assert kept(True, False, None, 300) == [1, 0, -1, -1]


def test_text_is_cut_between_characters():
    (kind,) = kinds_of("a")
    cut = kind.convert(["a" * 63 + "µ", "ok", None, 5])
    assert cut.tolist() == [b"a" * 63, b"ok", b"", b"5"]


def test_half_a_character_of_utf16_does_no_harm():
    assert kept("a", "\ud800") == [b"a", b"?"]


def test_a_vector_of_another_shape_is_missing():
    found = kept([1.0, 2.0], [1.0], 5.0, [3, 4], [1, "a"], None)
    assert found[3] == [3.0, 4.0]
    assert np.isnan([found[k] for k in (1, 2, 4, 5)]).all()


@pytest.mark.parametrize(
    ("given", "dtype", "missing"),
    [
        ("uint32", "uint32", 2**32 - 1),
        (">u4", "uint32", 2**32 - 1),
        ("int32", "int32", -1),
        ("float32", "float32", math.nan),
        ("uint8", "uint16", 2**16 - 1),
        ("bool", "int8", -1),
    ],
)
def test_arrays_keep_their_type_and_axes(given, dtype, missing):
    value = np.array([[0, 1], [1, 0]], given)
    (kind,) = kinds_of(value)
    found = kind.convert([value, None])
    assert (kind.dtype, kind.shape, found.dtype) == (dtype, (2, 2), dtype)
    assert np.array_equal(found[0], value)
    assert np.array_equal(found[1], np.full((2, 2), missing), equal_nan=True)
    assert kind.fill is missing or kind.fill == missing


@pytest.mark.parametrize("value", [np.array(5), np.zeros(0), np.array(["a"])])
def test_arrays_of_nothing_or_of_text_make_no_column(value):
    assert kinds_of(value) == []


def test_an_array_that_would_lose_something_is_missing():
    first = np.array([1, 2], np.int32)
    later = [np.array([3, 4], np.int64), np.array([1.5, 2.0]), np.array([5, 6], "i2")]
    (kind,) = kinds_of(first)
    assert kind.convert([first, *later]).tolist() == [
        [1, 2],
        [-1, -1],
        [-1, -1],
        [5, 6],
    ]


def test_bytes_take_a_second_column_for_their_length():
    data, length = kinds_of(b"\0\1")
    values = [b"\0\1", b"x" * 300, None]
    assert data.convert(values).shape == (3, BYTES_ROOM)
    assert data.convert(values)[1].tobytes() == b"x" * BYTES_ROOM
    assert length.convert(values).tolist() == [2, 300, 0]
    assert length.suffix == "_length"


def test_the_room_of_one_value_is_bounded():
    assert kinds_of(b"x" * 10_000_000)[0].shape == (MAX_ROOM,)
    assert kinds_of("x" * 10_000_000)[0].dtype.itemsize == MAX_ROOM


@pytest.mark.parametrize(
    "first",
    [
        *(0.5, 1 << 60, True, "text", [1.0, 2.0], b"bytes"),
        *(np.array([1, 2], dtype) for dtype in ("u1", "u4", "i4", "f4")),
    ],
)
def test_a_column_made_earlier_converts_alike(first):
    for kind in kinds_of(first):
        again = convert_for(kind.dtype, kind.shape)
        values = [first, None]
        assert str(again(values)) == str(kind.convert(values))
