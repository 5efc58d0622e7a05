"""What ends up in the file: layout, appending, refusals."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
from msgspec.structs import replace

from srx_service.counts import COUNT_NAMES
from srx_service.messages import NO_PIXELS, Start
from srx_service.orders import Create, Header, Rows
from tests.service.writing import (
    DATASET,
    GROUP,
    Desk,
    acquisition,
    image,
    images,
    pixels,
)


def read(path, name=DATASET):
    with h5py.File(path) as file:
        return file[name][()]


def expect(*frames):
    hole = np.full_like(pixels(0), 65535)
    found = [hole if frame is None else pixels(frame) for frame in frames]
    return np.reshape(found, (-1, *hole.shape))


def objects(file):
    found = []
    file.visititems(lambda name, _: found.append(name))
    return sorted(found)


# -- a new file ------------------------------------------------------------------------


def test_frames_are_at_the_dataset_and_at_entry_data_data(desk):
    desk.series(*images(0, 1, 2))
    assert np.array_equal(read(desk.file), expect(0, 1, 2))
    assert np.array_equal(read(desk.file, "/entry/data/data"), expect(0, 1, 2))
    assert read(desk.file, f"{GROUP}/sequence_number").tolist() == [0, 1, 2]
    assert read(desk.file, f"{GROUP}/timestamp").tolist() == [5.0, 5.0, 5.0]


@pytest.mark.parametrize(
    ("dataset", "columns"),
    [
        (DATASET, ["sequence_number", "timestamp"]),
        ("/data", ["sequence_number", "timestamp"]),
        (f"{GROUP}/timestamp", ["sequence_number"]),
        ("/entry/acquisition/metadata/data", ["sequence_number"]),
    ],
)
def test_the_columns_are_told_from_the_beginning(desk, dataset, columns):
    request = {"metadata": {"timestamp": "the user's"}}
    made = desk.begin(acquisition(desk.file, dataset=dataset, **request))
    told = made.columns
    assert sorted(told) == columns
    desk.write(made, *images(0, 1, extras={"timestamp": 7}))
    desk.end(made)
    assert made.columns == told
    assert all(len(read(desk.file, path)) == 2 for path in told.values())


def test_an_acquisition_without_a_file_has_no_columns():
    assert acquisition(None, series=1).as_dict()["columns"] == {}


@pytest.mark.parametrize(
    "dataset",
    ["/entry/data/data", "/entry/data", "/data", "/entry/measurement/Pilatus/data"],
)
@pytest.mark.parametrize("rounds", [1, 2])
def test_the_dataset_may_have_any_path(desk, dataset, rounds):
    for _ in range(rounds):
        made = desk.begin(acquisition(desk.file, dataset=dataset), Start(metadata={}))
        desk.write(made, *images(0, 1))
        assert desk.end(made).error is None
    assert np.array_equal(read(desk.file, dataset), expect(*rounds * [0, 1]))


def test_every_object_is_made_before_swmr_begins(desk):
    start = Start(metadata={"a": 1}, tables={"mask": np.eye(2)}, appendix=b"x")
    made = desk.begin(acquisition(desk.file, series=3), start)
    desk.write(made, image(0, extras={"a": "x", "b": b"y", "c": [1.0]}))
    desk.flush()
    with h5py.File(desk.file, swmr=True) as reader:
        at_start = objects(reader)
    desk.lose(made, 3)
    desk.write(made, image(4, extras={"d": 1}), image(5, shape=(2, 2)))
    desk.do(Header(made, Start(metadata={"later": 1}), made.rows_given))
    desk.write(made, *images(6, 7))
    desk.rewind(made, 5)
    desk.write(made, image(8))
    desk.end(made)
    with h5py.File(desk.file) as file:
        assert objects(file) == at_start


def test_nothing_of_variable_length_is_written_per_frame(desk):
    desk.series(image(0, extras={"text": "a", "bytes": b"b", "vector": [1, 2]}))
    with h5py.File(desk.file) as file:
        growing = [
            each.dtype
            for each in file[GROUP].values()
            if isinstance(each, h5py.Dataset) and each.maxshape[:1] == (None,)
        ]
    assert len(growing) == 10
    assert not any(dtype.hasobject for dtype in growing)


def test_metadata_is_there_before_the_first_image(desk):
    desk.begin(start=Start(metadata={"count_time": 0.1, "data": 5}))
    desk.end(desk.writer._filing.ledger.acquisition)
    assert read(desk.file, f"{GROUP}/count_time") == 0.1
    assert read(desk.file, f"{GROUP}/data_") == 5


def test_no_metadata_makes_an_acquisition_fail(desk):
    odd = {
        "none": None,
        "ragged": [[1], [1, 2]],
        "huge": 2**70,
        "a/b": {"\0": "\ud800"},
    }
    odd |= {"": [], "sequence_number": [1, "x"], "k" * 70_000: True, "deep": {"x": {}}}
    made = desk.series(image(0), start=Start(metadata=odd))
    assert (made.state, made.counts.written) == ("done", 1)
    assert json.loads(read(desk.file, f"{GROUP}/header_json")) == odd


def test_headers_of_all_series_are_in_the_log_with_their_first_row(desk):
    made = desk.begin(
        acquisition(desk.file, series=3), Start(series=7, metadata={"a": 1})
    )
    desk.write(made, *images(0, 1))
    desk.do(Header(made, Start(series=8, metadata={"a": [2, None]}), 2))
    desk.end(made)
    lines = read(desk.file, f"{GROUP}/header_log").tobytes().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"row": 0, "series": 7, "acquisition": made.id, "header": {"a": 1}},
        {"row": 2, "series": 8, "acquisition": made.id, "header": {"a": [2, None]}},
    ]


def test_a_header_that_says_nothing_leaves_room_for_the_next(desk):
    made = desk.begin(acquisition(desk.file, series=2))
    desk.do(Header(made, Start(metadata={"a": 1}), 0))
    desk.end(made)
    assert read(desk.file, f"{GROUP}/a") == 1


def test_a_series_without_frames_leaves_a_whole_file(desk):
    made = desk.series(start=Start(metadata={"a": 1}))
    assert made.state == "done"
    assert read(desk.file, f"{GROUP}/sequence_number").shape == (0,)
    counts = read(desk.file, "/entry/acquisition/counts").tolist()
    assert counts == [[*[0] * (len(COUNT_NAMES) - 1), -1]]


def test_what_was_asked_for_and_what_came_is_in_the_file(desk):
    made = acquisition(desk.file, expected=9, metadata={"sample": {"name": "A1"}})
    desk.begin(made)
    desk.write(made, *images(0, 1), image(2, shape=(2, 2)))
    desk.lose(made, 2)
    desk.end(made)
    with h5py.File(desk.file) as file:
        group = file["/entry/acquisition"]
        assert group["metadata/sample/name"].asstr()[()] == "A1"
        assert (group.attrs["id"], group.attrs["origin"]) == (made.id, "api")
        counts = dict(
            zip(group["counts"].attrs["names"], group["counts"][0], strict=True)
        )
    assert counts == made.counts.as_dict() | {"expected": 9}
    assert (counts["written"], counts["missing"], counts["short"]) == (2, 2, 4)


@pytest.mark.parametrize("frames_per_chunk", [1, 3, "auto"])
@pytest.mark.parametrize("reason", ["missing", "rejected"])
def test_lost_rows_are_listed_with_their_reason(tmp_path, frames_per_chunk, reason):
    with Desk(tmp_path, frames_per_chunk=frames_per_chunk) as desk:
        made = desk.begin()
        desk.write(made, image(0))
        desk.lose(made, 4, reason)
        desk.write(made, image(5), image(6, dtype="uint8"), image(7))
        desk.end(made)
    code = {"missing": 1, "rejected": 2}[reason]
    assert np.array_equal(read(desk.file), expect(0, *4 * [None], 5, None, 7))
    assert read(desk.file, f"{GROUP}/missing_frames").tolist() == [1, 2, 3, 4, 6]
    assert read(desk.file, f"{GROUP}/missing_reason").tolist() == [*4 * [code], 2]


@pytest.mark.parametrize(
    ("dtype", "fill"), [("uint16", 7), ("float32", -5), ("int8", 9)]
)
def test_holes_read_as_configured(tmp_path, dtype, fill):
    with Desk(tmp_path, fill_value=fill) as desk:
        made = desk.begin()
        desk.write(made, image(0, dtype=dtype))
        desk.lose(made, 1)
        desk.end(made)
    assert (read(desk.file)[1] == fill).all()


def test_a_first_image_that_is_bad_leaves_a_hole_and_the_next_decides(desk):
    bad = replace(image(0), blobs=(b"short",))
    made = desk.begin()
    desk.write(made, bad, replace(bad, encoding=NO_PIXELS))
    desk.lose(made, 1)
    desk.write(made, bad, *images(4, 5, dtype="uint32"))
    desk.end(made)
    assert (made.counts.rejected, made.counts.written, made.rows) == (3, 2, 6)
    assert read(desk.file)[:, 0, 0].tolist() == [*4 * [2**32 - 1], 400, 500]
    assert read(desk.file, f"{GROUP}/missing_reason").tolist() == [2, 2, 1, 2]


def test_where_all_images_are_bad_the_file_is_whole_without_frames(desk):
    made = desk.series(*3 * [replace(image(0), blobs=(b"short",))])
    assert (made.state, made.counts.rejected, made.rows) == ("done", 3, 0)
    assert read(desk.file, f"{GROUP}/sequence_number").shape == (0,)


@pytest.mark.parametrize(
    ("asked", "told"),
    [({"shape": (8, 6)}, "(8, 6)"), ({"dtype": "uint32"}, "uint32")],
    ids=str,
)
def test_a_first_frame_unlike_the_armed_one_fails_with_both_named(desk, asked, told):
    made = desk.begin(acquisition(desk.file, **asked))
    desk.write(made, *images(0, 1))
    desk.end(made)
    assert made.state == "failed"
    assert "is uint16 (6, 8)" in made.error
    assert told in made.error
    assert (made.rows, made.counts.rejected) == (0, 2)
    assert read(desk.file, f"{GROUP}/sequence_number").shape == (0,)


def test_the_armed_dtype_may_be_spelt_as_bluesky_does(desk):
    made = desk.begin(acquisition(desk.file, shape=(6, 8), dtype="<u2"))
    desk.write(made, image(0))
    assert desk.end(made).state == "done"


# -- readers while it is written -------------------------------------------------------


def read_elsewhere(path, how="swmr=True"):
    """Read in another process, as readers do."""
    code = (
        "import h5py, hdf5plugin\n"
        f"with h5py.File({str(path)!r}, 'r', {how}) as file:\n"
        f"    print(file[{DATASET!r}][:, 0, 0].tolist())"
    )
    words = [sys.executable, "-c", code]
    return json.loads(subprocess.run(words, check=True, capture_output=True).stdout)


@pytest.mark.parametrize("frames_per_chunk", [1, 4, "auto"])
def test_flushed_rows_are_readable_in_another_process(tmp_path, frames_per_chunk):
    with Desk(tmp_path, frames_per_chunk=frames_per_chunk) as desk:
        made = desk.begin()
        desk.write(made, *images(0, 1, 2, 3, 4))
        desk.flush()
        assert read_elsewhere(desk.file) == [0, 100, 200, 300, 400]
        desk.write(made, *images(5, 6))
        desk.flush()
        assert read_elsewhere(desk.file) == [0, 100, 200, 300, 400, 500, 600]
        desk.end(made)


# -- appending -------------------------------------------------------------------------


@pytest.mark.parametrize("frames_per_chunk", [1, 3, "auto"])
@pytest.mark.parametrize("encoding", ["none", "bslz4"])
def test_a_series_of_the_same_name_is_appended(tmp_path, frames_per_chunk, encoding):
    with Desk(tmp_path, frames_per_chunk=frames_per_chunk) as desk:
        for point in range(4):
            shots = images(2 * point, 2 * point + 1, encoding=encoding)
            made = desk.series(*shots, start=Start(metadata={"p": point}))
            assert (made.state, made.rows) == ("done", 2)
    assert np.array_equal(read(desk.file), expect(*range(8)))
    assert read(desk.file, f"{GROUP}/sequence_number").tolist() == list(range(8))
    assert read(desk.file, "/entry/acquisition/counts").shape == (4, len(COUNT_NAMES))
    lines = read(desk.file, f"{GROUP}/header_log").tobytes().splitlines()
    assert [json.loads(line)["row"] for line in lines] == [0, 2, 4, 6]
    assert read(desk.file, f"{GROUP}/p") == 0


def test_rows_are_counted_within_the_acquisition_and_listed_within_the_file(desk):
    desk.series(*images(0, 1))
    made = desk.begin()
    desk.lose(made, 1)
    desk.write(made, image(3))
    desk.end(made)
    assert made.rows == 2
    assert read(desk.file, f"{GROUP}/missing_frames").tolist() == [2]


def test_columns_go_on_when_appended_to(desk):
    desk.series(image(0, extras={"q": 1.5, "t": {"x": "a"}}))
    desk.series(image(1, extras={"q": 2.5, "t": {"x": "b"}, "new": 1}))
    desk.series(image(2))
    assert read(desk.file, f"{GROUP}/q")[:2].tolist() == [1.5, 2.5]
    assert read(desk.file, f"{GROUP}/t_x").tolist() == [b"a", b"b", b""]
    assert len(read(desk.file, f"{GROUP}/q")) == 3


DIFFERENT = [
    ({"shape": (8, 6)}, "shape (8, 6) instead of (6, 8)"),
    ({"dtype": "int16"}, "dtype int16 instead of uint16"),
    ({"encoding": "bslz4"}, "encoding bslz4 instead of none"),
]


@pytest.mark.parametrize(("other", "told"), DIFFERENT, ids=str)
def test_what_disagrees_is_not_appended_but_rejected(desk, other, told):
    desk.series(*images(0, 1))
    before = read(desk.file), read(desk.file, f"{GROUP}/header_log").tobytes()
    made = desk.begin()
    desk.write(made, *images(0, 1, **other))
    desk.write(made, image(2, **other))
    desk.end(made)
    assert made.state == "failed"
    assert told in made.error
    assert desk.errors == [made.error]
    assert (made.counts.rejected, made.counts.unsaved, made.rows) == (3, 0, 0)
    after = read(desk.file), read(desk.file, f"{GROUP}/header_log").tobytes()
    assert np.array_equal(before[0], after[0])
    assert before[1] == after[1]


def test_a_bad_image_before_those_that_disagree_changes_nothing(desk):
    desk.series(*images(0, 1))
    made = desk.begin()
    desk.write(made, replace(image(0), blobs=(b"short",)))
    desk.lose(made, 2)
    desk.write(made, image(1, dtype="int16"))
    desk.end(made)
    assert read(desk.file).shape[0] == 2
    assert (made.counts.rejected, made.counts.missing) == (2, 2)


def test_a_later_image_that_disagrees_is_a_hole(desk):
    desk.series(*images(0, 1))
    made = desk.series(image(0), image(1, dtype="int16"), image(2))
    assert (made.state, made.counts.rejected) == ("done", 1)
    assert np.array_equal(read(desk.file), expect(0, 1, 0, None, 2))


def test_a_file_armed_for_is_never_appended_to_by_a_stream(desk):
    armed = desk.begin(acquisition(desk.file, series=1))
    desk.write(armed, image(0))
    desk.end(armed)
    made = desk.series(*images(1, 2))
    assert made.state == "failed"
    assert armed.id in made.error
    assert (made.counts.rejected, made.counts.unsaved) == (2, 0)
    assert np.array_equal(read(desk.file), expect(0))


def test_an_existing_file_is_never_armed_for(desk):
    desk.series(image(0))
    made = desk.begin(acquisition(desk.file, series=1))
    desk.write(made, image(1))
    desk.end(made)
    assert "never overwritten" in made.error
    assert made.counts.unsaved == 1
    assert np.array_equal(read(desk.file), expect(0))


@pytest.mark.parametrize("what", ["text", "group", "gzip", "fixed"])
def test_other_programs_data_is_left_as_it_is(desk, what):
    with h5py.File(desk.file, "w") as file:
        match what:
            case "text":
                file[DATASET] = "text"
            case "group":
                file.create_group(DATASET)
            case "gzip":
                limits = {"maxshape": (None, 6, 8), "compression": "gzip"}
                file.create_dataset(DATASET, data=[pixels(0)], **limits)
            case "fixed":
                file[DATASET] = [pixels(0)]
    with h5py.File(desk.file) as file:
        before = objects(file)
    made = desk.series(*images(0, 1))
    assert (made.state, made.counts.rejected) == ("failed", 2)
    assert f"{DATASET} " in made.error
    with h5py.File(desk.file) as file:
        assert objects(file) == before


def test_a_file_that_is_no_hdf5_is_left_as_it_is(desk):
    desk.file.write_bytes(b"precious")
    made = desk.series(*images(0, 1))
    assert (made.state, made.counts.rejected) == ("failed", 2)
    assert desk.file.read_bytes() == b"precious"


def test_a_dataset_is_added_to_a_file_that_has_none(desk):
    with h5py.File(desk.file, "w", libver="latest") as file:
        file["/entry/sample"] = "A1"
        file["/entry"].attrs["NX_class"] = "NXentry"
    assert desk.series(*images(0, 1)).state == "done"
    assert np.array_equal(read(desk.file), expect(0, 1))
    assert read(desk.file, "/entry/sample") == b"A1"


def test_after_a_series_without_frames_the_next_makes_the_dataset(desk):
    desk.series(start=Start(metadata={"a": 1}))
    desk.series(*images(0, 1), start=Start(metadata={"a": 2}))
    assert np.array_equal(read(desk.file), expect(0, 1))
    assert read(desk.file, f"{GROUP}/a") == 1
    assert read(desk.file, "/entry/acquisition/counts").shape[0] == 2


def test_a_reader_of_the_closed_file_does_not_keep_it_from_being_appended_to(desk):
    desk.series(image(0))
    code = "import h5py, sys; file = h5py.File(sys.argv[1]); print(file); input()"
    words = [sys.executable, "-uc", code, str(desk.file)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, **pipes) as reader:
        assert reader.stdout.readline()
        assert desk.series(image(1)).state == "done"
        reader.communicate(b"\n")
    assert np.array_equal(read(desk.file), expect(0, 1))


# -- the predecessor's files -----------------------------------------------------------


@pytest.fixture(params=["none", "bslz4"])
def old(desk, request):
    """A file as MAX IV's streaming-receiver makes them, with two frames."""
    filters = {"bslz4": {"compression": 32008, "compression_opts": (0, 2)}}
    with h5py.File(desk.file, "w") as file:
        group = file.create_group(GROUP)
        group.attrs["NX_class"] = "NXdetector"
        group["count_time"] = 0.1
        numbers = {"shape": (2,), "maxshape": (None,), "dtype": "u4"}
        group.create_dataset("sequence_number", **numbers)[:] = [0, 1]
        how = {"maxshape": (None, 6, 8), "chunks": (1, 6, 8)}
        how |= filters.get(request.param, {})
        group.create_dataset("data", (2, 6, 8), "u2", **how)[:] = expect(0, 1)
    return request.param


