import h5py
import numpy as np
import pytest
from bluesky_tiled_plugins.writing.consolidators import HDF5Consolidator
from bluesky_tiled_plugins.writing.validator import validate_data_source
from event_model import DocumentNames, schema_validators
from event_model.documents import StreamRange

from srx_ophyd.documents import (
    FRAME_KEYS,
    FrameLayout,
    column_data_key,
    data_key,
    datum_data_key,
    known_layout,
    resource,
    stream_resource,
)
from srx_service.columns import CHUNK_BYTES, OWN

ONE = FrameLayout((4, 6), "uint16")
THREE = FrameLayout((4, 6), ">u4", frames_per_event=3)
URI = "file://localhost/data/a.h5"
PLACE = ("/", "data/a.h5")


def test_one_frame_has_no_axis_for_itself():
    key = data_key(ONE, "SRX:http://a")
    assert (key["shape"], key["dims"]) == ([4, 6], ["y", "x"])
    assert (key["dtype_numpy"], key["external"]) == ("<u2", "STREAM:")


def test_several_frames_have_an_axis_in_front():
    key = data_key(THREE, "SRX:http://a")
    assert (key["shape"], key["dims"]) == ([3, 4, 6], ["frame", "y", "x"])
    assert key["dtype_numpy"] == ">u4"


@pytest.mark.parametrize(("layout", "n"), [(ONE, 1), (THREE, 3)])
def test_frames_of_a_datum_have_an_axis_in_front_always(layout, n):
    key = datum_data_key(layout, "SRX:http://a")
    assert (key["shape"], key["dims"]) == ([n, 4, 6], ["frame", "y", "x"])
    assert key["external"] == "FILESTORE:"


@pytest.mark.parametrize(
    ("name", "dtype", "dtype_numpy"),
    [("timestamp", "number", "<f8"), ("frame_number", "integer", "<u4")],
)
def test_a_column_is_one_value_a_frame(name, dtype, dtype_numpy):
    one = column_data_key(FRAME_KEYS[name], 1, "SRX:http://a")
    assert (one["dtype"], one["shape"], one["dims"]) == (dtype, [], [])
    assert one["dtype_numpy"] == dtype_numpy
    three = column_data_key(FRAME_KEYS[name], 3, "SRX:http://a")
    assert (three["dtype"], three["shape"], three["dims"]) == ("array", [3], ["frame"])


@pytest.mark.parametrize("key", FRAME_KEYS.values())
def test_columns_are_as_the_service_writes_them(key):
    dtype = OWN[key.column].dtype
    assert key.dtype_numpy == dtype.str
    assert key.chunk == CHUNK_BYTES // dtype.itemsize


def test_a_stream_resource_names_file_dataset_and_chunks():
    bundle = stream_resource(ONE, "k", URI, "/entry/d", (8, 4, 6))
    parameters = {"dataset": "/entry/d", "chunk_shape": [8, 4, 6], "swmr": True}
    assert bundle.stream_resource_doc["parameters"] == parameters
    schema_validators[DocumentNames.stream_resource].validate(
        bundle.stream_resource_doc
    )


@pytest.mark.parametrize(
    ("shape", "dims"),
    [
        ((256,), ["x"]),
        ((4, 6), ["y", "x"]),
        ((2, 4, 6), ["channel", "y", "x"]),
        ((2, 3, 4, 6), ["channel_0", "channel_1", "y", "x"]),
    ],
)
def test_axes_have_names_whatever_a_frame_is(shape, dims):
    layout = known_layout(shape, "uint16")
    assert layout.dims == dims
    key = datum_data_key(layout, "SRX:here")
    assert (key["shape"], key["dims"]) == ([1, *shape], ["frame", *dims])


@pytest.mark.parametrize("shape", [(), (0, 6), (4, -1)])
def test_a_shape_of_no_frame_is_refused(shape):
    with pytest.raises(ValueError, match="is that of no frame"):
        known_layout(shape, "uint16")


@pytest.mark.parametrize(
    ("chunk", "told"),
    [
        (None, [1, 3, 4, 6]),
        ((8, 4, 6), [8, 3, 4, 6]),
        ((1, 2, 6), [1, 3, 2, 6]),
        ((1024,), [1024, 3]),
    ],
)
def test_chunks_of_several_frames_are_counted_in_events(chunk, told):
    bundle = stream_resource(THREE, "k", URI, "/entry/d", chunk)
    assert bundle.stream_resource_doc["parameters"]["multiplier"] == 3
    assert bundle.stream_resource_doc["parameters"]["chunk_shape"] == told


@pytest.mark.parametrize(
    ("frames", "n", "events"),
    [(52, 10, 52), (52, 250, 52), (52, 260, 1), (9000, 2, 4500)],
)
def test_what_readers_fetch_at_once_is_bounded(frames, n, events):
    layout = FrameLayout((50, 50), "uint16", frames_per_event=n)
    bundle = stream_resource(layout, "k", URI, "/entry/d", (frames, 50, 50))
    told = bundle.stream_resource_doc["parameters"]["chunk_shape"]
    assert told == [events, n, 50, 50]


@pytest.mark.parametrize("n", [1, 2, 3, 8])
@pytest.mark.parametrize("k", [1, 3, 8])
@pytest.mark.parametrize("events", [1, 2, 7, 24])
def test_tiled_counts_the_chunks_of_a_file_as_documents_do(tmp_path, n, k, events):
    path, dataset = tmp_path / "a.h5", "/entry/d"
    frames = np.arange(events * n * 24, dtype="<u2").reshape(-1, 4, 6)
    with h5py.File(path, "w") as file:
        file.create_dataset(dataset, data=frames, chunks=(min(k, len(frames)), 4, 6))
    layout = FrameLayout((4, 6), "uint16", frames_per_event=n)
    resource = stream_resource(layout, "k", path.as_uri(), dataset, (k, 4, 6))
    consolidator = consolidator_of(resource, data_key(layout, "SRX:here"), events)
    source = consolidator.get_data_source()
    _, notes = validate_data_source(source, metadata=consolidator.metadata)
    assert notes == []
    read = consolidator.init_adapter().read()
    assert np.array_equal(read, frames if n == 1 else frames.reshape(-1, n, 4, 6))


def consolidator_of(bundle, key, events):
    """Return what TiledWriter makes of the documents of so many events."""
    made = HDF5Consolidator(bundle.stream_resource_doc, {"data_keys": {"k": key}})
    datum = bundle.compose_stream_datum(indices=StreamRange(start=0, stop=events))
    numbers = StreamRange(start=1, stop=events + 1)
    made.consume_stream_datum({**datum, "seq_nums": numbers})
    return made


def test_the_handler_of_area_detectors_is_told_nothing_it_does_not_take():
    document = resource(THREE, "AD_HDF5", PLACE, "/entry/d").resource_doc
    assert document["resource_kwargs"] == {"frame_per_point": 3}
    assert (document["root"], document["resource_path"]) == PLACE
    schema_validators[DocumentNames.resource].validate(document)


def test_other_handlers_are_told_dataset_and_chunks():
    document = resource(ONE, "SRX_HDF5", PLACE, "/entry/d", (8, 4, 6)).resource_doc
    assert document["resource_kwargs"] == {
        "frame_per_point": 1,
        "dataset": "/entry/d",
        "chunk_shape": [8, 1, 4, 6],
    }
