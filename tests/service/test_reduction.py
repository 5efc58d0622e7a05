"""Frames made smaller: the largest of each block, masked pixels left out."""

import numpy as np
import pytest

from srx_service import picture, reduction
from srx_service.reduction import reduced

KINDS = ["uint8", "uint16", "uint32", "uint64", "int8", "int32", "float32", "float64"]


def plainly(pixels, step):
    """The same, pixel by pixel."""
    rows, columns = (-(-side // step) for side in pixels.shape)
    found = np.empty((rows, columns), pixels.dtype)
    for y in range(rows):
        for x in range(columns):
            at = np.s_[y * step : (y + 1) * step, x * step : (x + 1) * step]
            block = pixels[at]
            valid = block[~picture.masked(block)]
            nothing = picture.nothing(pixels.dtype)
            found[y, x] = valid.max() if valid.size else nothing
    return found


def frame(kind, shape, seed=1):
    """Counts with gaps, and pixels that are masked in every way there is."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 100, shape).astype(kind)
    masks = {"u": [-1, -2], "i": [-1, -2], "f": [np.nan, np.inf, -np.inf]}
    for value in masks[pixels.dtype.kind]:
        masked = rng.random(shape) < 0.2
        pixels[masked] = np.array(value).astype(pixels.dtype)
    pixels[2:8, :6] = picture.nothing(pixels.dtype)
    return pixels


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [2, 3, 7, 40])
def test_the_largest_of_each_block_that_is_not_masked_remains(kind, step):
    pixels = frame(kind, (23, 17))
    found, wanted = reduced(pixels, step), plainly(pixels, step)
    np.testing.assert_array_equal(picture.masked(found), picture.masked(wanted))
    valid = ~picture.masked(wanted)
    np.testing.assert_array_equal(found[valid], wanted[valid])
    assert found.dtype == pixels.dtype


def test_a_step_of_one_changes_nothing():
    pixels = frame("uint16", (4, 5))
    assert reduced(pixels, 1) is pixels


def test_bands_are_seamless(monkeypatch):
    pixels = frame("uint32", (50, 10))
    whole = reduced(pixels, 3)
    monkeypatch.setattr(reduction, "BAND_BYTES", 7 * pixels.strides[0])
    np.testing.assert_array_equal(reduced(pixels, 3), whole)


@pytest.mark.parametrize("kind", ["uint16", "int16", "float32", "bool"])
def test_what_is_read_only_and_what_is_cut_out_can_be_reduced(kind):
    pixels = np.ones((9, 9), kind)[1:, 2:]
    pixels.flags.writeable = False
    assert (reduced(pixels, 4) == pixels[0, 0]).all()


def test_a_single_photon_remains():
    pixels = np.zeros((100, 100), "uint16")
    pixels[57, 31] = 1
    assert reduced(pixels, 10)[5, 3] == 1
