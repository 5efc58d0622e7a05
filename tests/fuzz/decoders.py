"""Every decoder, and what the line does with all that a decoder lets pass."""

import random
from collections.abc import Iterator

import numpy as np

from srx_service import codecs
from srx_service.errors import Ignored, ProtocolError
from srx_service.fitting import unusable
from srx_service.headers import with_metadata_as_sent
from srx_service.messages import NO_PIXELS, Image, Message, Start, extras_of
from srx_service.protocols import DECODERS, Decoder, RunDecoder
from srx_service.protocols.stins import StinsDecoder, encode
from tests.fuzz.mutations import mutated, mutated_message, pack, unpack
from tests.hostile import GOOD, HOSTILE
from tests.hostile.case import Sent
from tests.hostile.valid import VALID

MAX_SEED_BYTES = 4096
MAX_TEXT = 1500
"""Characters of an error: its message is logged and kept in /status."""
MAX_KINDS = 60
"""Of errors: they are counted by kind, so none may be made of what came."""
RENEWED_AFTER = 20
"""Inputs; later ones would be late to a decoder that remembers numbers."""
MAX_SHOWN_PIXELS = 1 << 20
"""Larger images would be slow to look at, and are no different."""


class DecoderTarget:
    """One protocol's decoder; it lives on for some inputs, as in the service."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.kinds: set[str] = set()
        self._decoder: Decoder = DECODERS[protocol]()
        self._inputs = 0

    def seeds(self) -> Iterator[tuple[str, bytes]]:
        """Yield good messages and the corpus of hostile ones."""
        for k, sent in enumerate(VALID[self.protocol]):
            yield f"valid {k}", pack([sent])
        yield "good", pack(GOOD[self.protocol])
        yield "all valid", pack(VALID[self.protocol])
        for name, case in HOSTILE[self.protocol].items():
            if callable(case.parts):
                continue  # of megabytes
            text = pack([*case.after, (case.module, case.make())])
            if len(text) <= MAX_SEED_BYTES:
                yield f"hostile: {name}", text

    def mutate(self, rng: random.Random, text: bytes) -> bytes:
        """Damage one message of an input, mostly."""
        messages = unpack(text)
        if not messages or rng.random() < 0.05:
            return mutated(rng, text)
        index = rng.randrange(len(messages))
        messages[index] = mutated_message(rng, messages[index])
        return pack(messages)

    def run(self, text: bytes) -> str:
        """Decode it all; what came of the last message is the outcome."""
        self._inputs += 1
        if self._inputs % RENEWED_AFTER == 0:
            self._decoder = DECODERS[self.protocol]()
        outcome = "refused"
        for sent in unpack(text):
            outcome, messages = decoded(self._decoder, sent, self.kinds)
            for message in messages:
                examine(message)
        assert len(self.kinds) < MAX_KINDS, f"kinds made of what came: {self.kinds}"
        return outcome

    def close(self) -> None:
        """Nothing is open."""


def decoded(
    decoder: Decoder, sent: Sent, kinds: set[str] | None = None
) -> tuple[str, list[Message]]:
    """Return what became of a message, and what reception keeps of it."""
    module, parts = sent
    messages: list[Message] = []
    try:
        messages.extend(decoder.decode(parts, module))
    except ProtocolError as error:
        _check_error(error)
        if kinds is not None:
            kinds.add(error.kind)
        return "refused", messages
    except Ignored as ignored:  # its kind may quote what came: /status keeps a few
        str(ignored.kind).encode()
        return "ignored", messages
    return ("decoded" if messages else "incomplete"), messages


def _check_error(error: ProtocolError) -> None:
    assert error.kind in str(error)
    assert len(str(error)) < MAX_TEXT, f"{len(str(error))} characters"
    str(error).encode()
    for place in (error.series, error.number):
        assert place is None or 0 <= place < 2**64


def examine(message: Message) -> None:
    """Do with a message what forwarder, live view and writer do."""
    if isinstance(message, Image):
        _examine_image(message)
    elif isinstance(message, Start):
        sent = encode(with_metadata_as_sent(message), 7)
        (again,) = StinsDecoder().decode([bytes(part) for part in sent])
        assert isinstance(again, Start)
        assert again.filename == message.filename


def _examine_image(image: Image) -> None:
    if image.encoding == NO_PIXELS:
        return
    extras_of(image)
    unusable(image)
    sent = encode(image, 7, 0.5)
    (again,) = StinsDecoder().decode([bytes(sent[0]), *sent[1:]])
    assert isinstance(again, Image)
    for name in ("frame", "shape", "encoding", "discard"):
        assert getattr(again, name) == getattr(image, name), name
    assert [*map(bytes, again.blobs)] == [*map(bytes, image.blobs)]
    if np.prod(image.shape, dtype=float) <= MAX_SHOWN_PIXELS:
        _look_at(image)


def _look_at(image: Image) -> None:
    try:
        pixels = codecs.decode(image)
    except ValueError:
        return
    assert pixels.shape == image.shape
    np.count_nonzero(pixels)  # reads every pixel


class RunTarget:
    """Many messages at a time must be decoded as one by one."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol

    def seeds(self) -> Iterator[tuple[str, bytes]]:
        """Yield runs of images that differ in their numbers."""
        for k, (module, parts) in enumerate(VALID[self.protocol]):
            if len(parts) == 2 and b"26" in parts[0]:
                run = [(module, [_counted(parts[0], n), parts[1]]) for n in range(5)]
                yield f"run {k}", pack(run)
        run = [(0, [_LONG % (n, n), bytes(24)]) for n in (8, 9, 10, 99, 100)]
        yield "run of other digits", pack(run)

    def mutate(self, rng: random.Random, text: bytes) -> bytes:
        """Damage one message, or all of them alike."""
        messages = unpack(text)
        if not messages or rng.random() < 0.2:
            return mutated(rng, text)
        if rng.random() < 0.5:
            index = rng.randrange(len(messages))
            messages[index] = mutated_message(rng, messages[index])
            return pack(messages)
        seed = rng.random()
        return pack([mutated_message(random.Random(seed), each) for each in messages])

    def run(self, text: bytes) -> str:
        """Compare what a run is decoded to with what its messages are."""
        decoder, alone = DECODERS[self.protocol](), DECODERS[self.protocol]()
        assert isinstance(decoder, RunDecoder)
        batch = [(parts, module) for module, parts in unpack(text)]
        if not batch:
            return "empty"
        decoder.decode_run(batch)  # it learns from the last
        images = decoder.decode_run(batch)
        if images is None:
            return "one by one"
        assert list(images) == [
            message
            for parts, module in batch
            for message in alone.decode(parts, module)
        ]
        beginning = decoder.beginning
        assert all(bytes(parts[0]).startswith(beginning) for parts, _ in batch)
        return "together"

    def close(self) -> None:
        """Nothing is open."""


_LONG = (
    b'{"htype": "image", "msg_number": %d, "frame": %d, "shape": [3, 4], "type": '
    b'"uint16", "compression": "none", "x": -1.5, "y": [0, 10], "t": "12:30"}'
)


def _counted(header: bytes, number: int) -> bytes:
    return header.replace(b"26", b"%d" % (26 + number))
