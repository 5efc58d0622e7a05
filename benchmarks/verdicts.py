"""What was found, beside what is asked for."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that something is asked of."""

    name: str
    value: float
    least: float | None = None
    most: float | None = None
    beside: str = ""
    """What helps to judge it."""

    @property
    def is_met(self) -> bool:
        """Whether it is as asked for; never where it is no number."""
        low = -math.inf if self.least is None else self.least
        high = math.inf if self.most is None else self.most
        return low <= self.value <= high

    @property
    def bound(self) -> str:
        """What is asked for, in words."""
        least = "" if self.least is None else f"≥ {self.least:g}"
        most = "" if self.most is None else f"≤ {self.most:g}"
        return " and ".join(filter(None, (least, most)))

    def as_dict(self) -> dict[str, Any]:
        """Return it as it is kept."""
        value = round(self.value, 4) if math.isfinite(self.value) else None
        rest = {"least": self.least, "most": self.most, "beside": self.beside or None}
        kept = {key: found for key, found in rest.items() if found is not None}
        return {"name": self.name, "value": value, **kept, "is_met": self.is_met}

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> Self:
        """Return it as it was kept."""
        value = math.nan if kept["value"] is None else kept["value"]
        bounds = kept.get("least"), kept.get("most")
        return cls(kept["name"], value, *bounds, beside=kept.get("beside", ""))


@dataclass(frozen=True, slots=True)
class Measured:
    """What one kind of work showed."""

    figures: tuple[Figure, ...]
    details: dict[str, Any]
    """All that the figures were made of, and what stands beside them."""


def ratio(ours: Iterable[float], theirs: Iterable[float]) -> float:
    """Return the best rate over the best of the other: noise only slows down."""
    return max(ours) / max(theirs)


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the least value that so many percent do not exceed; nan without any."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def is_met_in(found: Sequence[bool]) -> bool:
    """Whether a figure is met: in two tables of three, and in the one of one."""
    return bool(found) and sum(found) >= math.ceil(len(found) * 2 / 3)
