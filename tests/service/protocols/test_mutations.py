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
from tests.hostile import GOOD
from tests.hostile.case import Sent
from tests.hostile.valid import VALID

MESSAGES = 10_000
GROWTH_BLOCKS = 2_500
"""Of memory: an object has one or more, and half of the messages are twice as many."""
TOKENS = (b"-1", b"1e999", b"NaN", b'"', b"{}", b"[[", b"\\u0061", b"\x00", b"\xff" * 8)
LENGTHS = (
    b"\x1b" + b"\xff" * 8,
    b"\x9f",
    b"\xbf",
    b"\xd8\x28",
    b"\x5b\x7f" + b"\xff" * 7,
)
"""Of CBOR: huge integers, items without end, a tag that nothing follows."""


def damaged(rng: random.Random, sent: Sent) -> Sent:
    """Return a message with one to three things wrong with it."""
    module, parts = sent
    found = list(parts)
    for _ in range(rng.randint(1, 3)):
        if not found:
            break
        index = rng.randrange(len(found))
        match rng.randrange(8):
            case 0:
                del found[index]
            case 1:
                found.insert(index, found[index])
            case 2:
                module = rng.randrange(4)
            case 3:
                rng.shuffle(found)
            case _:
                found[index] = _damaged_part(rng, found[index])
    return module, found


def _damaged_part(rng: random.Random, part: bytes) -> bytes:
    at = rng.randrange(len(part) + 1)
    match rng.randrange(5):
        case 0:
            return part[:at]
        case 1:
            flipped = bytes([rng.randrange(256)])
            return part[:at] + flipped + part[at + 1 :]
        case 2:
            token = rng.choice(TOKENS + LENGTHS)
            return part[:at] + token + part[at + rng.randrange(len(token)) :]
        case 3:
            return part[:at] + rng.randbytes(rng.randrange(12)) + part[at:]
        case _:
            begin = rng.randrange(len(part) + 1)
            return part[:at] + part[begin : begin + 40] + part[at:]


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
        broken = damaged(rng, rng.choice(VALID[protocol]))
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
