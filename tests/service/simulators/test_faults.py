import random
from collections import Counter

import pytest

from srx_service.errors import ConfigError
from srx_service.simulators.faults import Died, Faults


def order(text, count=1000, seed=0):
    return list(Faults.parse(text).order(range(count), random.Random(seed)))


def test_all_faults_are_read():
    text = "drop=0.01, duplicate=0.02,reorder=0.03,lose_module=0.04,stall=5@100,die=50"
    assert Faults.parse(text) == Faults(
        drop=0.01,
        duplicate=0.02,
        reorder=0.03,
        lose_module=0.04,
        stall_s=5.0,
        stall_at=100,
        die_at=50,
    )


def test_an_empty_text_is_no_faults():
    assert Faults.parse("") == Faults()
    assert order("") == list(range(1000))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("drip=0.1", "'drip' is not one of them"),
        ("drop", "could not convert"),
        ("drop=2", "2 is not between 0 and 1"),
        ("drop=-0.1", "not between"),
        ("drop=nan", "nan is not between"),
        ("duplicate=0.1,duplicate=0.2", "given twice"),
        ("stall=5", "invalid literal"),
        ("stall=-5@1", "not between"),
        ("die=1.5", "invalid literal"),
        ("die=-1", "counted from 0"),
    ],
)
def test_a_bad_text_is_refused_with_what_is_wrong(text, complaint):
    with pytest.raises(ConfigError, match=complaint):
        Faults.parse(text)


def test_dropped_frames_never_come_and_are_about_as_many_as_asked():
    got = order("drop=0.1")
    assert got == sorted(set(got))
    assert 850 < len(got) < 950


def test_doubled_frames_follow_one_another():
    got = order("duplicate=0.1")
    assert sorted(set(got)) == list(range(1000))
    assert set(Counter(got).values()) == {1, 2}
    assert got == sorted(got)


def test_reordered_frames_change_places_with_their_neighbour_and_none_is_lost():
    got = order("reorder=0.2")
    assert sorted(got) == list(range(1000))
    assert {frame - place for place, frame in enumerate(got)} == {-1, 0, 1}


def test_the_last_frame_of_a_trigger_is_not_kept_for_the_next():
    assert order("reorder=1", count=3) == [1, 0, 2]


def test_any_module_may_be_lost_about_as_often_as_asked():
    faults, rng = Faults.parse("lose_module=0.2"), random.Random(0)
    lost = Counter(faults.lost_module(4, rng) for _ in range(1000))
    assert set(lost) == {None, 0, 1, 2, 3}
    assert 750 < lost[None] < 850


def test_the_only_module_is_never_lost():
    faults = Faults.parse("lose_module=1")
    assert faults.lost_module(1, random.Random(0)) is None


def test_the_same_seed_makes_the_same_faults():
    text = "drop=0.1,duplicate=0.1,reorder=0.1"
    assert order(text, seed=1) == order(text, seed=1) != order(text, seed=2)


def test_the_stall_is_before_its_frame_only():
    faults = Faults.parse("stall=1.5@3")
    assert [faults.stall_before(frame) for frame in range(5)] == [0, 0, 0, 1.5, 0]


def test_death_comes_before_its_frame():
    got = []
    with pytest.raises(Died, match="before frame 3"):
        got.extend(Faults.parse("die=3").order(range(10), random.Random(0)))
    frames = Faults.parse("die=3").order(range(10), random.Random(0))
    assert [next(frames) for _ in range(3)] == [0, 1, 2]
