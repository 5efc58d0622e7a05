import io

import numpy as np
import pytest
from PIL import Image as Pillow

from srx_service import picture

GREYS = np.arange(100, dtype="uint16").reshape(10, 10)


def shown(pixels, scale="linear", low=None, high=None):
    made = picture.render(np.asarray(pixels), scale, low, high)
    return np.asarray(made.convert("RGB")).astype(int)


def is_mask(colours):
    return (colours == picture.MASK_COLOUR).all(axis=-1)


@pytest.mark.parametrize(
    ("dtype", "values", "is_masked"),
    [
        ("uint8", [0, 253, 254, 255], [False, False, True, True]),
        ("uint16", [0, 65533, 65534, 65535], [False, False, True, True]),
        ("uint32", [0, 65535, 2**32 - 2, 2**32 - 1], [False, False, True, True]),
        (">u4", [0, 65535, 2**32 - 2, 2**32 - 1], [False, False, True, True]),
        ("int32", [0, 5, -1, -2], [False, False, True, True]),
        ("float32", [0, -5, np.nan, np.inf], [False, False, True, True]),
        ("bool", [0, 1], [False, False]),
    ],
)
def test_what_counts_nothing_is_masked_by_its_type(dtype, values, is_masked):
    assert picture.masked(np.array(values, dtype)).tolist() == is_masked


def test_means_of_integers_are_cut_off_and_far_edges_are_smaller_blocks():
    pixels = np.array([[1, 2, 9], [2, 2, 9], [5, 6, 7]], "uint16")
    assert picture.block_mean(pixels, 2).tolist() == [[1, 9], [5, 7]]
    assert picture.block_mean(pixels, 2).dtype == "uint16"


def test_only_the_last_two_axes_are_reduced():
    pixels = np.arange(2 * 5 * 7, dtype="int32").reshape(2, 5, 7)
    assert picture.block_mean(pixels, 3).shape == (2, 2, 3)


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_a_step_of_one_or_less_changes_nothing(step):
    assert picture.block_mean(GREYS, step) is GREYS


def test_a_step_beyond_the_picture_makes_it_one_pixel():
    assert picture.block_mean(GREYS, 65535).tolist() == [[49]]


@pytest.mark.parametrize("shape", [(), (5,), (0, 5), (3, 0)])
def test_what_has_no_blocks_is_left_as_it_is(shape):
    assert picture.block_mean(np.zeros(shape), 2).shape == shape


@pytest.mark.parametrize("dtype", ["uint8", "uint32", "uint64", "int64", "float32"])
def test_means_do_not_overflow(dtype):
    largest = 200 if dtype == "uint8" else 2**31
    pixels = np.full((64, 64), largest, dtype)
    assert (picture.block_mean(pixels, 64) == largest).all()


@pytest.mark.parametrize(
    ("dtype", "mask"), [("uint16", 65535), ("int32", -1), ("float32", np.nan)]
)
def test_masked_pixels_do_not_spoil_a_mean(dtype, mask):
    pixels = np.array([[4, mask, mask, mask], [6, 5, mask, mask]], dtype)
    mean = picture.block_mean(pixels, 2, picture.masked(pixels))
    np.testing.assert_array_equal(mean, np.array([[5, mask]], dtype))


@pytest.mark.parametrize("scale", ["linear", "log", "sqrt"])
@pytest.mark.parametrize("dtype", ["uint16", "int32", "float64"])
def test_brighter_pixels_are_brighter_on_every_scale(scale, dtype):
    row = shown(GREYS.reshape(1, -1).astype(dtype), scale, 0, 99)[0, :, 0]
    assert (np.diff(row) >= 0).all()
    assert (row[0], row[-1]) == (0, 255)


def test_log_and_sqrt_bring_out_what_is_faint():
    row = np.array([[0, 1, 1000]], "uint32")
    linear, root, log = (
        shown(row, s, 0, 1000)[0, 1, 0] for s in ("linear", "sqrt", "log")
    )
    assert linear < root < log


def test_masked_pixels_have_a_colour_of_their_own():
    pixels = np.array([[0, 5, 65535], [10, 65534, 7]], "uint16")
    assert is_mask(shown(pixels)).tolist() == [
        [False, False, True],
        [False, True, False],
    ]


