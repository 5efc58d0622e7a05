"""The line and a plain model of it, whatever happens: each image has the same fate.

Source, network, clients, disk and crashes do what they like. `test_chaos` has several
connections and promises that nothing is counted twice or lost; here there is one, and
every row of every file and every count is foretold.
"""

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from srx_service.errors import RequestError
from srx_service.messages import End, Image, Message, Start
from srx_service.ordering import Limits
from tests.service.line import ROOT, UNFIT, Line, image, rejected
from tests.service.model import Expected, Model

LIMITS = Limits(gap_timeout_s=2.0, limit_bytes=1 << 20, max_gap=40)
FATES = ["sent"] * 5 + ["twice", "lost", "lost", "discarded", "rejected", "unfit"]
FATES += ["far ahead"]
PLAIN = st.sampled_from([0, 0, 0, 0, 0, 0, 1, 2, 4])
"""Which of those on their way comes next: the first, mostly."""
SELDOM = st.sampled_from([False, False, True])
"""True for what ends all that went before."""


class Released(Line):
    """A line that can be told to wait for nothing any more, as a client's stop does."""

    def release(self) -> None:
        passed, strays = self.ordering.release(), self.ordering.take_strays()
        self._hand_on(self.router.route(passed, self.now_s, self.now_s, strays))


