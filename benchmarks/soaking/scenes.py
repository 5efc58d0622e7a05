"""What may happen, one scene after the other."""

import random

from benchmarks.soaking.accounts import Books
from benchmarks.soaking.armed import Armed
from benchmarks.soaking.named import Named
from benchmarks.soaking.program import Program
from benchmarks.soaking.series import Kind, clean
from benchmarks.soaking.source import Source
from benchmarks.soaking.stage import Stage

HUGE = Kind((514, 515), "uint32", "none")
LONG = "x" * (1 << 17)
"""Sent on without a copy: for that pyzmq starts three threads, at the first time."""


class Scenes:
    """Plays any of them, as chance decides."""

    def __init__(self, program: Program, source: Source, rng: random.Random) -> None:
        self._stage = Stage(program, source, rng)
        self._named = Named(self._stage).scenes
        self._armed = Armed(self._stage).scenes

    def play(self, share_armed: float) -> None:
        """Play one; armed for by a client with this probability."""
        rng = self._stage.rng
        scenes = self._armed if rng.random() < share_armed else self._named
        (scene,) = rng.choices([*scenes], [*scenes.values()])
        scene()

    def finish(self) -> Books:
        """End with a series that nothing goes wrong with; return what is due."""
        stage = self._stage
        stage.send(clean(HUGE, 2), stage.account(), note=LONG)
        books, stage.books = stage.books, Books()
        return books