def test_a_few_hot_pixels_do_not_make_all_others_black():
    pixels = np.random.default_rng(1).poisson(10, (300, 300)).astype("uint32")
    pixels[0, :3] = 4_000_000
    assert shown(pixels)[..., 0].mean() > 60


def test_a_few_photons_on_black_are_seen():
    pixels = np.zeros((300, 300), "uint16")
    pixels[5, 5] = 1
    assert shown(pixels)[5, 5].tolist() == [255] * 3


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((4, 4), 65535, "uint16"),
        np.full((4, 4), np.nan),
        np.full((4, 4), 7, "uint8"),
        np.zeros((4, 4), bool),
        np.zeros((0, 4), "uint16"),
        np.float32(3),
        np.arange(5),
    ],
)
@pytest.mark.parametrize("scale", ["linear", "log", "sqrt"])
def test_anything_can_be_shown(pixels, scale):
    assert shown(pixels, scale).size > 0


def test_more_than_two_axes_are_stacked():
    assert shown(np.zeros((2, 3, 4, 5), "uint8")).shape == (24, 5, 3)


@pytest.mark.parametrize("shape", [(4096, 4096), (1, 3_000_000), (3_000_000, 1)])
def test_large_frames_are_reduced(shape):
    rows, columns, _ = shown(np.zeros(shape, "uint8")).shape
    assert rows * columns <= picture.MAX_PIXELS
    assert max(rows, columns) <= picture.MAX_SIDE


@pytest.mark.parametrize(
    ("write", "kind"), [(picture.as_png, "PNG"), (picture.as_jpg, "JPEG")]
)
def test_pictures_are_what_they_are_called(write, kind):
    with Pillow.open(io.BytesIO(write(picture.render(GREYS, "log", 0, 9)))) as read:
        assert (read.format, read.size) == (kind, (10, 10))


@pytest.mark.parametrize("scale", ["linear", "log", "sqrt"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int16", ">u2"])
@pytest.mark.parametrize("limits", [(None, None), (3.5, 90.25), (-20, 70000)])
def test_levels_that_are_looked_up_are_those_that_are_computed(
    monkeypatch, scale, dtype, limits
):
    pixels = np.random.default_rng(1).integers(0, 120, (40, 50)).astype(dtype)
    pixels[3:5] = picture.nothing(pixels.dtype)
    looked_up = shown(pixels, scale, *limits)
    monkeypatch.setattr(picture, "LEVELS_LISTED", 0)
    assert np.array_equal(looked_up, shown(pixels, scale, *limits))


def test_of_many_pixels_a_sample_finds_black_and_white():
    pixels = np.random.default_rng(1).poisson(200, (1000, 1000)).astype("uint32")
    pixels[:, 500:510] = 2**32 - 1
    valid = ~picture.masked(pixels)
    found = picture._percentiles(pixels, valid, picture.PERCENTILES)
    exact = np.percentile(pixels[valid], picture.PERCENTILES)
    assert found == pytest.approx(exact, rel=0.02)


def test_a_few_photons_are_white_though_no_sample_has_them():
    pixels = np.zeros((1000, 1000), "uint32")
    pixels[123, 457] = 7
    assert shown(pixels)[123, 457].tolist() == [255, 255, 255]


FAR = [(1e300, None), (6e15, None), (None, -1e300), (-1e300, -1e299), (-70, -60)]
FAR += [(1e308, -1e308), (2.0**64, None), (-1e308, 1e308), (300.5, 1e9), (7e4, 7e4)]


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "u8", "i8", "f4", "f8", "?"])
def test_limits_that_no_pixel_reaches_are_taken(dtype):
    pixels = np.eye(3, 4, dtype=dtype)
    for scale in ("linear", "log", "sqrt"):
        for low, high in FAR:
            assert shown(pixels, scale, low, high).shape == (3, 4, 3)


def test_below_black_all_is_black_and_above_white_all_is_white():
    counts = np.array([[0, 5, 60_000]], "u2")
    assert (shown(counts, low=1e18) == 0).all()
    assert (shown(counts, low=-70, high=-60) == 255).all()
