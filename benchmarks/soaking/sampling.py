"""What the service holds, looked at each second; and whether it grows."""

import itertools
import math
import threading
from collections.abc import Sequence

import numpy as np

from benchmarks.soaking.program import Held, Program

EVERY_S = 1.0
KEPT = 600
"""Samples in what is kept: more are thinned out."""


class Samples:
    """Looks at a service each second, until it is closed."""

    def __init__(self, program: Program) -> None:
        self.all: list[Held] = []
        self.at_rest: list[Held] = []
        """After each round: no series is open, no client is there."""
        self._program = program
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="samples")
        self._thread.start()

    def _look(self) -> None:
        while not self._is_over.wait(EVERY_S):
            self.all.append(self._program.held())

    def rest(self) -> None:
        """Note what is held now that all is quiet."""
        self.at_rest.append(self._program.held())

    def close(self) -> None:
        """Stop looking."""
        self._is_over.set()
        self._thread.join()


def thinned(samples: Sequence[Held]) -> list[Held]:
    """Return some of them, evenly, if they are many."""
    return list(itertools.islice(samples, 0, None, max(1, -(-len(samples) // KEPT))))


def grown(at_s: Sequence[float], values: Sequence[float]) -> float:
    """Return by how much values grow from the first to the last time.

    It is the slope of the straight line through all of them that counts; nan for less
    than two.
    """
    if len(values) < 2 or at_s[0] == at_s[-1]:
        return math.nan
    slope, _ = np.polyfit(at_s, values, 1)
    return float(slope) * (at_s[-1] - at_s[0])


def after_warm_up(samples: Sequence[Held], share: float) -> list[Held]:
    """Return the samples without those of the first part of the time."""
    if not samples:
        return []
    first_s, last_s = samples[0].at_s, samples[-1].at_s
    since_s = first_s + share * (last_s - first_s)
    return [sample for sample in samples if sample.at_s >= since_s]
