import json
from pathlib import Path

import pytest

from benchmarks import asking
from benchmarks.asking import Durable, LongPoll


class Answers:
    """A connection with answers that are known before."""

    def __init__(self, rows):
        self.asked = []
        self._rows = iter(rows)

    def get(self, path):
        self.asked.append(path)
        return json.dumps({"rows": next(self._rows)}).encode()


@pytest.fixture
def durable():
    """Rows: 5 at the first look, 10 between 2 and 3 s, 30 between 4 and 5 s."""
    seen = Durable(Path(), "")
    for rows, looked_s in [(5, 1.0), (5, 2.0), (10, 3.0), (10, 4.0), (30, 5.0)]:
        seen.note(rows, looked_s)
    return seen


@pytest.mark.parametrize(
    ("rows", "since_s"), [(5, None), (6, 2.0), (10, 2.0), (11, 4.0), (31, None)]
)
def test_rows_count_from_the_last_look_without_them(durable, rows, since_s):
    assert durable.since_s(rows) == since_s


def polled(monkeypatch, durable, answers, clock):
    times = iter(clock)
    monkeypatch.setattr(asking.time, "monotonic", lambda: next(times))
    poll = LongPoll(answers, "a1", durable, 10)
    for _ in range(2):
        poll.ask()
    return list(poll.delays_s())


def test_an_answer_is_timed_from_when_rows_are_durable_and_asked_for(
    monkeypatch, durable
):
    answers = Answers([10, 30])
    # asked for at 1 and 4.5 s; told of at 2.25 and 4.75 s
    assert polled(monkeypatch, durable, answers, [1.0, 2.25, 4.5, 4.75]) == [0.25, 0.25]
    path = "/api/v1/acquisitions/a1"
    assert answers.asked == [
        f"{path}?wait_frames=10&timeout=5",
        f"{path}?wait_frames=20&timeout=5",
    ]


def test_an_answer_without_the_rows_does_not_count(monkeypatch, durable):
    assert polled(monkeypatch, durable, Answers([9, 9]), [1.0, 2.25, 3.0]) == []
