"""Every protocol against its corpus of broken messages."""

import pytest

from srx_service.errors import ProtocolError
from srx_service.protocols import DECODERS
from tests.hostile import GOOD, HOSTILE

CASES = [(protocol, name) for protocol, corpus in HOSTILE.items() for name in corpus]


@pytest.mark.parametrize(("protocol", "name"), CASES)
def test_a_broken_message_is_refused_by_its_kind_and_place(protocol, name):
    case = HOSTILE[protocol][name]
    with pytest.raises(ProtocolError) as refused:
        DECODERS[protocol]().decode(case.make())
    error = refused.value
    place = {"series": error.series, "number": error.number}
    assert error.kind == case.kind
    assert {k: v for k, v in place.items() if v is not None} == case.place


@pytest.mark.parametrize(("protocol", "name"), CASES)
def test_a_broken_message_is_told_in_a_few_words(protocol, name):
    with pytest.raises(ProtocolError) as refused:
        DECODERS[protocol]().decode(HOSTILE[protocol][name].make())
    assert refused.value.kind in str(refused.value)
    assert 20 < len(str(refused.value)) < 1200


@pytest.mark.parametrize("protocol", HOSTILE)
def test_a_good_message_after_any_broken_one_is_decoded(protocol):
    decoder = DECODERS[protocol]()
    expected = list(DECODERS[protocol]().decode(GOOD[protocol]))
    for case in HOSTILE[protocol].values():
        with pytest.raises(ProtocolError):
            decoder.decode(case.make())
        assert list(decoder.decode(GOOD[protocol])) == expected


@pytest.mark.parametrize("protocol", HOSTILE)
def test_a_broken_message_is_refused_after_good_ones_too(protocol):
    decoder = DECODERS[protocol]()
    decoder.decode(GOOD[protocol])
    for case in HOSTILE[protocol].values():
        with pytest.raises(ProtocolError):
            decoder.decode([memoryview(part) for part in case.make()])


def test_every_protocol_has_a_corpus_of_twenty():
    assert set(HOSTILE) == set(DECODERS)
    assert all(len(corpus) >= 20 for corpus in HOSTILE.values())
