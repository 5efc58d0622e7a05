import h5py
import numpy as np
import pytest

from srx_service import fitting
from srx_service.codecs import bslz4
from srx_service.fitting import fill_value_for, layout_for, layout_of, misfit, unusable
from srx_service.messages import NO_PIXELS, Image
from tests.service.writing import SHAPE, image, pixels

BSLZ4 = {"compression": 32008, "compression_opts": (0, 2)}


def odd(**fields):
    """An image as a decoder could never make it."""
    given = {"dtype": "uint16", "shape": SHAPE, "encoding": "none"}
    given |= {"blobs": (pixels(0).tobytes(),)}
    return Image(number=0, frame=0, **given | fields)


@pytest.fixture
def make(tmp_path):
    """Make a dataset as another program might have."""
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:

        def make_dataset(shape=(3, *SHAPE), dtype="u2", chunks=(1, *SHAPE), **more):
            limits = {"maxshape": (None, *shape[1:])} | more
            return file.create_dataset("x", shape, dtype, chunks=chunks, **limits)

        yield make_dataset


@pytest.mark.parametrize(
    ("wanted", "shape", "frames"),
    [
        (1, (6, 8), 1),
        (7, (6, 8), 7),
        ("auto", (50, 50), 52),
        ("auto", (512, 512), 1),
        (1000, (4000, 2000), 4),
        (1_000_000, (10000, 10000), 1),
    ],
)
def test_small_plain_frames_share_a_chunk_as_wanted(wanted, shape, frames):
    made = layout_for(odd(shape=shape), wanted)
    assert made.chunk == (frames, *shape)


@pytest.mark.parametrize("encoding", ["bslz4", "bszstd", "lz4"])
def test_compressed_frames_have_a_chunk_of_their_own(encoding):
    made = layout_for(image(0, encoding), 10)
    assert (made.encoding, made.chunk) == (encoding, (1, *SHAPE))


def test_several_blobs_are_several_chunks():
    made = layout_for(image(0, "bslz4", shape=(4, 6, 8), parts=4), 10)
    assert made.chunk == (1, 1, 6, 8)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("u1", 255), ("u2", 65535), ("u4", 2**32 - 1), ("u8", 2**64 - 1), ("i4", -1)],
)
def test_a_missing_frame_reads_as_masked(dtype, value):
    assert fill_value_for(np.dtype(dtype)) == value


def test_a_missing_frame_of_floats_reads_as_nan():
    assert np.isnan(fill_value_for(np.dtype("f4")))


@pytest.mark.parametrize(
    ("dtype", "wanted", "value"),
    [
        ("u2", 7, 7),
        ("f4", -5, -5),
        ("u2", -1, 65535),
        ("u1", 256, 255),
        ("i4", 1.5, -1),
        ("i4", float("nan"), -1),
        ("u2", float("inf"), 65535),
    ],
)
def test_a_configured_fill_value_is_used_where_it_is_a_pixel(dtype, wanted, value):
    assert fill_value_for(np.dtype(dtype), wanted) == value


@pytest.mark.parametrize(
    "fields",
    [
        {"encoding": NO_PIXELS, "blobs": ()},
        {"dtype": "mono12p"},
        {"dtype": "complex64"},
        {"dtype": "(2,"},
        {"dtype": "bool"},
        {"shape": ()},
        {"shape": (0, 8)},
        {"shape": (-6, -8)},
        {"blobs": ()},
        {"blobs": (b"short",)},
        {"blobs": 5 * (bytes(20),)},
        {"encoding": "jpeg"},
        {"encoding": "bslz4", "blobs": (b"short",)},
        {"shape": (2**20, 2**20), "encoding": "bslz4"},
    ],
    ids=str,
)
def test_a_frame_that_is_no_frame_cannot_be_the_first(fields):
    assert unusable(odd(**fields))