class Stateful(RuleBasedStateMachine):
    """One source on one connection, a client, a disk; and what is to become of it."""

    @initialize(
        order=st.sampled_from(["counter", "series"]),
        missing=st.sampled_from(["fill", "skip"]),
        is_armed=st.booleans(),
    )
    def begin(self, order, missing, is_armed):
        self.order, self.missing = order, missing
        self.model = Model(order, skips=missing == "skip", max_gap=LIMITS.max_gap)
        self.line = self.made()
        self.network: list[Message] = []
        self.number = self.series = self.frame = self.token = self.files = 0
        if is_armed:
            self.arm(True, "open", None, None, True)

    def made(self) -> Released:
        line = Released(self.order, limits=LIMITS, missing=self.missing)
        line.queue = []
        return line

    # -- the source -------------------------------------------------------------------

    @rule(
        name=st.sampled_from(["", "a.h5", "a.h5", "b.h5"]),
        step=st.sampled_from([1, 1, 1, 1, 0]),
        is_restarted=st.sampled_from([False] * 9 + [True]),
    )
    def start(self, name, step, is_restarted):
        """A series begins, now and then with an id that was there before."""
        if is_restarted:
            self.number = self.series = 0
        self.frame = 0
        self.series += step
        if self.order == "counter":
            self.network.append(Start(number=self.next_number(), filename=name))
        else:
            start = Start(series=self.series, number=-1, filename=name)
            self.network.append(start)

    @rule(
        fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=8),
        has_end=st.booleans(),
    )
    def whole(self, fates, has_end):
        """A series is sent and comes, maybe without its end."""
        self.start("a.h5", 1, False)
        self.images(fates)
        if has_end:
            self.end(1)
        self.arrive([0] * len(self.network))

    @rule(fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=6))
    def images(self, fates):
        for fate in fates:
            self.network += self.sent(fate)

    @rule(times=st.sampled_from([1, 1, 1, 2]))
    def end(self, times):
        number = self.next_number() if self.order == "counter" else None
        self.network += [End(series=self.identifier, number=number)] * times

    @property
    def identifier(self) -> int | None:
        return self.series if self.order == "series" else None

    def next_number(self) -> int:
        self.number += 1
        return self.number

    def sent(self, fate: str) -> list[Image]:
        counted = self.next_number()
        number, self.frame = self.frame, self.frame + 1
        number = counted if self.order == "counter" else number
        if fate == "rejected":
            return [rejected(number, self.identifier)]
        self.token += 1
        one = image(
            number + LIMITS.max_gap + 5 if fate == "far ahead" else number,
            number,
            series=self.identifier,
            discard=fate == "discarded",
            blob=self.token.to_bytes(4, "big"),
            encoding=UNFIT if fate == "unfit" else "none",
        )
        return [one] * {"lost": 0, "twice": 2}.get(fate, 1)

    # -- network, time, disk ----------------------------------------------------------

    @rule(picks=st.lists(PLAIN, min_size=1, max_size=12))
    def arrive(self, picks):
        """Some messages arrive together, some before others that were sent first."""
        batch = []
        for pick in picks[: len(self.network)]:
            batch.append(self.network.pop(min(pick, len(self.network) - 1)))
        self.line.push(*batch)
        for message in batch:
            self.model.arrive(message)

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0, 12.0]))
    def silence(self, seconds):
        self.line.wait(seconds)
        self.model.wait(seconds, LIMITS.gap_timeout_s)

    @rule()
    def write(self):
        self.line.write(1_000_000)
        self.model.write()
        self.files_and_counts_are_as_foretold()

    @rule(is_true=SELDOM)
    def crash(self, is_true):
        """What was not written is gone, and nobody knows what was armed."""
        if not is_true:
            return
        files = self.line.writer.files
        self.line = self.made()
        self.line.writer.files = files
        self.model.restart()
        self.every_row_is_as_foretold()

    # -- the clients ------------------------------------------------------------------

    @rule(
        has_file=st.sampled_from([True, True, True, False]),
        series=st.sampled_from([1, 2, "open"]),
        expected=st.sampled_from([None, None, 4, 8]),
        missing=st.sampled_from([None, "fill", "skip"]),
        drained=st.sampled_from([True, True, True, False]),
    )
    def arm(self, has_file, series, expected, missing, drained):
        self.files += 1
        name = f"{self.files}.h5" if has_file else None
        fields = {"series": series, "expected": expected, "missing": missing}
        if not self.model.gives_way:
            with pytest.raises(RequestError, match="ends it"):
                self.line.arm_only(name, **fields)
            return
        self.line.arm_only(name, **fields)
        file = None if name is None else str(ROOT / name)
        skips = (missing or self.missing) == "skip"
        self.model.arm(Expected("api", file, skips, series, expected))
        if drained:
            self.drain()

    @rule()
    def drain(self):
        """The sockets were found empty after an arm."""
        self.line.router.begin()
        self.model.is_draining = False

    @property
    def mine(self) -> Expected | None:
        current = self.model.current
        return current if current is not None and current.origin == "api" else None

    @precondition(lambda self: self.mine)
    @rule(more=st.sampled_from([None, 0, 1, 5]))
    def expect(self, more):
        current = self.line.router.current
        expected = None if more is None else len(self.mine.places) + more
        self.line.router.patch(current, expected=expected, series_id=None)
        self.mine.expected = expected

    @precondition(lambda self: self.mine)
    @rule(
        fates=st.lists(st.sampled_from(FATES), max_size=6),
        has_end=st.booleans(),
        share=st.sampled_from([0.0, 0.4, 0.8, 1.0]),
    )
    def rewind(self, fates, has_end, share):
        """Some of what came is taken back."""
        if fates:
            self.whole(fates, has_end)
        if self.mine:
            row = round(share * len(self.mine.rows))
            self.line.rewind(self.line.router.current, row)
            self.model.rewind(row)

    @precondition(lambda self: self.model.current)
    @rule(state=st.sampled_from(["done", "aborted"]), is_true=SELDOM)
    def stop(self, state, is_true):
        """What waits behind a gap is let through first, as for a client's stop."""
        if not is_true:
            return
        current, foretold = self.line.router.current, self.model.current
        self.line.release()
        self.model.give_up()
        self.line.stop(current, state)
        if self.model.current is foretold:
            self.model.close(state)

    # -- what always holds ------------------------------------------------------------

    @invariant()
    def the_same_acquisition_is_current(self):
        current, foretold = self.line.router.current, self.model.current
        assert (current is None) == (foretold is None)
        if current is not None:
            assert current.state == foretold.state
            assert current.file == foretold.file
            assert current.rows_given == len(foretold.rows)
            assert current.places_given == len(foretold.places)
            assert current.series_seen == len(foretold.firsts)
        assert self.line.router.orphans == self.model.orphans

    def files_and_counts_are_as_foretold(self):
        made = [*self.line.acquisitions][::-1]
        assert len(made) == len(self.model.acquisitions)
        for acquisition, foretold in zip(made, self.model.acquisitions, strict=True):
            assert self.line.counts(acquisition) == foretold.totals()
            assert acquisition.state == foretold.state
            assert acquisition.rows == len(foretold.rows)
        self.every_row_is_as_foretold()

    def every_row_is_as_foretold(self):
        found = {
            name: [None if row is None else bytes(row.blobs[0]) for row in rows]
            for name, rows in self.line.writer.files.items()
        }
        assert found == {name: self.model.files.get(name, []) for name in found}
        assert all(name in found for name, rows in self.model.files.items() if rows)

    def teardown(self):
        if hasattr(self, "line"):
            self.arrive([0] * len(self.network))
            self.silence(12.0)
            if self.model.current is not None:
                self.stop("done", True)
            self.write()


TestStateful = Stateful.TestCase
TestStateful.settings = settings(max_examples=150, stateful_step_count=40)
