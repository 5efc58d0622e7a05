import pytest
from event_model import DocumentNames, schema_validators

from srx_ophyd.documents import FrameLayout, stream_resource
from srx_ophyd.stream_documents import StreamDocuments

LAYOUT = FrameLayout((4, 6), "uint16")
URI = "file://localhost/data/a.h5"


@pytest.fixture
def documents():
    def make():
        return [stream_resource(LAYOUT, key, URI, "/entry/d") for key in ("a", "b")]

    return StreamDocuments(make)


def told(documents, stop):
    documents.publish(stop)
    return list(documents.assets())


def emit(documents, stop, descriptor="d1"):
    """Do to documents what the RunEngine does when it emits them."""
    for name, document in told(documents, stop):
        filled = {"stream_resource": {"run_start": "r1"}}
        document.update(filled.get(name, {"descriptor": descriptor}))


def test_events_are_told_of_once_after_their_resources(documents):
    names = [name for name, _ in told(documents, 2)]
    assert names == [*["stream_resource"] * 2, *["stream_datum"] * 2]
    assert told(documents, 2) == []
    data = told(documents, 5)
    assert len({datum["stream_resource"] for _, datum in data}) == 2
    for name, datum in data:
        assert (name, datum["indices"]) == ("stream_datum", {"start": 2, "stop": 5})
        schema_validators[DocumentNames.stream_datum].validate(datum)


def test_what_was_emitted_is_not_taken_back(documents):
    emit(documents, 2)
    assert (documents.take_back(), documents.published) == (False, 2)
    assert documents.is_taken


def test_what_was_dropped_is_taken_back_with_its_resources(documents):
    told(documents, 1)
    assert (documents.take_back(), documents.published) == (True, 0)
    assert not documents.is_taken
    assert told(documents, 1)[0][0] == "stream_resource"


def test_a_resource_that_was_emitted_is_not_told_of_again(documents):
    emit(documents, 1)
    told(documents, 2)
    assert (documents.take_back(), documents.published) == (True, 1)
    assert {name for name, _ in told(documents, 2)} == {"stream_datum"}


def test_what_nobody_asked_for_is_taken_back_too(documents):
    documents.publish(1)
    assert documents.take_back()
    assert list(documents.assets()) == []


def test_another_descriptor_after_one_question_is_another_configuration(documents):
    emit(documents, 1, "d1")
    emit(documents, 2, "d2")
    assert not documents.mixes_streams(described=1)
    assert documents.mixes_streams(described=2)


def test_going_back_to_a_descriptor_is_another_stream(documents):
    for stop, descriptor in enumerate(["d1", "d2", "d1"], start=1):
        emit(documents, stop, descriptor)
    assert documents.mixes_streams(described=1)