def test_the_predecessors_file_is_appended_to_and_gets_no_columns(desk, old):
    with h5py.File(desk.file) as file:
        before = objects(file)
    made = desk.series(
        *images(0, 1, encoding=old, extras={"q": 1}), start=Start(metadata={"new": 1})
    )
    assert (made.state, made.rows) == ("done", 2)
    assert made.columns == {"sequence_number": f"{GROUP}/sequence_number"}
    assert "made by an older HDF5" in made.note
    assert np.array_equal(read(desk.file), expect(0, 1, 0, 1))
    assert read(desk.file, f"{GROUP}/sequence_number").tolist() == [0, 1, 0, 1]
    with h5py.File(desk.file) as file:
        assert objects(file) == before
        assert file.id.get_create_plist().get_version()[0] < 3


def test_the_predecessors_file_is_flushed_without_swmr(desk, old):
    made = desk.begin()
    desk.write(made, image(0, old))
    desk.flush()
    assert made.counts.written == 1
    assert read_elsewhere(desk.file, "locking=False") == [0, 100, 0]
    desk.end(made)


def test_what_disagrees_with_the_predecessors_file_is_rejected(desk, old):
    made = desk.series(image(0, old, dtype="uint32"))
    assert (made.state, made.counts.rejected) == ("failed", 1)
    assert np.array_equal(read(desk.file), expect(0, 1))


