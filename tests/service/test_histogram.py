"""How often values occur, in bins for a viewer."""

import math

import numpy as np
import pytest

from srx_service.histogram import SAMPLED, histogram


def test_few_integers_have_a_bin_each():
    pixels = np.array([[0, 1, 1], [3, 65535, 65534]], "uint16")
    assert histogram(pixels, 128) == {
        "low": 0.0,
        "high": 4.0,
        "counts": [1, 2, 0, 1],
        "masked": 2,
        "step": 1,
    }


def test_many_integers_share_bins_equally():
    told = histogram(np.arange(1000, dtype="int32").reshape(10, 100), 100)
    assert (told["low"], told["high"]) == (0.0, 1000.0)
    assert told["counts"] == [10] * 100


def test_floats_are_counted_and_nan_is_masked():
    pixels = np.array([[-1.0, 0.0, 0.9, 1.0, math.nan, math.inf]])
    told = histogram(pixels, 2)
    assert (told["low"], told["high"], told["masked"]) == (-1.0, 1.0, 2)
    assert told["counts"] == [1, 3]


def test_a_hot_pixel_is_counted_in_the_last_bin():
    pixels = np.zeros((100, 100), "uint32")
    pixels[:50] = 10
    pixels[0, 0] = 4_000_000
    told = histogram(pixels, 64)
    assert told["high"] < 20
    assert sum(told["counts"]) == 10_000


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((3, 4), 65535, "uint16"),
        np.full((3, 4), -1, "int32"),
        np.full((3, 4), np.nan),
    ],
)
def test_all_masked_there_is_one_empty_bin(pixels):
    told = histogram(pixels, 16)
    assert (told["counts"], told["masked"]) == ([0], 12)
    assert told["low"] < told["high"]


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((4, 4), 7, "uint64"),
        np.full((4, 4), -7.5),
        np.full((4, 4), 1e300),
        np.array([[-1.7e308, 1.7e308]]),
    ],
)
def test_values_all_alike_or_far_apart_are_counted(pixels):
    told = histogram(pixels, 2)
    assert sum(told["counts"]) == pixels.size
    assert math.isfinite(told["low"])
    assert told["low"] < told["high"]


def test_a_large_frame_is_sampled_in_all_its_columns():
    pixels = np.tile(np.arange(1024, dtype="uint16"), (2048, 1))
    told = histogram(pixels, 256)
    counted = sum(told["counts"])
    assert counted <= 2 * SAMPLED
    assert abs(counted * told["step"] - pixels.size) < told["step"]
    assert min(told["counts"]) > 0.9 * counted / 256
