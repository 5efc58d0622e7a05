import pytest

from srx_service.durations import BOUNDS_S, Durations


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def durations(clock):
    return Durations(clock)


def let_take(durations, clock, seconds):
    with durations:
        clock.now_s += seconds


def test_without_a_call_all_is_nothing(durations):
    assert set(durations.as_dict().values()) == {0.0}
    assert [*durations.as_dict()] == [*map(str, BOUNDS_S), "+Inf", "sum"]


@pytest.mark.parametrize(
    ("seconds", "within"),
    [(0.0, "0.0001"), (0.25, "0.3"), (0.4, "1.0"), (99.0, "+Inf")],
)
def test_a_call_is_in_each_class_that_is_long_enough(durations, clock, seconds, within):
    let_take(durations, clock, seconds)
    told = durations.as_dict()
    assert next(bound for bound, number in told.items() if number) == within
    assert told["+Inf"] == 1
    assert told["sum"] == pytest.approx(seconds)


def test_a_class_holds_its_upper_end(clock):
    clock.now_s = 0.0
    durations = Durations(clock)
    let_take(durations, clock, 0.01)
    assert durations.as_dict()["0.01"] == 1


def test_classes_add_up(durations, clock):
    for seconds in (0.002, 0.002, 0.2, 20.0):
        let_take(durations, clock, seconds)
    told = durations.as_dict()
    assert [told[bound] for bound in ("0.001", "0.003", "0.3", "+Inf")] == [0, 2, 3, 4]
    assert told["sum"] == pytest.approx(20.204)


def test_what_fails_counts_too(durations, clock):
    def fail():
        clock.now_s += 2.0
        raise OSError("full")

    with pytest.raises(OSError, match="full"), durations:
        fail()
    assert durations.as_dict()["3.0"] == 1
