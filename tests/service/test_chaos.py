"""Source, network, disk and clients do what they like: the books still balance."""

from collections import Counter

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from srx_service.acquisitions import Acquisition
from srx_service.errors import RequestError
from srx_service.messages import NO_PIXELS, End, Image, Message, Start
from srx_service.ordering import Limits
from srx_service.ordering.series import WAITING_KEPT
from tests.service.line import UNFIT, Line, image, rejected

LIMITS = Limits(gap_timeout_s=2.0, end_grace_s=0.2, limit_bytes=6000, max_gap=200)
FATES = ["sent", "sent", "sent", "sent", "twice", "lost", "discarded", "rejected"]
FATES += ["unfit", "far ahead"]
NAMES = ["", "a.h5", "a.h5", "b.h5", "../c.h5"]


class Chaos(RuleBasedStateMachine):
    """One line, one source, one network of a few connections, some clients."""

    @initialize(
        order=st.sampled_from(["counter", "arrival", "series"]),
        connections=st.sampled_from([1, 1, 3]),
        missing=st.sampled_from(["fill", "skip"]),
        gap_timeout_s=st.sampled_from([2.0, 2.0, 0.0]),
        limit_bytes=st.sampled_from([3000, 100_000]),
        is_slow=st.booleans(),
        is_armed=st.booleans(),
    )
    def begin(
        self,
        order,
        connections,
        missing,
        gap_timeout_s,
        limit_bytes,
        is_slow,
        is_armed,
    ):
        limits = LIMITS._replace(gap_timeout_s=gap_timeout_s, limit_bytes=limit_bytes)
        kind = "series" if order == "series" else "counter"
        if order == "arrival":
            connections = 1
        self.order, self.limits, self.is_slow = order, limits, is_slow
        self.line = Line(
            kind,
            connections=connections,
            limits=limits,
            missing=missing,
            idle_timeout_s=30.0,
        )
        self.line.queue = []
        self.network: list[list[Message]] = [[] for _ in range(connections)]
        self.number = self.series = self.frame = 0
        self.token = 0
        self.arrived: list[Image] = []
        self.files = 0
        self.is_armed = is_armed
        """True: one acquisition lasts as long as the test."""
        if is_armed:
            expected = 12 if is_slow else None
            fields = {"expected": expected, "await_series_id": is_slow}
            self.line.arm("0.h5", series="open", **fields)

    # -- the source -------------------------------------------------------------------

    @rule(
        begins=st.sampled_from([True, True, False]),
        fates=st.lists(st.sampled_from(FATES), max_size=8),
        end=st.sampled_from(["sent", "sent", "twice", "lost", "later"]),
        is_restarted=st.sampled_from([False] * 6 + [True]),
        name=st.sampled_from(NAMES),
        step=st.sampled_from([1, 1, 1, 0]),
        spread=st.integers(0, 2),
        arrives=st.sampled_from([True, True, True, False]),
    )
    def send(self, begins, fates, end, is_restarted, name, step, spread, arrives):
        """Send a series, or some more images of it."""
        messages: list[Message] = []
        if is_restarted:
            self.number = self.series = 0
        if begins:
            messages.append(self.start(name, step))
        for fate in fates:
            messages += self.images(fate)
        if end != "later":
            messages += self.ends(end)
        for k, message in enumerate(messages):
            self.network[k * spread % len(self.network)].append(message)
        if arrives:
            for connection in range(len(self.network)):
                self.arrive(connection, 100, True, 0.01)

    def place(self) -> int | None:
        self.number += 1
        return {"counter": self.number, "series": self.frame}.get(self.order)

    @property
    def identifier(self) -> int | None:
        return self.series if self.order == "series" else None

    def start(self, name: str, step: int) -> Start:
        self.frame = 0
        self.series += step
        number = {"counter": self.place(), "series": -1}.get(self.order)
        return Start(series=self.identifier, number=number, filename=name)

    def ends(self, fate: str) -> list[Message]:
        place = self.place() if self.order == "counter" else None
        end = End(series=self.identifier, number=place)
        return [end] * {"lost": 0, "sent": 1}.get(fate, 2)

    def images(self, fate: str) -> list[Image]:
        number = self.place()
        frame, self.frame = self.frame, self.frame + 1
        if fate == "rejected":
            return [] if number is None else [rejected(number, self.identifier)]
        if fate == "far ahead" and number is not None:
            number += 150
        fields = {"encoding": UNFIT} if fate == "unfit" else {}
        copies = {"lost": 0, "twice": 2}.get(fate, 1)
        return [
            image(
                number,
                frame,
                series=self.identifier,
                discard=fate == "discarded",
                blob=self.new_token(),
                **fields,
            )
            for _ in range(copies)
        ]

    def new_token(self) -> bytes:
        self.token += 1
        return self.token.to_bytes(4, "big")

    # -- network and disk -------------------------------------------------------------

    @rule(
        connection=st.integers(0, 2),
        count=st.sampled_from([1, 4, 100, 100]),
        drained=st.booleans(),
        after_s=st.sampled_from([0.0, 0.01, 0.3, 2.0]),
    )
    def arrive(self, connection, count, drained, after_s):
        queue = self.network[connection % len(self.network)]
        if not self.is_slow:
            self.line.write(100)
        batch = queue[:count]
        del queue[:count]
        self.arrived += [message for message in batch if isinstance(message, Image)]
        self.line.push(*batch, drained=drained, after_s=after_s)
        if drained:
            self.line.router.begin()

    @rule(seconds=st.sampled_from([0.1, 2.0, 12.0, 40.0]), drained=st.booleans())
    def silence(self, seconds, drained):
        self.line.wait(seconds, drained)

    @rule(
        count=st.sampled_from([1, 3, 100]),
        is_full=st.sampled_from([False] * 15 + [True]),
    )
    def write(self, count, is_full):
        self.line.write(count)
        if is_full and not self.is_armed:
            self.line.writer.fail()

    # -- the clients ------------------------------------------------------------------

    @property
    def mine(self) -> Acquisition | None:
        current = self.line.router.current
        return current if current is not None and current.origin == "api" else None

    @precondition(lambda self: not self.is_armed)
    @rule(
        has_file=st.sampled_from([True, True, True, False]),
        series=st.sampled_from([1, 2, "open"]),
        expected=st.sampled_from([None, 3, 6]),
        missing=st.sampled_from([None, "fill", "skip"]),
        await_series_id=st.booleans(),
        drained=st.sampled_from([True, True, True, False]),
    )
    def arm(self, has_file, drained, **fields):
        if self.line.router.current is not None:
            self.line.wait(12.0)
        self.files += 1
        try:
            self.line.arm_only(f"{self.files}.h5" if has_file else None, **fields)
        except RequestError as error:
            assert error.status == 409  # noqa: PT017 - the arm may also be taken
        if drained:
            self.line.router.begin()

    @precondition(lambda self: self.mine)
    @rule(more=st.integers(0, 5))
    def expect(self, more):
        expected = self.mine.places_given + more
        self.line.router.patch(self.mine, expected=expected, series_id=None)

    @precondition(lambda self: self.mine and self.order == "series")
    @rule(step=st.sampled_from([1, 0, 0, -1]))
    def pin(self, step):
        self.line.pin(self.mine, max(0, self.series + step))

    @precondition(lambda self: self.mine and self.mine.rows_given)
    @rule(share=st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    def rewind(self, share):
        self.line.rewind(self.mine, round(share * self.mine.rows_given))

    @precondition(lambda self: self.mine and not self.is_armed)
    @rule(state=st.sampled_from(["done", "done", "aborted"]))
    def stop(self, state):
        self.line.stop(self.mine, state)

    # -- what always holds ------------------------------------------------------------

    @invariant()
    def memory_is_bounded(self):
        ordering = self.line.ordering
        assert ordering.held_bytes <= self.limits.limit_bytes
        assert len(getattr(ordering, "_waiting", ())) <= WAITING_KEPT

    @invariant()
    def only_what_may_go_on_is_current(self):
        current = self.line.router.current
        assert current is None or current.state in ("armed", "running")

    def teardown(self):
        for connection in range(len(self.network)):
            self.arrive(connection, 10_000, True, 0.0)
        for _ in range(WAITING_KEPT):
            self.line.wait(2.0)
        assert not self.line.ordering.is_waiting
        current = self.line.router.current
        if current is not None:
            self.line.stop(current)
        self.line.write(10_000)
        self.every_image_is_counted_once()
        self.every_image_is_in_one_row_at_most()

    def every_image_is_counted_once(self):
        unread = sum(image.encoding == NO_PIXELS for image in self.arrived)
        counted = self.line.router.orphans
        for acquisition in self.line.acquisitions:
            assert acquisition.is_over
            counted += self.line.counts(acquisition).get("received", 0)
            if not acquisition.error:
                assert acquisition.rows == acquisition.rows_given
        assert len(self.arrived) - unread <= counted <= len(self.arrived)

    def every_image_is_in_one_row_at_most(self):
        files = self.line.writer.files.values()
        rows = [row.blobs[0] for file in files for row in file if row is not None]
        assert max(Counter(rows).values(), default=0) <= 1


TestChaos = Chaos.TestCase
TestChaos.settings = settings(max_examples=200, stateful_step_count=30)
