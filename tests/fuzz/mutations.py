"""What may happen to bytes, and to the parts of a message."""

import random

from tests.hostile.case import Sent

TOKENS = (
    b"-1",
    b"1e999",
    b"NaN",
    b'"',
    b"{}",
    b"[[",
    b"\\u0061",
    b"\\ud800",
    b"\x00",
    b"\xff" * 8,
    b"99999999999999999999",
)
LENGTHS = (
    b"\x1b" + b"\xff" * 8,
    b"\x9f",
    b"\xbf",
    b"\xd8\x28",
    b"\x5b\x7f" + b"\xff" * 7,
)
"""Of CBOR: huge integers, items without end, a tag that nothing follows."""
MODULES = 4
MAX_PARTS = 64


def mutated(
    rng: random.Random, text: bytes, tokens: tuple[bytes, ...] = TOKENS + LENGTHS
) -> bytes:
    """Return bytes with one thing wrong with them."""
    at = rng.randrange(len(text) + 1)
    match rng.randrange(6):
        case 0:
            return text[:at]
        case 1:
            return text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :]
        case 2 if at < len(text):
            return (
                text[:at] + bytes([text[at] ^ 1 << rng.randrange(8)]) + text[at + 1 :]
            )
        case 3:
            token = rng.choice(tokens)
            return text[:at] + token + text[at + rng.randrange(len(token)) :]
        case 4:
            return text[:at] + rng.randbytes(rng.randrange(12)) + text[at:]
        case _:
            begin = rng.randrange(len(text) + 1)
            return text[:at] + text[begin : begin + 40] + text[at:]


def mutated_message(rng: random.Random, sent: Sent) -> Sent:
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
                module = rng.randrange(MODULES)
            case 3:
                rng.shuffle(found)
            case _:
                found[index] = mutated(rng, found[index])
    return module, found


def pack(messages: list[Sent]) -> bytes:
    """Return messages as one input: module, number of parts, each with its length."""
    out = bytearray()
    for module, parts in messages:
        out += bytes([module & 255, min(len(parts), MAX_PARTS)])
        for part in parts[:MAX_PARTS]:
            out += len(part).to_bytes(3, "little") + part
    return bytes(out)


def unpack(text: bytes) -> list[Sent]:
    """Return the messages of an input; any bytes are some."""
    found: list[Sent] = []
    at = 0
    while at < len(text):
        count = text[at + 1] % (MAX_PARTS + 1) if at + 1 < len(text) else 0
        sent: Sent = (text[at], [])
        at += 2
        for _ in range(count):
            size = int.from_bytes(text[at : at + 3], "little")
            sent[1].append(text[at + 3 : at + 3 + size])
            at += 3 + size
        found.append(sent)
    return found
