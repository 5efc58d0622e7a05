"""A round: some dozens of series, then all of it compared with what is due."""

import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.soaking.accounts import Account, Books
from benchmarks.soaking.crowd import Crowd
from benchmarks.soaking.files import compare, damage
from benchmarks.soaking.listener import Listener
from benchmarks.soaking.program import Program
from benchmarks.soaking.scenes import Scenes
from benchmarks.soaking.source import Source
from srx_ophyd.client import Acquisition

SCENES = 60
"""In a round: fewer acquisitions than the service keeps in its list."""
SHARES_ARMED = (0.0, 0.2, 0.2, 0.6)
"""How many of the scenes are a client's, round by round."""
BECAME = ("written", "discarded", "rejected", "surplus", "rewound", "unsaved")
BECAME_NOTHING = ("missing", "short")
VERIFIED = 5
"""Every so many files, `srx verify` looks at one, too."""
LISTENED_TO = 3
"""Every so many rounds one client gets all images, and no other comes."""


class Round:
    """Plays scenes, waits until the service is done, compares.

    Args:
        program: The service.
        source: What it receives from.
        seed: Decides what happens.
    """

    def __init__(self, program: Program, source: Source, seed: int) -> None:
        self._program, self._source = program, source
        self._rng = random.Random(seed)
        self._scenes = Scenes(program, source, self._rng)
        self._crowd = Crowd(program.api_port, program.forward_port, seed)
        self._files = 0
        self.rounds = 0
        self.counts: Counter[str] = Counter()
        """Of all acquisitions, as the service told them."""
        self.made: Counter[str] = Counter()
        """What was made: acquisitions, series, frames."""
        self.unreported = 0
        """Frames that are in no file and that no count tells of."""
        self.differences: list[str] = []
        """Between what was due and what was found."""

    @property
    def visits(self) -> Counter[str]:
        """Of the crowd, by what they came for."""
        return self._crowd.visits

    @property
    def answers(self) -> Counter[int]:
        """To the crowd, by HTTP status."""
        return self._crowd.answers

    def run(self) -> None:
        """Play one round."""
        before = self._program.status() | {"due": self._source.lost}
        is_heard = self.rounds % LISTENED_TO == 0
        listener = self._listen() if is_heard else None
        try:
            books = self._play(may_pull=not is_heard)
            after = self._program.status()
            if listener is not None:
                self._compare_heard(listener, before, after, books)
        finally:
            if listener is not None:
                listener.close()
        self._compare(before, after, books)
        self.rounds += 1

    def _listen(self) -> Listener:
        self._program.wait(lambda: self._program.status()["clients"] == 0)
        listener = Listener(self._program.forward_port)
        self._program.wait(lambda: self._program.status()["clients"] == 1)
        return listener

    def _play(self, *, may_pull: bool) -> Books:
        self._crowd.come(may_pull=may_pull)
        try:
            share = SHARES_ARMED[self.rounds % len(SHARES_ARMED)]
            for _ in range(SCENES):
                self._scenes.play(share)
            books = self._scenes.finish()
            self._program.wait(lambda: self._is_done(books))
        finally:
            self._crowd.leave()
        self._crowd.rush()
        return books

    def _is_done(self, books: Books) -> bool:
        told = self._program.status()
        if told["messages"] < self._source.messages or told["state"] == "running":
            return False
        return all(a.is_over for a in self._program.acquisitions(len(books.accounts)))

    # -- comparing --------------------------------------------------------------------

    def _compare_heard(
        self,
        listener: Listener,
        before: dict[str, Any],
        after: dict[str, Any],
        books: Books,
    ) -> None:
        """Everything that was passed on was sent, or counted as dropped."""

        def sent() -> int:
            return self._program.status()["forwarded"] - before["forwarded"]

        self._program.wait(lambda: listener.images >= sent() > 0)
        dropped = after["dropped_for_slow_client"] - before["dropped_for_slow_client"]
        self._must_be("images heard", sent(), listener.images)
        self._must_be("images passed on", books.passed, sent() + dropped)
        self._must_be("numbers left out to a client", 0, listener.skipped)

    def _compare(
        self, before: dict[str, Any], after: dict[str, Any], books: Books
    ) -> None:
        self._must_be("messages", self._source.messages, after["messages"])
        lost, due = after["lost"] - before["lost"], self._source.lost - before["due"]
        self._must_be("lost", due, lost)
        self.unreported += max(0, due - lost)
        self._must_be("orphans", books.orphans, after["orphans"] - before["orphans"])
        unread = Counter(after["undecodable"])
        unread.subtract(before["undecodable"])
        self._must_be(
            "unread", dict(books.unread), {k: n for k, n in unread.items() if n}
        )
        found = self._program.acquisitions(len(books.accounts))
        for account, acquisition in zip(books.accounts, found, strict=True):
            self._compare_counts(account, acquisition)
        for file in books.files:
            self._compare_file(file, books)
        self.made += Counter(
            series=books.series,
            faulty=books.faulty,
            frames=books.frames,
            acquisitions=len(found),
            files=len(books.files),
        )
        self.made += books.unread

    def _compare_counts(self, account: Account, found: Acquisition) -> None:
        due = {name: n for name, n in account.counts.items() if n}
        told = {name: n for name, n in found.counts.items() if n}
        self.counts += Counter(told)
        self.unreported += max(0, _frames_in(account.counts) - _frames_in(told))
        what = f"{found.id} ({found.origin}, {found.file}, {found.error})"
        self._must_be(f"state of {what}", account.state, found.state)
        self._must_be(f"origin of {what}", account.origin, found.origin)
        self._must_be(f"file of {what}", account.file, found.file)
        self._must_be(f"counts of {what}", due, told)

    def _compare_file(self, file: str, books: Books) -> None:
        path = Path(file)
        absent, faults = compare(path, *books.rows_of(file))
        self._files += 1
        if self._files % VERIFIED == 0:
            faults += damage(path)
        self.unreported += absent
        text = f"round {self.rounds}: {file}: "
        self.differences.extend(text + fault for fault in faults)
        path.unlink(missing_ok=True)

    def _must_be(self, what: str, due: object, found: object) -> None:
        if due != found:
            text = f"round {self.rounds}: {what}: {found} instead of {due}"
            self.differences.append(text)


def _frames_in(counts: Mapping[str, int]) -> int:
    """Return how many frames counts tell of; one that came late is missing, too."""
    return sum(counts.get(name, 0) for name in (*BECAME, *BECAME_NOTHING))
