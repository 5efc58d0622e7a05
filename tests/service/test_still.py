"""One frame, as its viewers are shown it."""

import json
import math

import hypothesis.extra.numpy as made
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srx_service import still as module
from srx_service.still import PARTS_KEPT, Still
from srx_service.wish import LEVELS, Wish

COUNTS = np.arange(200, dtype="uint16").reshape(10, 20)


def seen(pixels=COUNTS, **wish):
    """Return what is told, and the levels."""
    return read(Still(7, {"frame": 3}, pixels).message(Wish(**wish)))


def read(message):
    length = int.from_bytes(message[:4], "little")
    told = json.loads(message[4 : 4 + length])
    assert (4 + length) % 8 == 0
    levels = np.frombuffer(message, np.uint8, offset=4 + length)
    return told, levels.reshape(told["rows"], told["columns"])


def test_a_small_frame_is_shown_pixel_by_pixel():
    told, levels = seen(low=0, high=199)
    assert (told["serial"], told["header"]) == (7, {"frame": 3})
    assert (told["shape"], told["dtype"]) == ([10, 20], "uint16")
    assert (told["region"], told["step"]) == ([0, 0, 10, 20], 1)
    assert (told["low"], told["high"]) == (0, 199)
    np.testing.assert_array_equal(levels, np.rint(COUNTS / 199 * 254))
    assert told["cursor"] is told["histogram"] is None
    assert told["sums"] == []


def test_a_large_frame_is_reduced_to_what_is_wanted():
    told, levels = seen(np.ones((300, 100), "int32"), max_rows=60, max_columns=50)
    assert (told["step"], levels.shape) == (5, (60, 20))


def test_a_region_is_shown_larger():
    told, levels = seen(region=(2, 3, 4, 30), max_rows=2)
    assert (told["region"], told["step"], levels.shape) == ([2, 3, 4, 20], 1, (2, 17))


def test_blocks_are_the_same_wherever_the_region_begins():
    pixels = np.random.default_rng(1).integers(0, 255, (60, 60)).astype("uint8")
    whole, all_levels = seen(pixels, max_rows=20, max_columns=20, low=0, high=253)
    told, levels = seen(
        pixels, region=(10, 7, 60, 60), max_rows=19, max_columns=19, low=0, high=253
    )
    assert (whole["step"], told["step"], told["region"]) == (3, 3, [9, 6, 60, 60])
    np.testing.assert_array_equal(levels, all_levels[3:, 2:])


@pytest.mark.parametrize("side", [1, 2, 3])
@pytest.mark.parametrize("first", [0, 5, 9])
def test_no_picture_is_larger_than_wanted(side, first):
    told, levels = seen(region=(first, first, 10, 10), max_rows=side, max_columns=side)
    assert max(levels.shape) <= side
    assert told["region"][2:] == [10, 10]


def test_of_another_detectors_frame_all_is_shown():
    assert seen(region=(50, 50, 60, 60))[0]["region"] == [0, 0, 10, 20]


def test_masked_pixels_have_a_level_of_their_own():
    pixels = COUNTS.copy()
    pixels[3, 4:6] = 65535, 65534
    told, levels = seen(pixels)
    assert np.argwhere(levels == LEVELS).tolist() == [[3, 4], [3, 5]]
    assert told["high"] <= 199


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((8, 8), 2**32 - 1, "uint32"),
        np.full((8, 8), -2, "int16"),
        np.full((8, 8), math.nan, "float32"),
        np.full((8, 8), -math.inf),
    ],
)
def test_all_masked_it_is_a_picture_all_the_same(pixels):
    told, levels = seen(pixels, histogram=8, cursor=(1, 1), sums=[(0, 0, 8, 8)])
    assert (levels == LEVELS).all()
    assert told["cursor"]["value"] is None
    assert (told["sums"][0]["counted"], told["sums"][0]["masked"]) == (0, 64)
    assert told["histogram"]["masked"] == 64


@pytest.mark.parametrize("scale", ["linear", "log", "sqrt"])
@pytest.mark.parametrize("dtype", ["int8", "int32", "float16", "float32", "float64"])
def test_signed_and_float_frames_are_shown(dtype, scale):
    pixels = np.linspace(-5, 100, 200).reshape(10, 20).astype(dtype)
    told, levels = seen(pixels, scale=scale, histogram=4)
    masked = pixels < 0 if pixels.dtype.kind == "i" else np.zeros_like(pixels, bool)
    np.testing.assert_array_equal(levels == LEVELS, masked)
    assert levels[~masked].max() == LEVELS - 1
    assert (np.diff(levels[~masked].astype(int)) >= 0).all()
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize(
    ("cursor", "value"),
    [((0, 0), 0), ((9, 19), 199), ((3, 4), None), ((10, 0), None), ((0, 20), None)],
)
def test_the_value_under_the_cursor_is_told(cursor, value):
    pixels = COUNTS.copy()
    pixels[3, 4] = 65535
    told, _ = seen(pixels, cursor=cursor, max_rows=2, max_columns=2)
    assert told["cursor"] == {"y": cursor[0], "x": cursor[1], "value": value}


