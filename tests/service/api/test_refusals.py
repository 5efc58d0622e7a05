"""What is refused is told, and fills no log."""

import pytest

from srx_service.api.refusals import Refusals


@pytest.mark.parametrize(
    ("count", "lines"), [(1, 1), (9, 1), (10, 2), (99, 2), (1234, 4)]
)
def test_the_first_the_tenth_the_hundredth_are_told(caplog, count, lines):
    refusals = Refusals()
    for _ in range(count):
        refusals.count("no token", "10.0.0.3")
    assert len(caplog.messages) == lines
    assert caplog.messages[0] == "refused 1 times so far (no token), now for 10.0.0.3"


def test_each_kind_is_counted_by_itself(caplog):
    refusals = Refusals()
    for kind in ("a", "b", "a"):
        refusals.count(kind, None)
    assert len(caplog.messages) == 2
