import h5py
import numpy as np
import pytest
from msgspec.structs import replace

from srx_service.fitting import FILTERS, fill_value_for, layout_for
from srx_service.messages import NO_PIXELS
from srx_service.pixels import Pixels
from tests.service.writing import SHAPE, image, images, pixels


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as opened:
        yield opened


@pytest.fixture
def make(file):
    """Make the dataset that a first image calls for."""

    def make_pixels(first, frames=1):
        there = layout_for(first, frames)
        code, values = FILTERS.get(there.encoding, (None, None))
        dataset = file.create_dataset(
            "x",
            (0, *there.shape),
            there.dtype,
            maxshape=(None, *there.shape),
            chunks=there.chunk,
            compression=code,
            compression_opts=values,
            fillvalue=fill_value_for(there.dtype),
        )
        return Pixels(dataset, there)

    return make_pixels


def written(made, *frames):
    """Write images; return those that do not fit."""
    rejected = []
    made.write(list(frames), rejected)
    return [index for index, _ in rejected]


def expect(*frames, **how):
    hole = np.full(SHAPE, fill_value_for(np.dtype(how.get("dtype", "u2"))))
    return [hole if k is None else pixels(k, **how) for k in frames]


@pytest.mark.parametrize("encoding", ["none", "bslz4", "bszstd", "lz4"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", ">u2"])
def test_pixels_go_in_as_they_came(file, make, encoding, dtype):
    name = dtype if dtype[0] == ">" else np.dtype(dtype).name
    shots = images(0, 1, 2, encoding=encoding, dtype=name)
    made = make(shots[0])
    assert written(made, *shots) == []
    assert np.array_equal(file["x"], expect(0, 1, 2, dtype=dtype))


def test_blobs_are_written_without_being_touched(file, make):
    shot = image(3, "bslz4")
    written(make(shot), shot)
    mask, blob = file["x"].id.read_direct_chunk((0, 0, 0))
    assert (mask, blob) == (0, shot.blobs[0])


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_blob_may_be_any_buffer(file, make, kind):
    shot = image(3)
    shot = image(3, blobs=(kind(shot.blobs[0]),))
    assert written(make(shot), shot) == []
    assert np.array_equal(file["x"][0], pixels(3))


@pytest.mark.parametrize("encoding", ["none", "bslz4"])
def test_several_blobs_are_several_chunks(file, make, encoding):
    shots = images(0, 1, encoding=encoding, shape=(4, 6, 8), parts=4)
    assert written(make(shots[0]), *shots) == []
    assert file["x"].chunks == (1, 1, 6, 8)
    assert np.array_equal(file["x"][1], pixels(1, (4, 6, 8)))


def test_one_blob_goes_into_several_chunks_and_the_other_way_round(file, make):
    split = image(0, "bslz4", shape=(4, 6, 8), parts=4)
    whole = image(1, "bslz4", shape=(4, 6, 8))
    assert written(make(split), split, whole) == []
    assert np.array_equal(file["x"][1], pixels(1, (4, 6, 8)))


def test_several_blobs_do_not_go_into_one_chunk(file, make):
    whole = image(0, shape=(4, 6, 8))
    assert written(make(whole), whole, image(1, shape=(4, 6, 8), parts=2)) == [1]


@pytest.mark.parametrize("encoding", ["bslz4", "lz4"])
def test_an_uncompressed_frame_in_a_filtered_dataset_is_masked(file, make, encoding):
    made = make(image(0, encoding))
    assert written(made, image(0, encoding), image(1)) == []
    assert file["x"].id.get_chunk_info(1).filter_mask == 1
    assert np.array_equal(file["x"], expect(0, 1))


@pytest.mark.parametrize("encoding", ["bslz4", "bszstd", "lz4"])
@pytest.mark.parametrize("first", ["none", "bslz4"])
@pytest.mark.parametrize("frames", [1, 3])
def test_a_frame_that_the_filter_does_not_know_is_decoded(
    file, make, encoding, first, frames
):
    made = make(image(0, first), frames)
    assert written(made, image(0, first), image(1, encoding), image(2, first)) == []
    made.settle()
    assert np.array_equal(file["x"], expect(0, 1, 2))


BAD = [
    {"shape": (8, 6)},
    {"dtype": "int16"},
    {"dtype": "?!"},
    {"blobs": (b"short",)},
    {"encoding": "jpeg", "blobs": (b"x" * 96,)},
    {"encoding": "bslz4", "blobs": (b"x" * 96,)},
    {"encoding": NO_PIXELS, "blobs": ()},
]


@pytest.mark.parametrize("bad", BAD, ids=str)
@pytest.mark.parametrize(("first", "frames"), [("none", 1), ("none", 3), ("bslz4", 1)])
def test_a_frame_that_does_not_fit_leaves_a_hole(file, make, bad, first, frames):
    made = make(image(0, first), frames)
    good = images(0, 2, 3, 4, encoding=first)
    odd = replace(image(1), **bad)
    assert written(made, good[0], odd, *good[1:]) == [1]
    made.settle()
    assert np.array_equal(file["x"], expect(0, None, 2, 3, 4))


def test_a_blob_that_only_breaks_when_decoded_is_rejected(file, make):
    blob = bytearray(image(1, "bslz4").blobs[0])
    blob[12:16] = b"\xff\xff\xff\xff"
    made = make(image(0))
    assert written(made, image(0), image(1, "bslz4", blobs=(bytes(blob),))) == [1]


@pytest.mark.parametrize("frames", [1, 3])
def test_rows_left_empty_read_as_fill_and_take_no_space(file, make, frames):
    made = make(image(0), frames)
    written(made, image(0))
    made.skip(9)
    written(made, image(10))
    made.settle()
    assert np.array_equal(file["x"], expect(0, *9 * [None], 10))
    assert file["x"].id.get_num_chunks() == 2


@pytest.mark.parametrize("frames", [1, 3, 4])
@pytest.mark.parametrize("rows", range(7))
@pytest.mark.parametrize("settled", [True, False])
def test_rows_are_taken_back_and_others_follow(file, make, frames, rows, settled):
    made = make(image(0), frames)
    written(made, *images(0, 1, 2, 3, 4, 5))
    if settled:
        made.settle()
    made.truncate(rows)
    assert made.rows == rows
    written(made, image(8), image(9))
    made.settle()
    assert np.array_equal(file["x"], expect(*range(rows), 8, 9))


def test_rows_taken_back_are_gone_from_their_chunk(file, make):
    made = make(image(0), 4)
    written(made, *images(0, 1, 2))
    made.truncate(1)
    file["x"].resize(3, axis=0)
    assert np.array_equal(file["x"], expect(0, None, None))


@pytest.mark.parametrize("frames", [1, 3])
def test_where_the_storage_refuses_the_rows_before_are_kept(
    file, make, frames, monkeypatch
):
    made = make(image(0), frames)
    written(made, *images(0, 1))
    refuse_after(made, 2, monkeypatch)
    with pytest.raises(OSError, match="full"):
        written(made, *images(*range(2, 12)))
    made.settle()
    assert file["x"].shape[0] == made.rows
    assert made.rows == (4 if frames == 1 else 6)
    assert np.array_equal(file["x"], expect(*range(made.rows)))


def test_where_the_storage_refuses_empty_rows_there_are_none(make, file, monkeypatch):
    made = make(image(0), 3)
    written(made, *images(0, 1))
    made.settle()
    refuse_after(made, 0, monkeypatch)
    with pytest.raises(OSError, match="full"):
        made.skip(2)
    made.settle()
    assert made.rows == 2
    assert np.array_equal(file["x"], expect(0, 1))


def refuse_after(made, count, monkeypatch):
    """Let the disk be full after so many chunks."""
    left = iter(range(count))
    real = made._write

    def put(offset, blob, filter_mask=0):
        if next(left, None) is None:
            raise OSError(28, "disk full")
        real(offset, blob, filter_mask)

    monkeypatch.setattr(made, "_write", put)
    if made._shared is not None:
        monkeypatch.setattr(made._shared, "_put", put)
