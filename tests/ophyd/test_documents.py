from event_model import DocumentNames, schema_validators

from srx_ophyd.documents import (
    EventDocuments,
    FrameLayout,
    data_key,
    stream_resource,
)

ONE = FrameLayout((4, 6), "uint16")
THREE = FrameLayout((4, 6), ">u4", frames_per_event=3)


def make():
    return stream_resource(ONE, "det_image", "file://localhost/data/a.h5", "/entry/d")


def emit(documents, descriptor="d1"):
    """Do to documents what the RunEngine does when it emits them."""
    for name, document in documents:
        filled = {"stream_resource": {"run_start": "r1"}}
        document.update(filled.get(name, {"descriptor": descriptor}))


def test_one_frame_has_no_axis_for_itself():
    key = data_key(ONE, "SRX:http://a")
    assert (key["shape"], key["dims"]) == ([4, 6], ["y", "x"])
    assert (key["dtype_numpy"], key["external"]) == ("<u2", "STREAM:")


def test_several_frames_have_an_axis_in_front():
    key = data_key(THREE, "SRX:http://a")
    assert (key["shape"], key["dims"]) == ([3, 4, 6], ["frame", "y", "x"])
    assert key["dtype_numpy"] == ">u4"


def test_a_resource_names_file_dataset_and_chunks():
    bundle = stream_resource(ONE, "k", "file://localhost/a.h5", "/entry/d", (8, 4, 6))
    parameters = {"dataset": "/entry/d", "chunk_shape": [8, 4, 6], "swmr": True}
    assert bundle.stream_resource_doc["parameters"] == parameters
    schema_validators[DocumentNames.stream_resource].validate(
        bundle.stream_resource_doc
    )


def test_a_resource_of_several_frames_has_a_multiplier():
    bundle = stream_resource(THREE, "k", "file://localhost/a.h5", "/entry/d")
    assert bundle.stream_resource_doc["parameters"]["multiplier"] == 3
    assert bundle.stream_resource_doc["parameters"]["chunk_shape"] == [1, 3, 4, 6]


def test_events_are_told_of_once_after_their_resource():
    events = EventDocuments()
    names = [name for name, _ in events.up_to(2, make)]
    assert names == ["stream_resource", "stream_datum"]
    assert [*events.up_to(2, make)] == []
    [(name, datum)] = events.up_to(5, make)
    assert (name, datum["indices"]) == ("stream_datum", {"start": 2, "stop": 5})
    schema_validators[DocumentNames.stream_datum].validate(datum)


def test_what_was_emitted_is_not_taken_back():
    events = EventDocuments()
    emit(events.up_to(2, make))
    assert (events.take_back(), events.published) == (False, 2)
    assert events.is_taken


def test_what_was_dropped_is_taken_back_with_its_resource():
    events = EventDocuments()
    list(events.up_to(1, make))
    assert (events.take_back(), events.published) == (True, 0)
    assert not events.is_taken
    assert next(events.up_to(1, make))[0] == "stream_resource"


def test_a_resource_that_was_emitted_is_not_told_of_again():
    events = EventDocuments()
    emit(events.up_to(1, make))
    list(events.up_to(2, make))
    assert (events.take_back(), events.published) == (True, 1)
    assert [name for name, _ in events.up_to(2, make)] == ["stream_datum"]


def test_another_descriptor_after_one_question_is_another_configuration():
    events = EventDocuments()
    emit(events.up_to(1, make), "d1")
    emit(events.up_to(2, make), "d2")
    assert not events.mixes_streams(described=1)
    assert events.mixes_streams(described=2)


def test_going_back_to_a_descriptor_is_another_stream():
    events = EventDocuments()
    for stop, descriptor in enumerate(["d1", "d2", "d1"], start=1):
        emit(events.up_to(stop, make), descriptor)
    assert events.mixes_streams(described=1)
