"""Ten thousand damaged messages per protocol, a good one after each.

Whatever comes, a decoder takes it or raises ProtocolError or Ignored; it stays as large
as it was, and the next good image is decoded as if nothing had been.
"""

import contextlib
import random
import sys
from collections.abc import Iterator

import pytest

from srx_service.errors import Ignored, ProtocolError
from srx_service.protocols import DECODERS, Decoder
from tests.fuzz.mutations import mutated_message
from tests.hostile import GOOD
from tests.hostile.case import Sent
from tests.hostile.valid import VALID

MESSAGES = 10_000
GROWTH_BLOCKS = 2_500
"""Of memory: an object has one or more, and half of the messages are twice as many."""


def fed(decoder: Decoder, sent: Sent) -> list:
    module, parts = sent
    return list(decoder.decode(parts, module))


def kept(decoder: Decoder, sent: Sent) -> list:
    """Return what reception keeps: an error may be about the rest of one before."""
    module, parts = sent
    messages: list = []
    with contextlib.suppress(ProtocolError):
        messages.extend(decoder.decode(parts, module))
    return messages


def feed_damaged(protocol: str, decoder: Decoder, count: int) -> Iterator[int]:
    """Feed damaged messages, and yield after each."""
    rng = random.Random(protocol)
    for k in range(count):
        broken = mutated_message(rng, rng.choice(VALID[protocol]))
        with contextlib.suppress(ProtocolError, Ignored):
            fed(decoder, broken)
        yield k


@pytest.mark.parametrize("protocol", DECODERS)
def test_ten_thousand_damaged_messages_do_no_harm(protocol):
    decoder = DECODERS[protocol]()
    good = GOOD[protocol]
    fresh = DECODERS[protocol]()
    expected = [m for sent in good for m in fed(fresh, sent)][-1]
    half = 0
    for k in feed_damaged(protocol, decoder, MESSAGES):
        assert expected in [m for sent in good for m in kept(decoder, sent)]
        if k == MESSAGES // 2:
            half = sys.getallocatedblocks()
    assert sys.getallocatedblocks() - half < GROWTH_BLOCKS


def test_every_protocol_has_messages_to_damage():
    assert set(VALID) == set(DECODERS)
    assert all(len(messages) >= 3 for messages in VALID.values())
