"""Acquisitions that a client arms."""

import time
from collections.abc import Callable

from benchmarks.soaking.accounts import Account
from benchmarks.soaking.series import Series, any_kind, clean, faulty
from benchmarks.soaking.stage import MOST, Stage
from srx_ophyd.client import Acquisition

NEVER = 2**50
"""Rows that no acquisition has: whoever waits for them waits for its end."""
POLL_S = 5.0
LEASE_S = 0.1
IGNORED = "named.h5"
"""What the stream says of an acquisition that is armed counts for nothing."""


class Armed:
    """Scenes with a client: each waits until all that was sent before is done with."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._source, self._rng = stage, stage.source, stage.rng
        self._program, self._client = stage.program, stage.program.client
        self.scenes: dict[Callable[[], None], int] = {
            self.whole: 4,
            self.of_several_series: 3,
            self.stopped: 2,
            self.aborted: 1,
            self.rewound: 2,
            self.forgotten: 1,
            self.for_nothing: 1,
            self.cut_off: 1,
        }
        """By how often they are played."""

    def whole(self) -> None:
        """One series, with all that may go wrong."""
        series = self._stage.any_series(is_ended=True)
        count = len(series.frames)
        expected = self._rng.choice([None, count, count + 3, max(0, count - 3)])
        account, armed = self._arm(expected=expected)
        account.take(series)
        self._play(series)
        self._stage.books.count_late(series)
        self._finish(account, armed)

    def of_several_series(self) -> None:
        """Some series in one file."""
        kind, count = any_kind(self._rng), self._rng.randrange(1, 4)
        account, armed = self._arm(series=count + 1)
        for _ in range(count):
            series = faulty(self._rng, kind, MOST // 2)
            account.take(series, goes_on=True)
            self._play(series)
        last = clean(kind, 2)
        account.take(last)
        self._play(last)
        self._finish(account, armed)

    def stopped(self) -> None:
        """Fewer frames than expected, or none: the client stops it."""
        series = self._stage.some()
        expected = len(series.frames) + self._rng.randrange(4)
        account, armed = self._arm(expected=expected, series="open")
        account.take(series)
        self._play(series)
        self._wait_for(armed, account)
        self._client.stop(armed.id)
        account.settle()

    def aborted(self) -> None:
        """The client aborts; the source goes on for a while."""
        series, rest = self._stage.some(), self._stage.some()
        account, armed = self._arm(state="aborted")
        account.take(series)
        self._stage.begin(series, IGNORED)
        self._wait_for(armed, account)
        self._client.abort(armed.id)
        self._stage.is_open = False
        self._stage.books.count(rest, is_bound=False)
        self._source.frames(rest.kind, rest.frames)
        self._source.end()

    def rewound(self) -> None:
        """The client takes back rows, in mid-series, and the rest comes once more."""
        series, again = self._stage.some(), self._stage.some()
        account, armed = self._arm()
        account.take(series)
        self._stage.begin(series, IGNORED)
        self._wait_for(armed, account)
        rows = self._rng.randrange(len(series.frames) + 1)
        self._client.rewind(armed.id, rows)
        account.rewind(rows)
        self._stage.is_open = False
        again = Series(series.kind, again.frames)
        account.take(again)
        self._play(again)
        self._finish(account, armed)

    def forgotten(self) -> None:
        """The client is gone, its lease ends."""
        self._arm(state="aborted", lease_s=LEASE_S)
        time.sleep(LEASE_S)
        # any call with its id would renew the lease
        self._program.wait(lambda: self._program.acquisitions(1)[0].is_over)

    def for_nothing(self) -> None:
        """No source ever sends anything."""
        _, armed = self._arm(state="aborted")
        self._client.abort(armed.id)

    def cut_off(self) -> None:
        """The source dies with frames that it has not sent yet."""
        series = clean(any_kind(self._rng), self._rng.randrange(1, 8 * MOST))
        expected = len(series.frames)
        account, armed = self._arm(expected=expected)
        sent = self._source.messages
        self._source.begin(IGNORED)
        self._source.frames(series.kind, series.frames)
        self._source.restart(loses=True)
        self._source.wait_until_connected()  # the service knows that the old one died
        self._client.stop(armed.id)
        self._source.messages = self._program.status()["messages"]
        frames = max(0, self._source.messages - sent - 1)
        came = Series(series.kind, series.frames[:frames], end="lost")
        account.take(came)
        self._stage.books.count(came)
        self._stage.books.frames += expected - frames
        account.settle()

    # -- in common --------------------------------------------------------------------

    def _play(self, series: Series) -> None:
        """Send a series into the acquisition that is armed."""
        self._source.send(series, IGNORED)
        self._stage.books.count(series)

    def _arm(
        self, *, state: str = "done", expected: int | None = None, **request: object
    ) -> tuple[Account, Acquisition]:
        """Arm, as soon as nothing is in the way any more."""
        self._stage.end_what_is_open()
        self._program.wait(self._is_done_with)
        file = self._stage.new_file()
        account = Account(file, state=state, origin="api", expected=expected)
        asked = {"expected": expected, **request}
        armed = self._client.arm(file=file, **asked)
        return self._stage.books.open(account), armed

    def _is_done_with(self) -> bool:
        told, sent = self._program.status(), self._source.messages
        return told["messages"] == sent and told["state"] != "running"

    def _wait_for(self, armed: Acquisition, account: Account) -> None:
        ask, rows = self._client.acquisition, len(account.rows)
        self._program.wait(lambda: ask(armed.id, rows, POLL_S).rows >= rows)

    def _finish(self, account: Account, armed: Acquisition) -> None:
        ask = self._client.acquisition
        self._program.wait(lambda: ask(armed.id, NEVER, POLL_S).is_over)
        account.settle()
