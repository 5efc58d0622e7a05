import json

import msgspec
import numpy as np
import pytest

from srx_service.codecs import bslz4, decode
from srx_service.messages import Image, Start, extras_of
from srx_service.protocols import stins
from srx_service.protocols.stins import StinsDecoder
from tests.wire import recorded


def items(part):
    """Return keys and values of JSON in their order."""
    return list(json.loads(part).items())


@pytest.fixture(scope="module", params=["nanomax-eiger1m-forwarded", "danmax-orca"])
def forwarded(request, recordings):
    """What live processing got from the predecessor: (parts, our reading of them)."""
    decoder = StinsDecoder()
    messages = recorded.messages(recordings / f"{request.param}.cbors")
    return [(parts, *decoder.decode(parts)) for parts in messages]


@pytest.fixture
def images(forwarded):
    return [pair for pair in forwarded if isinstance(pair[1], Image)]


def test_a_series_is_numbered_without_gaps(forwarded):
    numbers = [message.number for _, message in forwarded]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_images_are_sent_on_byte_for_byte(images):
    for parts, message in images:
        assert stins.encode(message, message.number) == parts


def test_headers_and_ends_are_sent_on_with_the_same_keys(forwarded):
    for parts, message in forwarded:
        if isinstance(message, Image):
            continue
        sent = stins.encode(message, message.number)
        assert [json.loads(part) for part in sent] == [json.loads(p) for p in parts]
        assert not isinstance(message, Start) or items(sent[1]) == items(parts[1])


def test_all_of_an_eiger_is_sent_on_in_the_predecessors_order(recordings):
    decoder = StinsDecoder()
    for parts in recorded.messages(recordings / "nanomax-eiger1m-forwarded.cbors"):
        (message,) = decoder.decode(parts)
        if isinstance(message, Image):
            message = msgspec.structs.replace(message, extras=extras_of(message))
        assert items(stins.encode(message, message.number)[0]) == items(parts[0])


def test_pixels_survive_packing(images):
    for _, message in images:
        pixels = decode(message)
        packed = bslz4.compress(pixels)
        assert np.array_equal(
            bslz4.decompress(packed, message.shape, message.dtype), pixels
        )
