"""What must become of every frame that is made: a plain model of one connection.

It knows nothing of the service's own: its words are those of the glossary.
"""

from collections import Counter
from typing import Literal

from benchmarks.soaking.series import GOOD, UNSEEN, Frame, Kind, Series

UNREAD = {"broken": "bad field", "garbled": "not JSON"}
"""What the service calls messages of these fates."""
Row = Frame | None
"""None, and frames that are not good: a hole."""


class Account:
    """What one acquisition must come to.

    Args:
        file: Its path, None without one.
        state: How it ends.
        origin: Who asks for it.
        expected: As a client said.
    """

    def __init__(
        self,
        file: str | None,
        *,
        state: str = "done",
        origin: Literal["api", "stream"] = "stream",
        expected: int | None = None,
        refused: bool = False,
    ) -> None:
        self.file = file
        self.state = state
        self.origin = origin
        self.expected = expected
        self.counts: Counter[str] = Counter()
        self.rows: list[Row] = []
        """What its rows hold."""
        self.kind: Kind | None = None
        self.is_refused = refused
        """True where the file is not one that these frames may go into."""
        self.places = 0

    @property
    def has_rows(self) -> bool:
        """Whether anything is written."""
        return self.file is not None and not self.is_refused

    def take(self, series: Series, *, goes_on: bool = False) -> None:
        """Count a series; `goes_on`: what comes after its end is still counted here."""
        self.kind = series.kind
        for frame in series.frames[: series.known]:
            if frame.fate in UNSEEN:
                self._miss()
            else:
                self._receive(frame)
        late = sum(frame.fate == "after the end" for frame in series.frames)
        if goes_on:
            self.counts["received"] += late
            self.counts["late"] += late

    def _receive(self, frame: Frame) -> None:
        self.counts["received"] += 1
        if frame.fate == "twice":
            self.counts["received"] += 1
            self.counts["duplicate"] += 1
        if self._is_full:
            self.counts["surplus"] += 1
        elif frame.fate == "discarded":
            self.places += 1
            self.counts["discarded"] += 1
        elif frame.fate == "broken":
            self._place("rejected", None)
        elif self.file is None:
            self._place("unsaved", None)
        else:
            is_good = frame.fate in GOOD and not self.is_refused
            self._place("written" if is_good else "rejected", frame)

    def _miss(self) -> None:
        if not self._is_full:
            self._place("missing", None)

    def _place(self, became: str, row: Row) -> None:
        self.places += 1
        self.counts[became] += 1
        if self.has_rows:
            self.rows.append(row)

    @property
    def _is_full(self) -> bool:
        return self.expected is not None and self.places >= self.expected

    def rewind(self, rows: int) -> None:
        """Take back rows of a series that nothing went wrong with."""
        gone = len(self.rows) - rows
        del self.rows[rows:]
        self.places -= gone
        self.counts["written"] -= gone
        self.counts["rewound"] += gone

    def settle(self) -> "Account":
        """Count the tail that never came; return the account itself."""
        if self.expected is not None:
            self.counts["short"] = self.expected - self.places
        return self


class Books:
    """All that must come of one round."""

    def __init__(self) -> None:
        self.accounts: list[Account] = []
        """One for each acquisition, in the order in which they are made."""
        self.series = self.faulty = self.frames = 0
        """Series and frames made, as far as they went on their way."""
        self.unread: Counter[str] = Counter()
        """Messages that cannot be read, by what the service calls them."""
        self.orphans = 0
        self.passed = 0
        """Images that go on to the clients of the secondary port."""

    def open(self, account: Account) -> Account:
        """Add an acquisition."""
        self.accounts.append(account)
        return account

    def count(self, series: Series, *, is_bound: bool = True) -> None:
        """Count what is told outside of acquisitions.

        Args:
            series: What is sent.
            is_bound: False where its images belong to no acquisition.
        """
        self.series += 1
        self.faulty += series.is_faulty
        self.frames += len(series.frames)
        for frame in series.frames:
            if frame.fate in UNREAD:
                self.unread[UNREAD[frame.fate]] += 1
            elif frame.fate not in UNSEEN:
                self.passed += 1
                if not is_bound:
                    self.orphans += 2 if frame.fate == "twice" else 1

    def count_late(self, series: Series) -> None:
        """Count images that came when their acquisition was over."""
        self.orphans += sum(f.fate == "after the end" for f in series.frames)

    def rows_of(self, file: str) -> tuple[Kind | None, list[Row]]:
        """Return what a file must hold: of all acquisitions that went into it."""
        ours = [a for a in self.accounts if a.file == file and a.has_rows]
        kinds = [account.kind for account in ours if account.kind]
        return kinds[0] if kinds else None, [row for a in ours for row in a.rows]

    @property
    def files(self) -> list[str]:
        """All of them, once each."""
        return list(dict.fromkeys(a.file for a in self.accounts if a.file is not None))
