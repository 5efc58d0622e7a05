import math

import pytest

from benchmarks.verdicts import Figure, is_met_in, percentile, ratio


def test_the_best_of_one_is_compared_with_the_best_of_the_other():
    assert ratio([80.0, 90.0, 10.0], [100.0, 5.0]) == 0.9


@pytest.mark.parametrize(
    ("found", "is_met"),
    [
        ([True], True),
        ([False], False),
        ([True, False], False),
        ([True, False, True], True),
        ([True, False, False], False),
        ([], False),
    ],
)
def test_a_figure_is_met_in_two_tables_of_three(found, is_met):
    assert is_met_in(found) == is_met


@pytest.mark.parametrize(
    ("figure", "is_met", "bound"),
    [
        (Figure("ratio", 0.95, least=0.95), True, "≥ 0.95"),
        (Figure("ratio", 0.949, least=0.95), False, "≥ 0.95"),
        (Figure("peak MiB", 506.0, most=506.0), True, "≤ 506"),
        (Figure("peak MiB", 507.0, most=506.0), False, "≤ 506"),
        (Figure("p99 ms", math.nan, most=50.0), False, "≤ 50"),
        (Figure("both", 2.0, least=1.0, most=3.0), True, "≥ 1 and ≤ 3"),
    ],
)
def test_a_figure_is_judged_by_its_bound(figure, is_met, bound):
    assert figure.is_met == is_met
    assert figure.bound == bound


@pytest.mark.parametrize(
    "figure",
    [Figure("ratio", 0.5, least=0.7), Figure("p99 ms", 3.0, most=50.0, beside="of 9")],
)
def test_a_figure_is_read_as_it_was_kept(figure):
    assert Figure.from_dict(figure.as_dict()) == figure


def test_a_figure_that_is_no_number_is_kept_as_none():
    kept = Figure("p99 ms", math.nan, most=50.0).as_dict()
    assert (kept["value"], kept["is_met"]) == (None, False)
    assert math.isnan(Figure.from_dict(kept).value)


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 1.0), (50, 50.0), (99, 99.0), (100, 100.0)]
)
def test_so_many_percent_do_not_exceed_a_percentile(percent, value):
    assert percentile([float(k) for k in range(100, 0, -1)], percent) == value


def test_of_no_values_there_is_no_percentile():
    assert math.isnan(percentile([], 99))
