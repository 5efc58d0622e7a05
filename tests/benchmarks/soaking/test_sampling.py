import math

import pytest

from benchmarks.soaking.program import Held
from benchmarks.soaking.sampling import KEPT, after_warm_up, grown, thinned


def samples(count):
    return [Held(float(k), 100.0, 20, 9) for k in range(count)]


def test_what_goes_up_and_down_does_not_grow():
    assert grown(range(6), [100, 110, 100, 110, 110, 100]) == pytest.approx(0, abs=2)


def test_what_grows_is_seen():
    assert grown(range(0, 50, 10), [100, 102, 104, 106, 108]) == pytest.approx(8)


def test_one_sample_tells_nothing():
    assert math.isnan(grown([1.0], [100.0]))


def test_the_first_part_of_the_time_is_left_out():
    assert [s.at_s for s in after_warm_up(samples(9), 0.25)] == [2, 3, 4, 5, 6, 7, 8]
    assert after_warm_up([], 0.25) == []


def test_of_many_samples_some_are_kept():
    assert len(thinned(samples(KEPT))) == KEPT
    found = thinned(samples(4 * KEPT + 1))
    assert len(found) <= KEPT
    assert found[1].at_s - found[0].at_s == 5