def test_sums_are_of_all_pixels_whatever_is_shown():
    told, _ = seen(sums=[(0, 0, 2, 20), (9, 0, 10, 1)], region=(5, 5, 6, 6))
    assert [each["sum"] for each in told["sums"]] == [sum(range(40)), 180]


def test_the_histogram_is_of_what_is_shown():
    told, _ = seen(region=(5, 5, 6, 10), histogram=5)
    assert told["histogram"]["counts"] == [1] * 5


def test_channels_are_stacked():
    told, levels = seen(np.arange(24, dtype="uint8").reshape(2, 3, 4), low=0, high=23)
    assert (told["shape"], levels.shape) == ([2, 3, 4], (6, 4))
    assert (np.diff(levels.reshape(-1).astype(int)) > 0).all()


@pytest.mark.parametrize(
    ("shape", "rows"), [((5,), (1, 5)), ((), (1, 1)), ((0, 4), (1, 1))]
)
def test_odd_shapes_are_shown(shape, rows):
    assert seen(np.ones(shape))[1].shape == rows


def test_what_cannot_be_unpacked_is_told():
    header = {"shape": [4, 5], "type": "uint8"}
    message = Still(7, header, None, "too short").message(Wish(cursor=(1, 1)))
    told, levels = read(message)
    assert (told["error"], told["shape"], told["dtype"]) == (
        "too short",
        [4, 5],
        "uint8",
    )
    assert levels.size == 0


def test_each_part_is_made_once(monkeypatch):
    made = []
    levels_of = module.picture.levels_of
    monkeypatch.setattr(
        module.picture, "levels_of", lambda *a: made.append(a) or levels_of(*a)
    )
    still, wish = Still(1, {}, COUNTS), Wish(histogram=5, sums=[(0, 0, 1, 1)])
    assert not still.is_ready(wish)
    messages = {still.message(wish) for _ in range(3)}
    assert (len(messages), len(made)) == (1, 1)
    assert still.is_ready(wish)
    assert still.is_ready(wish.changed('{"cursor": [1, 1]}'))
    assert not still.is_ready(wish.changed('{"histogram": 6}'))
    assert not still.is_ready(wish.changed('{"sums": [[0, 0, 1, 2]]}'))
    assert not still.is_ready(wish.changed('{"low": 6}'))


def test_no_more_parts_are_kept_than_allowed():
    still = Still(1, {}, COUNTS)
    for high in range(3 * PARTS_KEPT):
        still.message(Wish(high=high))
        assert len(still._parts) <= PARTS_KEPT


SIDES = st.integers(1, 12)
PLACES = st.integers(0, 40)
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
DTYPES = ["uint8", "uint16", "uint64", "int16", "int64", "float32", "float64", "bool"]
FRAMES = st.sampled_from(DTYPES).flatmap(
    lambda dtype: made.arrays(dtype, made.array_shapes(max_dims=3, max_side=20))
)
REGIONS = st.tuples(PLACES, PLACES, SIDES, SIDES).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)
WISHES = st.builds(
    Wish,
    max_rows=SIDES,
    max_columns=SIDES,
    region=st.none() | REGIONS,
    scale=st.sampled_from(["linear", "log", "sqrt"]),
    low=NUMBERS,
    high=NUMBERS,
    cursor=st.none() | st.tuples(PLACES, PLACES),
    sums=st.lists(REGIONS, max_size=3),
    histogram=st.integers(0, 20),
)


@settings(max_examples=100, deadline=None)
@given(pixels=FRAMES, wish=WISHES)
def test_whatever_is_wanted_of_whatever_frame_is_told(pixels, wish):
    still = Still(1, {}, pixels)
    told, levels = read(still.message(wish))
    y0, x0, y1, x1 = told["region"]
    assert 0 < levels.shape[0] == math.ceil((y1 - y0) / told["step"]) <= wish.max_rows
    assert 0 < levels.shape[1] == math.ceil((x1 - x0) / told["step"])
    assert levels.shape[1] <= wish.max_columns
    assert math.isfinite(told["low"])
    assert told["low"] < told["high"] < math.inf
    for region, found in zip(wish.sums, told["sums"], strict=True):
        assert found["region"] == list(region)
    assert (told["histogram"] is None) == (wish.histogram == 0)
    assert still.is_ready(wish)
