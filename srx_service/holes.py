"""Rows without a frame, and frames without a row: which, and why; never one by one."""

from array import array
from typing import Literal, NamedTuple

LossReason = Literal["missing", "rejected"]
TOLD = 100
"""Rows that are told of an acquisition, the last of them."""


class _Span(NamedTuple):
    """Empty rows, from `row` to before `stop`."""

    row: int
    stop: int
    reason: LossReason


class EmptyRows:
    """The holes of one acquisition. The writer's thread changes it, any thread looks.

    Args:
        rewinds: False: rows are never taken back, and only the last need be known.
    """

    def __init__(self, *, rewinds: bool) -> None:
        self._rewinds = rewinds
        self._spans: list[_Span] = []

    def add(self, row: int, count: int, reason: LossReason) -> None:
        """Note rows that stay empty; they come in order."""
        spans = self._spans
        if spans and spans[-1].stop == row and spans[-1].reason == reason:
            spans[-1] = spans[-1]._replace(stop=row + count)
        else:
            spans.append(_Span(row, row + count, reason))
        if len(spans) > TOLD and not self._rewinds:
            del spans[0]

    def cut(self, row: int) -> dict[LossReason, int]:
        """Forget the rows from a row on; return how many they were, by reason."""
        gone: dict[LossReason, int] = {"missing": 0, "rejected": 0}
        while self._spans and self._spans[-1].stop > row:
            span = self._spans.pop()
            first = max(span.row, row)
            gone[span.reason] += span.stop - first
            if first > span.row:
                self._spans.append(span._replace(stop=first))
        return gone

    def last(self) -> list[int]:
        """Return the last of them, in order, TOLD at most."""
        rows: list[int] = []
        for span in reversed(self._spans[-TOLD:]):
            rows[:0] = range(span.row, span.stop)[-(TOLD - len(rows)) :]
            if len(rows) >= TOLD:
                break
        return rows


class Rowless:
    """Places that took no row, by the row that came next; sixteen bytes a row."""

    def __init__(self) -> None:
        self._rows = array("Q")
        self._counts = array("Q")
        self.total = 0

    def add(self, row: int, count: int) -> None:
        """Note places before a row; rows never go down."""
        if self._rows and self._rows[-1] == row:
            self._counts[-1] += count
        else:
            self._rows.append(row)
            self._counts.append(count)
        self.total += count

    def take_back(self, row: int) -> int:
        """Forget the places from a row on; return how many they were."""
        before = self.total
        while self._rows and self._rows[-1] >= row:
            self._rows.pop()
            self.total -= self._counts.pop()
        return before - self.total

    def cut(self, total: int) -> int:
        """Forget the last places, down to a total; return how many they were."""
        before = self.total
        while self.total > total:
            gone = min(self._counts[-1], self.total - total)
            self._counts[-1] -= gone
            self.total -= gone
            if not self._counts[-1]:
                self._rows.pop()
                self._counts.pop()
        return before - self.total