def test_sequence_numbers_that_the_predecessor_lost_are_filled_up(desk, old):
    with h5py.File(desk.file, "a") as file:
        file[GROUP]["sequence_number"].resize(1, axis=0)
    desk.series(image(5, old))
    assert read(desk.file, f"{GROUP}/sequence_number").tolist() == [0, 0, 5]


def test_the_predecessors_file_without_frames_gets_a_dataset(desk):
    with h5py.File(desk.file, "w") as file:
        limits = {"shape": (0,), "maxshape": (None,), "dtype": "u4"}
        file.create_dataset(f"{GROUP}/sequence_number", **limits)
        file[f"{GROUP}/count_time"] = 0.1
    assert desk.series(image(0), start=Start(metadata={"count_time": 0.2})).rows == 1
    assert read(desk.file, f"{GROUP}/count_time") == 0.1
    assert read(desk.file, f"{GROUP}/sequence_number").tolist() == [0]


# -- rewinding -------------------------------------------------------------------------


@pytest.mark.parametrize("frames_per_chunk", [1, 3, "auto"])
@pytest.mark.parametrize("row", range(7))
def test_a_rewind_takes_back_data_columns_and_losses(tmp_path, frames_per_chunk, row):
    with Desk(tmp_path, frames_per_chunk=frames_per_chunk) as desk:
        made = desk.begin(acquisition(desk.file, series="open"))
        desk.write(made, *images(0, 1))
        desk.lose(made, 2)
        desk.write(made, image(4), image(5, shape=(2, 2)), image(6))
        desk.rewind(made, row)
        assert made.rows == row
        durable = expect(*ROWS[:row])[:, 0, 0].tolist()
        assert read_elsewhere(desk.file) == durable
        desk.write(made, image(9))
        desk.end(made)
    assert np.array_equal(read(desk.file), expect(*ROWS[:row], 9))
    lost = [k for k, frame in enumerate(ROWS[:row]) if frame is None]
    assert read(desk.file, f"{GROUP}/missing_frames").tolist() == lost
    assert len(read(desk.file, f"{GROUP}/sequence_number")) == row + 1


