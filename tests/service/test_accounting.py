"""Whatever happens to the messages, every image is accounted for and has its row."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from srx_service.messages import NO_PIXELS, End, Image, Message, Start
from tests.service.line import ROOT, UNFIT, Line, image, rejected

Order = Literal["counter", "series"]
Fate = Literal["sent", "sent twice", "lost", "discarded", "rejected", "unfit"]
ORDERS: list[Order] = ["counter", "series"]
FATES = st.sampled_from(
    ["sent", "sent", "sent", "sent twice", "lost", "discarded", "rejected", "unfit"]
)


@dataclass(frozen=True)
class Sent:
    """A series, and what becomes of each of its images on the way."""

    fates: list[Fate]
    end: Fate
    """Of its End: sent, sent twice or lost."""

    def rows(self, order: Order) -> list[int | None]:
        """What a file that misses nothing of it holds."""
        seen = [fate != "lost" for fate in self.fates]
        fates = self.fates
        if order == "series" or self.end == "lost":  # nobody knows of a lost tail
            fates = fates[: max((k + 1 for k, s in enumerate(seen) if s), default=0)]
        return [
            frame if fate.startswith("sent") else None
            for frame, fate in enumerate(fates)
            if fate != "discarded"
        ]


SERIES = st.builds(
    Sent,
    fates=st.lists(FATES, max_size=12),
    end=st.sampled_from(["sent", "sent", "sent twice", "lost"]),
)


def make(number: int | None, frame: int, series: int | None, fate: Fate) -> Image:
    if fate == "rejected":
        assert number is not None
        return rejected(number, series)
    encoding = UNFIT if fate == "unfit" else "none"
    is_discarded = fate == "discarded"
    return image(number, frame, series=series, encoding=encoding, discard=is_discarded)


def stream(order: Order, plan: list[Sent], first: int) -> Iterator[list[Message]]:
    """Yield the messages of each series, as often as they are sent."""
    number = first
    for identifier, sent in enumerate(plan, start=1):
        is_counted = order == "counter"
        series = None if is_counted else identifier
        name = f"{identifier}.h5"
        at = number if is_counted else -1
        messages: list[Message] = [Start(series=series, number=at, filename=name)]
        for frame, fate in enumerate(sent.fates):
            number += 1
            if fate != "lost":
                one = make(number if is_counted else frame, frame, series, fate)
                messages += [one] * (2 if fate == "sent twice" else 1)
        number += 1
        end = End(series=series, number=number if is_counted else None)
        messages += [end] * {"lost": 0, "sent": 1}.get(sent.end, 2)
        number += 1
        yield messages


def deliver(line: Line, messages: list[Message], connections: int, rng: Random) -> None:
    """Let messages arrive in batches, out of order as connections allow."""
    queues: list[list[Message]] = [[] for _ in range(connections)]
    for message in messages:
        rng.choice(queues).append(message)
    while left := [queue for queue in queues if queue]:
        batch: list[Message] = []
        for queue in rng.sample(left, rng.randint(1, len(left))):
            count = rng.randint(1, len(queue))
            batch += queue[:count]
            del queue[:count]
        line.push(*batch, drained=rng.random() < 0.5, after_s=0.0001)


@given(
    order=st.sampled_from(ORDERS),
    connections=st.sampled_from([1, 2, 4]),
    plan=st.lists(SERIES, min_size=1, max_size=5),
    first=st.integers(0, 5),
    rng=st.randoms(),
)
def test_what_arrives_within_the_limits_is_in_its_row(
    order, connections, plan, first, rng
):
    line = Line(order, connections=connections)
    messages = [message for each in stream(order, plan, first) for message in each]
    deliver(line, messages, connections, rng)
    for _ in range(3 * len(plan)):
        line.wait(2.0)
    for identifier, sent in enumerate(plan, start=1):
        rows = line.writer.files[str(ROOT / f"{identifier}.h5")]
        assert [row and row.frame for row in rows] == sent.rows(order)
    check(line, messages)


def check(line: Line, messages: list[Message]) -> None:
    """Every image that arrived is counted once."""
    arrived = [message for message in messages if isinstance(message, Image)]
    unread = sum(image.encoding == NO_PIXELS for image in arrived)
    counted = line.router.orphans
    for acquisition in line.acquisitions:
        counted += sum(line.counts(acquisition).get(name, 0) for name in ["received"])
    assert len(arrived) - unread <= counted <= len(arrived)
