"""Rectangles of a frame, and their sums."""

import numpy as np
import pytest

from srx_service.regions import summed, within


@pytest.mark.parametrize(
    ("region", "inside"),
    [
        ((0, 0, 4, 5), (0, 0, 4, 5)),
        ((1, 2, 3, 4), (1, 2, 3, 4)),
        ((1, 2, 30, 40), (1, 2, 4, 5)),
        ((9, 9, 12, 12), (4, 5, 4, 5)),
    ],
)
def test_a_region_is_cut_to_the_frame(region, inside):
    assert within(region, (4, 5)) == inside


def test_masked_pixels_are_told_and_not_summed():
    pixels = np.arange(12, dtype="uint16").reshape(3, 4)
    pixels[1, 1] = 65535
    assert summed(pixels, (1, 0, 3, 2)) == {
        "region": (1, 0, 3, 2),
        "sum": 4 + 8 + 9,
        "counted": 3,
        "masked": 1,
        "max": 9,
    }


def test_a_region_is_told_as_it_was_asked_for():
    told = summed(np.ones((2, 2), "int8"), (1, 1, 9, 9))
    assert (told["region"], told["sum"], told["counted"]) == ((1, 1, 9, 9), 1, 1)


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_where_nothing_is_counted_there_is_no_largest(dtype):
    for region in ((0, 0, 2, 2), (5, 5, 6, 6)):
        told = summed(np.full((2, 2), np.array(-1).astype(dtype)) * _nan(dtype), region)
        assert (told["sum"], told["counted"], told["max"]) == (0, 0, None)


def _nan(dtype):
    return np.array(np.nan if dtype.startswith("f") else 1).astype(dtype)


def test_a_sum_is_exact_where_a_float_would_not_be():
    pixels = np.full((3, 1 << 20), 2**32 - 3, "uint32")
    assert summed(pixels, (0, 0, 3, 1 << 20))["sum"] == (2**32 - 3) * 3 * (1 << 20)


def test_a_sum_that_is_no_number_is_null():
    pixels = np.full((2, 2), 1e308)
    assert summed(pixels, (0, 0, 2, 2))["sum"] is None