ROWS = [0, 1, None, None, 4, None, 6]


@pytest.mark.parametrize("row", [0, 2, 3])
def test_rows_lost_before_the_first_image_can_be_taken_back(desk, row):
    made = desk.begin(acquisition(desk.file, series="open"))
    desk.lose(made, 2)
    desk.lose(made, 1, "rejected")
    desk.rewind(made, row)
    desk.write(made, image(9))
    desk.end(made)
    assert np.array_equal(read(desk.file), expect(*row * [None], 9))
    assert made.counts.missing + made.counts.rejected == row


# -- failures --------------------------------------------------------------------------


def test_a_file_that_cannot_be_made_costs_its_frames_alone(desk, tmp_path):
    (tmp_path / "b").write_text("in the way")
    made = desk.series(*images(0, 1), file=tmp_path / "b" / "a.h5")
    assert (made.state, made.counts.unsaved) == ("failed", 2)
    assert desk.series(*images(0, 1)).state == "done"


def test_a_file_that_another_writes_is_left_to_it(desk):
    lock = desk.open_files.lock_file(desk.file)
    made = desk.series(*images(0, 1))
    lock.release()
    assert (made.state, made.counts.unsaved) == ("failed", 2)
    assert "is being written by" in made.error
    assert not desk.file.exists()


def test_a_bad_path_in_the_file_is_told(desk):
    with h5py.File(desk.file, "w") as file:
        file["/entry/instrument"] = 1
    made = desk.series(image(0))
    assert (made.state, made.counts.rejected) == ("failed", 1)


def test_an_acquisition_without_an_order_to_make_a_file_has_none(desk):
    made = acquisition(None)
    made.counts.received = 1
    desk.do(Rows(made, 0, [image(0)], [5.0]))
    assert desk.end(made).counts.unsaved == 1


def test_the_next_file_closes_the_one_before(desk, tmp_path):
    first = desk.begin()
    desk.write(first, image(0))
    second = acquisition(tmp_path / "b.h5")
    desk.do(Create(second, append=True))
    assert np.array_equal(read(desk.file), expect(0))
    assert first.counts.written == 1
    desk.end(second)
