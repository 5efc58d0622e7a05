import pytest
from event_model import DocumentNames, schema_validators

from srx_ophyd.datum_documents import DatumDocuments
from srx_ophyd.documents import FrameLayout, resource

LAYOUT = FrameLayout((4, 6), "uint16")


@pytest.fixture
def documents():
    return DatumDocuments(
        lambda: resource(LAYOUT, "AD_HDF5", ("/", "data/a.h5"), "/entry/d")
    )


def told(documents, stop):
    documents.publish(stop)
    return list(documents.assets())


def emit(documents, stop):
    """Do to documents what the RunEngine does when it emits them."""
    return [(name, document) for name, document in told(documents, stop)]


def points(documents):
    return [document["datum_kwargs"]["point_number"] for _, document in documents]


def test_events_are_told_of_once_after_their_resource(documents):
    names = [name for name, _ in told(documents, 2)]
    assert names == ["resource", "datum", "datum"]
    assert told(documents, 2) == []
    data = emit(documents, 5)
    assert points(data) == [2, 3, 4]
    assert documents.ids[2:] == [document["datum_id"] for _, document in data]
    for _, document in data:
        schema_validators[DocumentNames.datum].validate(document)


def test_what_was_emitted_is_not_taken_back(documents):
    emit(documents, 2)
    assert (documents.take_back(), documents.published) == (False, 2)
    assert documents.is_taken


def test_what_was_dropped_is_taken_back_with_its_resource(documents):
    told(documents, 1)
    assert (documents.take_back(), documents.published) == (True, 0)
    assert not documents.is_taken
    assert documents.ids == []
    assert told(documents, 1)[0][0] == "resource"


def test_a_resource_that_was_emitted_is_not_told_of_again(documents):
    emit(documents, 1)
    told(documents, 2)
    assert (documents.take_back(), documents.published) == (True, 1)
    assert points(emit(documents, 2)) == [1]


def test_what_nobody_asked_for_is_taken_back_too(documents):
    documents.publish(1)
    assert documents.take_back()
    assert list(documents.assets()) == []


def test_an_id_is_not_given_twice(documents):
    emit(documents, 1)
    told(documents, 2)
    first, dropped = documents.ids
    documents.take_back()
    assert documents.ids == [first]
    told(documents, 2)
    assert dropped not in documents.ids
