import random

import numpy as np
import pytest

from benchmarks.soaking.series import (
    GOOD,
    LATER,
    Kind,
    Series,
    any_kind,
    clean,
    faulty,
    numbered,
)
from srx_service import codecs

KIND = Kind((16, 16), "uint16", "bslz4")


def test_no_two_frames_are_alike():
    first, second = numbered(["sent", "sent"])
    assert not np.array_equal(KIND.pixels(first.token), KIND.pixels(second.token))


@pytest.mark.parametrize("encoding", ["none", "bslz4", "lz4", "bszstd"])
def test_what_is_sent_of_a_frame_are_its_pixels(encoding):
    kind = Kind((3, 20, 30), ">u2", encoding)
    (frame,) = numbered(["sent"])
    pixels = codecs.decode(kind.image(frame))
    assert np.array_equal(pixels, kind.pixels(frame.token))


def test_a_frame_that_does_not_fit_shows_it():
    unfit, odd, repacked, good = map(
        KIND.image, numbered(["unfit", "odd", "repacked", "sent"])
    )
    assert len(unfit.blobs[0]) < len(good.blobs[0])
    assert odd.shape == (16, 24)
    assert (repacked.encoding, good.encoding) == ("none", "bslz4")


def test_a_frame_that_is_swapped_is_overtaken_by_the_next():
    series = Series(KIND, numbered(["swapped", "sent", "after the end", "swapped"]))
    assert [frame.index for frame in series.in_wire_order()] == [1, 0, 3]


@pytest.mark.parametrize(("end", "known"), [("sent", 4), ("twice", 4), ("lost", 2)])
def test_of_a_tail_without_an_end_nobody_knows(end, known):
    fates = ["lost", "broken", "garbled", "lost"]
    assert Series(KIND, numbered(fates), end=end).known == known


@pytest.mark.parametrize("seed", range(20))
def test_a_first_good_frame_decides_what_the_others_have_to_be_like(seed):
    rng = random.Random(seed)
    for _ in range(20):
        series = faulty(rng, any_kind(rng), 20, begins=seed % 2 == 0)
        fates = [frame.fate for frame in series.frames]
        first = next((k for k, fate in enumerate(fates) if fate in GOOD), len(fates))
        assert LATER.isdisjoint(fates[: first + 1])
        assert series.end != "lost" or "after the end" not in fates


def test_a_clean_series_is_not_faulty():
    assert not clean(KIND, 3).is_faulty
    assert Series(KIND, numbered(["sent"]), end="lost").is_faulty
    assert Series(KIND, numbered(["sent", "twice"])).is_faulty
