"""What became of all images since the service started, in numbers that only grow."""

from collections import Counter
from collections.abc import Iterable

from srx_service.counts import COUNTS, REJECTED_AS, Counts

Sums = dict[str, Counter[str]]


class Totals:
    """Of the acquisitions of this life, those that are no longer listed included."""

    def __init__(self) -> None:
        self._gone = _nothing()
        self._told = _nothing()

    def forget(self, counts: Counts) -> None:
        """Keep what was counted of an acquisition that is listed no longer."""
        _add(self._gone, counts, is_over=True)

    def told(self, listed: Iterable[tuple[Counts, bool]]) -> dict[str, dict[str, int]]:
        """Return `frames` by what became of them, `rejected` by why.

        Args:
            listed: What is counted of each acquisition, and whether it is over.
        """
        sums = {name: Counter(gone) for name, gone in self._gone.items()}
        for counts, is_over in listed:
            _add(sums, counts, is_over=is_over)
        for name, told in self._told.items():
            # a count is too small for the moment in which a rewind takes off
            told.update({k: max(0, n - told[k]) for k, n in sums[name].items()})
        return {name: dict(told) for name, told in self._told.items()}


def _nothing() -> Sums:
    # with zeros: Prometheus sees no increase of what begins with 1
    return {
        "frames": Counter(dict.fromkeys(COUNTS, 0)),
        "rejected": Counter(dict.fromkeys(REJECTED_AS, 0)),
    }


def _add(sums: Sums, counts: Counts, *, is_over: bool) -> None:
    sums["frames"].update(counts.ever(is_over=is_over))
    sums["rejected"].update(counts.rejected_as)
