"""How long something took, in classes: what a histogram of Prometheus tells."""

import time
from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate

BOUNDS_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Upper ends of the classes, inclusive; whatever took longer is in one more."""


class Durations:
    """Times what is done `with` it, by one thread; what fails counts, too.

    Args:
        clock: Seconds, ever growing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0
        self._begun_s = 0.0

    def __enter__(self) -> None:
        """Begin."""
        self._begun_s = self._clock()

    def __exit__(self, *_: object) -> None:
        """End."""
        took_s = self._clock() - self._begun_s
        self._sum_s += took_s
        self._counts[bisect_left(BOUNDS_S, took_s)] += 1

    def as_dict(self) -> dict[str, float]:
        """Return how many took so many seconds at most, and the `sum` of all."""
        bounds = (*map(str, BOUNDS_S), "+Inf")
        numbers = map(float, accumulate(self._counts))
        return dict(zip(bounds, numbers, strict=True)) | {"sum": self._sum_s}
