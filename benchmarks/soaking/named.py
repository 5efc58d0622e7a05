"""Series that the stream names a file for, or none."""

from collections.abc import Callable

from benchmarks.soaking.accounts import Account
from benchmarks.soaking.series import Kind, Series, any_kind, clean, faulty
from benchmarks.soaking.stage import MOST, TINY, Stage

FLOOD = 2000


class Named:
    """Scenes without a client: each sends something and says what must come of it."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._source, self._rng = stage, stage.source, stage.rng
        self.scenes: dict[Callable[[], None], int] = {
            self.named: 12,
            self.appended: 3,
            self.without_file: 2,
            self.outside: 1,
            self.of_another_shape: 1,
            self.without_header: 1,
            self.flood: 1,
            self.source_dies: 1,
        }
        """By how often they are played."""

    def named(self) -> None:
        """A file of its own."""
        self._stage.send(self._stage.any_series(), self._stage.account())

    def appended(self) -> None:
        """Several acquisitions in one file, others between them perhaps."""
        kind, file = any_kind(self._rng), self._stage.new_file()
        for _ in range(self._rng.randrange(2, 4)):
            self._stage.send(faulty(self._rng, kind, MOST), self._stage.account(file))
            if self._rng.random() < 0.3:
                self.named()

    def without_file(self) -> None:
        """Live view only: the stream names none, or forbids to write."""
        account = self._stage.books.open(Account(None))
        series = self._stage.any_series()
        if self._rng.random() < 0.5:
            self._stage.send(series, account)
        else:
            self._stage.send(
                series, account, file=self._stage.new_file(), save_raw=False
            )

    def outside(self) -> None:
        """A file where none may be written."""
        account = self._stage.books.open(Account(None, state="failed"))
        self._stage.send(self._stage.any_series(), account, file="../outside.h5")

    def of_another_shape(self) -> None:
        """Frames that may not go into a file that is there."""
        file = self._stage.new_file()
        first, second = self._rng.sample([TINY, Kind((5, 5), "int32", "bslz4")], 2)
        self._stage.send(clean(first, 3), self._stage.account(file))
        account = self._stage.books.open(Account(file, state="failed", refused=True))
        self._stage.send(clean(second, 3), account)

    def without_header(self) -> None:
        """Images that belong to nothing."""
        self._stage.end_what_is_open()
        if self._source.is_new:  # without a header nobody knows of its restart
            self.named()
            self._stage.end_what_is_open()
        fates = faulty(self._rng, TINY, MOST).frames
        series = Series(TINY, fates, start="lost")
        self._source.send(series)
        self._stage.books.count(series, is_bound=False)
        self._stage.books.count_late(series)

    def flood(self) -> None:
        """More small frames than one batch holds, many times over."""
        self._stage.send(clean(TINY, self._rng.randrange(FLOOD)), self._stage.account())

    def source_dies(self) -> None:
        """It restarts with its counter at 0, in mid-series or between two."""
        self._stage.end_what_is_open()  # a tail lost before that is known to nobody
        if self._rng.random() < 0.5:
            series = clean(any_kind(self._rng), self._rng.randrange(MOST))
            account = self._stage.account()
            account.take(series)
            self._stage.begin(series, account.file or "")
        self._source.restart()
