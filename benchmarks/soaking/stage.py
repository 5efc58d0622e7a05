"""Where the scenes of a soak are played: the service, its source, the books."""

import random

from benchmarks.soaking.accounts import Account, Books
from benchmarks.soaking.program import Program
from benchmarks.soaking.series import Kind, Series, any_kind, clean, faulty
from benchmarks.soaking.source import Source

MOST = 24
"""Frames of a series, but for a flood."""
TINY = Kind((4, 4), "uint16", "none")


class Stage:
    """What all scenes share.

    Args:
        program: The service.
        source: What it receives from.
        rng: Decides.
    """

    def __init__(self, program: Program, source: Source, rng: random.Random) -> None:
        self.program, self.source, self.rng = program, source, rng
        self.books = Books()
        self.is_open = False
        """True while the last series has not ended: another must not be armed for."""
        self._files = 0

    def new_file(self) -> str:
        """Return the path of a file that is not there yet."""
        self._files += 1
        return str(self.program.data / f"{self._files}.h5")

    def account(self, file: str | None = None) -> Account:
        """Return the account of an acquisition that the stream names."""
        return self.books.open(Account(file or self.new_file()))

    def any_series(self, *, is_ended: bool = False) -> Series:
        """Return a series with faults; `is_ended`: its end is not among them."""
        begins = self.rng.random() < 0.9
        series = faulty(self.rng, any_kind(self.rng), MOST, begins=begins)
        if is_ended and series.end == "lost":
            return Series(series.kind, series.frames)
        return series

    def some(self) -> Series:
        """Return a series without faults, of one frame at least."""
        return clean(any_kind(self.rng), self.rng.randrange(1, MOST))

    def send(
        self, series: Series, account: Account, file: str | None = None, **more: object
    ) -> None:
        """Send a series into an acquisition of its own."""
        account.take(series)
        self.source.send(series, file or account.file or "", **more)
        self.books.count(series)
        self.books.count_late(series)
        self.is_open = series.end == "lost"

    def begin(self, series: Series, file: str) -> None:
        """Send a series that nothing goes wrong with, but not its end."""
        self.source.begin(file)
        self.source.frames(series.kind, series.frames)
        self.books.count(series)
        self.is_open = True

    def end_what_is_open(self) -> None:
        """Have the last series over, by another one if need be."""
        if self.is_open:
            self.send(clean(TINY, 1), self.account())
