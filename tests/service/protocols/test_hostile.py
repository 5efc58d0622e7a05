"""Every protocol against its corpus of broken messages."""

import pytest

from srx_service.errors import ProtocolError
from srx_service.protocols import DECODERS
from tests.hostile import GOOD, HOSTILE

CASES = [(protocol, name) for protocol, corpus in HOSTILE.items() for name in corpus]


def read(decoder, sent):
    """Return what messages, each with its module, are decoded to."""
    return [m for module, parts in sent for m in decoder.decode(parts, module)]


def refuse(decoder, case, kind=bytes):
    """Return the error that a broken message is refused with."""
    read(decoder, case.after)
    with pytest.raises(ProtocolError) as refused:
        read(decoder, [(case.module, [kind(part) for part in case.make()])])
    return refused.value


@pytest.mark.parametrize(("protocol", "name"), CASES)
def test_a_broken_message_is_refused_by_its_kind_and_place(protocol, name):
    case = HOSTILE[protocol][name]
    error = refuse(DECODERS[protocol](), case)
    place = {"series": error.series, "number": error.number}
    assert error.kind == case.kind
    assert {k: v for k, v in place.items() if v is not None} == case.place


@pytest.mark.parametrize(("protocol", "name"), CASES)
def test_a_broken_message_is_told_in_a_few_words(protocol, name):
    error = refuse(DECODERS[protocol](), HOSTILE[protocol][name])
    assert error.kind in str(error)
    assert 20 < len(str(error)) < 1200


@pytest.mark.parametrize("protocol", HOSTILE)
def test_a_good_message_after_any_broken_one_is_decoded(protocol):
    decoder = DECODERS[protocol]()
    expected = read(DECODERS[protocol](), GOOD[protocol])
    for case in HOSTILE[protocol].values():
        refuse(decoder, case)
        assert read(decoder, GOOD[protocol])[-1] == expected[-1]


@pytest.mark.parametrize("protocol", HOSTILE)
def test_a_broken_message_is_refused_after_good_ones_too(protocol):
    decoder = DECODERS[protocol]()
    read(decoder, GOOD[protocol])
    for case in HOSTILE[protocol].values():
        refuse(decoder, case, kind=memoryview)


def test_every_protocol_has_a_corpus_of_twenty():
    assert set(HOSTILE) == set(DECODERS)
    assert all(len(corpus) >= 20 for corpus in HOSTILE.values())
