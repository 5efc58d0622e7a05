"""What becomes of each image, and of each place that one is expected for, in numbers.

received = written + discarded + rejected + late + duplicate + stale + surplus
           + rewound + unsaved
expected = written + discarded + rejected + missing + short

hold once an acquisition is over; of the second, where there is a file for each image.
"""

from collections.abc import Mapping
from typing import Literal

RECEIVED_AS = (
    "written",
    "discarded",
    "rejected",
    "late",
    "duplicate",
    "stale",
    "surplus",
    "rewound",
    "unsaved",
)
"""What becomes of an image that was received: each is counted in one of these."""
COUNTS = ("received", *RECEIVED_AS, "missing", "short")
COUNT_NAMES = (*COUNTS, "expected")
"""What a file tells of each acquisition; of `expected` -1 where nobody said."""
PLACES = ("written", "discarded", "rejected", "missing")
"""What becomes of a place that is expected; if nothing, it is short."""
REJECTED_AS = ("undecodable", "unfit", "refused")
"""Why an image is rejected: nobody can read it, it is not like the dataset, or none of
its acquisition's may go into the file."""


class Counts:
    """Images of one acquisition by what became of them.

    `received`, `late`, `duplicate`, `stale` and `surplus` belong to the receive thread,
    the others to the writer: no count has two owners, so none needs a lock.
    """

    __slots__ = (*COUNTS, "given_up", "rejected_as", "taken_back")

    def __init__(self) -> None:
        for name in COUNTS:
            setattr(self, name, 0)
        self.given_up = 0
        """The writer's share of `stale`: rows of a series that was not the one
        meant."""
        self.rejected_as: dict[str, int] = dict.fromkeys(REJECTED_AS, 0)
        """All that were ever rejected, by kind."""
        self.taken_back: dict[str, int] = dict.fromkeys(PLACES, 0)
        """What a rewind took off these counts, which are all else that ever sink."""

    received: int
    written: int
    discarded: int
    rejected: int
    late: int
    duplicate: int
    stale: int
    surplus: int
    rewound: int
    unsaved: int
    missing: int
    short: int

    def as_dict(self) -> dict[str, int]:
        """Return all counts by name."""
        counts = {name: getattr(self, name) for name in COUNTS}
        counts["stale"] += self.given_up
        return counts

    def take_back(self, name: str, number: int) -> None:
        """Count so many places no longer as what became of them: they are open again.

        For the writer.
        """
        setattr(self, name, getattr(self, name) - number)
        # last, and read first by `ever`, which is never too large therefore
        self.taken_back[name] += number

    def ever(self, *, is_over: bool) -> dict[str, int]:
        """Return counts that only grow: what was taken back later counts, too."""
        taken_back = dict(self.taken_back)
        counts = self.as_dict()
        for name, number in taken_back.items():
            counts[name] += number
        if not is_over:
            counts["short"] = 0  # until then some may still come
        return counts

    def imbalance(self, expected: int | None) -> str | None:
        """Return what does not add up, or None; to be asked once it is over."""
        return imbalance(self.as_dict(), expected)


def short_of(counts: Mapping[str, int], expected: int | None) -> int:
    """Return how many images of those expected never came, and none after them."""
    places = sum(counts[name] for name in PLACES)
    return max(0, (expected or 0) - places - counts["unsaved"])


def settle(
    counts: dict[str, int],
    expected: int | None,
    lost_as: Literal["unsaved", "rejected"] = "unsaved",
) -> None:
    """Let counts add up that were taken before the end: the rest is lost."""
    counts[lost_as] += counts["received"] - sum(counts[name] for name in RECEIVED_AS)
    counts["short"] = short_of(counts, expected)


def imbalance(counts: Mapping[str, int], expected: int | None) -> str | None:
    """Return what does not add up, or None; to be asked once it is over."""
    received, accounted = counts["received"], sum(counts[n] for n in RECEIVED_AS)
    if accounted != received:
        return f"received {received}, accounted for {accounted}"
    places = sum(counts[name] for name in (*PLACES, "short"))
    if expected is not None and places != expected and not counts["unsaved"]:
        return f"expected {expected}, accounted for {places}"
    return None