@pytest.mark.parametrize("encoding", ["none", "bslz4", "bszstd", "lz4"])
@pytest.mark.parametrize("dtype", ["uint8", ">u4", "int32", "float32", "<u2"])
def test_a_good_frame_can_be_the_first(encoding, dtype):
    assert unusable(image(0, encoding, dtype=dtype)) is None


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"shape": (8, 6)}, "is uint16 (8, 6), the dataset uint16 (6, 8)"),
        ({"dtype": "uint32"}, "is uint32"),
        ({"dtype": ">u2"}, "is >u2"),
        ({"dtype": "?!"}, "is ?!"),
        ({"blobs": (b"short",)}, "has 5 bytes, its shape wants 96"),
        ({"blobs": (bytes(48), bytes(48))}, "has 2 blobs"),
        ({"encoding": "cbf"}, "no file can hold (set `pipeline: PilatusPipeline`)"),
        ({"encoding": "jpeg"}, "no file can hold"),
        ({"encoding": "bslz4"}, "cannot be read back"),
        ({"encoding": NO_PIXELS, "blobs": ()}, "could not be read"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_told_with_its_cause(fields, cause):
    assert cause in (misfit(odd(**fields), layout_for(image(0), 1)) or "")


def test_a_dtype_fits_however_it_is_spelt():
    assert misfit(image(0, dtype="<u2"), layout_for(image(0), 1)) is None


def test_a_blob_made_for_other_pixels_does_not_fit():
    other = bslz4.compress(pixels(0, dtype="u4"))
    there = layout_for(image(0, "bslz4"), 1)
    assert "192 bytes" in misfit(odd(encoding="bslz4", blobs=(other,)), there)


@pytest.mark.parametrize(
    ("how", "encoding"),
    [
        ({}, "none"),
        (BSLZ4, "bslz4"),
        ({"compression": 32008, "compression_opts": (0, 3)}, "bszstd"),
        ({"compression": 32004}, "lz4"),
    ],
    ids=str,
)
def test_the_filter_of_a_dataset_is_known(make, how, encoding):
    assert layout_of(make(**how)).encoding == encoding


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ({"maxshape": (9, *SHAPE)}, "no extendable"),
        ({"maxshape": None, "chunks": None}, "no extendable"),
        ({"shape": (3,), "chunks": (1,)}, "no extendable"),
        ({"compression": "gzip"}, "filters"),
        ({"shuffle": True}, "filters"),
        ({"fletcher32": True}, "filters"),
        ({"compression": 32008, "compression_opts": (0, 0)}, "filters"),
        ({"dtype": "c8"}, "pixels"),
        ({"dtype": "S3"}, "pixels"),
        ({"chunks": (1, 6, 4)}, "not whole frames"),
        ({"chunks": (1, 4, 8)}, "not whole frames"),
        ({"chunks": (2, 3, 8)}, "not whole frames"),
    ],
    ids=str,
)
def test_datasets_that_frames_cannot_be_appended_to_are_told(make, how, cause):
    assert cause in layout_of(make(**how))


@pytest.mark.parametrize(
    ("fields", "differs"),
    [
        ({}, None),
        ({"dtype": "<u2"}, None),
        ({"shape": (8, 6)}, "shape (8, 6) instead of (6, 8)"),
        ({"dtype": "int16"}, "dtype int16 instead of uint16"),
        ({"encoding": "bslz4"}, "encoding bslz4 instead of none"),
    ],
    ids=str,
)
def test_frames_agree_with_a_dataset_or_the_difference_is_told(make, fields, differs):
    there = layout_of(make())
    assert fitting.disagreement(image(0, **fields), there) == differs


def test_what_a_pipeline_would_decode_is_told_with_its_name():
    assert "set `pipeline: OrcaPipeline`" in (unusable(odd(dtype="mono12p")) or "")
    assert "set `pipeline: PilatusPipeline`" in (unusable(odd(encoding="cbf")) or "")
