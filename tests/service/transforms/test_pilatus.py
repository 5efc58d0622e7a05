import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from srx_service import codecs
from srx_service.codecs import cbf
from srx_service.errors import ConfigError, ProtocolError
from srx_service.messages import Image, Start
from srx_service.protocols import stins
from srx_service.transforms.pilatus import PilatusPipeline

SHAPE = (13, 9)
COUNTS = np.random.default_rng(3).poisson(4, SHAPE).astype(np.int32)
COUNTS[4] = [-1, -2, 5, 6, 7, 1000, 70_000, -1, 0]
ENERGIES = np.random.default_rng(5).random((*SHAPE, 6))
FILE = Image(
    series=2,
    number=9,
    frame=3,
    shape=SHAPE,
    dtype="int32",
    encoding="cbf",
    blobs=(cbf.encode(COUNTS),),
    extras=b'{"htype":"image","shape":[13,9],"compression":"cbf","exposure_time":0.1}',
)
MASK = ((1, 4), (10, 13))


@pytest.fixture
def table(tmp_path):
    np.savez(tmp_path / "tot.npz", tot_to_energy_tensor=ENERGIES, other=np.arange(3))
    return str(tmp_path / "tot.npz")


def pixels(image=FILE, **options):
    return codecs.decode(PilatusPipeline(**options).apply(image, Start()))


def energies():
    """What the table says of COUNTS, pixel by pixel."""
    expected = np.empty(SHAPE, np.float32)
    for place, count in np.ndenumerate(COUNTS):
        beyond = -2 if count >= 6 else -1
        expected[place] = ENERGIES[place][count] if 0 <= count < 6 else beyond
    return expected


@pytest.mark.parametrize("compress", [True, False])
def test_a_file_becomes_pixels(compress):
    image = PilatusPipeline(compress=compress).apply(FILE, None)
    assert image.encoding == ("bslz4" if compress else "none")
    assert (image.dtype, image.shape) == ("int32", SHAPE)
    assert np.array_equal(codecs.decode(image), COUNTS)


def test_it_is_rotated_clockwise_and_its_shape_with_it():
    image = PilatusPipeline(rotate=True).apply(FILE, None)
    assert image.shape == SHAPE[::-1]
    assert np.array_equal(codecs.decode(image), np.rot90(COUNTS, -1))


@pytest.mark.parametrize("compress", [True, False])
def test_the_mask_counts_after_the_rotation(compress):
    expected = np.rot90(COUNTS, -1).copy()
    expected[1:4, 10:13] = -1
    found = pixels(compress=compress, rotate=True, mask=MASK)
    assert np.array_equal(found, expected)


def test_a_mask_beyond_the_image_is_cut():
    expected = COUNTS.copy()
    expected[10:, 5:] = -1
    assert np.array_equal(pixels(mask=((10, 99), (5, 99))), expected)


def test_time_over_threshold_becomes_energy(table):
    image = PilatusPipeline(tot=table).apply(FILE, None)
    assert image.dtype == "float32"
    assert np.array_equal(codecs.decode(image), energies())


def test_energies_are_rotated_and_masked(table):
    expected = np.rot90(energies(), -1).copy()
    expected[1:4, 10:13] = -1
    assert np.array_equal(pixels(tot=table, rotate=True, mask=MASK), expected)


@pytest.mark.parametrize("encoding", codecs.CODECS)
@pytest.mark.parametrize("dtype", ["int32", "uint16", ">u4", "float64"])
def test_images_that_are_no_files_go_the_same_way(encoding, dtype):
    plain = abs(COUNTS).astype(np.uint16).astype(dtype)
    blob = memoryview(codecs.encode(plain, encoding))
    image = replace(FILE, dtype=dtype, encoding=encoding, blobs=(blob,))
    changed = PilatusPipeline(rotate=True, mask=MASK).apply(image, None)
    assert changed.dtype == dtype
    found = codecs.decode(changed)
    expected = np.rot90(plain, -1).copy()
    expected[1:4, 10:13] = np.array(-1).astype(dtype)
    assert np.array_equal(found, expected)


def test_several_blobs_become_one():
    blobs = tuple(
        part.tobytes() for part in np.split(np.stack([COUNTS, COUNTS + 1]), 2)
    )
    extras = {"chunks": [1, 13, 9], "x": 1}
    image = replace(
        FILE, shape=(2, *SHAPE), encoding="none", blobs=blobs, extras=extras
    )
    changed = PilatusPipeline(rotate=True).apply(image, None)
    assert (len(changed.blobs), changed.extras) == (1, {"x": 1})
    assert np.array_equal(codecs.decode(changed)[1], np.rot90(COUNTS + 1, -1))


def test_the_secondary_port_tells_the_image_as_it_is_now():
    image = PilatusPipeline(rotate=True).apply(FILE, None)
    (back,) = stins.StinsDecoder().decode(
        [bytes(part) for part in stins.encode(image, 5)]
    )
    assert (back.shape, back.encoding, back.dtype) == (SHAPE[::-1], "bslz4", "int32")
    assert image.extras == {"exposure_time": 0.1}


def test_pixels_that_begin_anywhere_are_read(table):
    blob = memoryview(b"x" + COUNTS.tobytes())[1:]
    image = replace(FILE, encoding="none", blobs=(blob,))
    assert np.array_equal(pixels(image, tot=table), energies())


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"blobs": (FILE.blobs[0].replace(cbf.MARKER, b""),)}, "no marker"),
        ({"blobs": (COUNTS.tobytes(),)}, "no marker"),
        ({"shape": (13, 8)}, "Number-of-Elements 117"),
        ({"shape": (13, 10)}, "Number-of-Elements 117"),
        ({"blobs": (FILE.blobs[0][:-4200],)}, "bytes follow the marker"),
        ({"blobs": ()}, "0 blobs"),
        ({"blobs": 2 * FILE.blobs}, "2 blobs"),
        ({"encoding": "none"}, "bytes came"),
        ({"encoding": "none", "dtype": "mono12p"}, "mono12p"),
        ({"encoding": "jpeg"}, "cannot be decoded"),
        (
            {"shape": (117,), "encoding": "none", "blobs": (COUNTS.tobytes(),)},
            "no rows",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_and_told(fields, text):
    with pytest.raises(ProtocolError, match=text) as refused:
        PilatusPipeline(rotate=True).apply(replace(FILE, **fields), None)
    assert (refused.value.series, refused.value.number) == (2, 9)
    assert refused.value.kind == "unreadable pixels"


def test_an_image_that_is_not_the_tables_is_refused(table):
    image = replace(FILE, shape=(9, 13), blobs=(cbf.encode(COUNTS.T),))
    with pytest.raises(ProtocolError, match=r"does not fit int32 \(9, 13\)"):
        PilatusPipeline(tot=table).apply(image, None)


@settings(max_examples=1000)
@given(st.data())
def test_a_damaged_file_is_refused_or_has_the_shape_it_should(data):
    blob = bytearray(FILE.blobs[0])
    marker = blob.index(cbf.MARKER)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(marker - 600, marker + 200))
        blob[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=5))
    blob = bytes(blob[: data.draw(st.none() | st.integers(0, len(blob)))])
    shape = data.draw(st.sampled_from([SHAPE, (9, 13), (1, 117), (200, 200), (1, 1)]))
    image = replace(FILE, shape=shape, blobs=(blob,))
    try:
        found = pixels(image, rotate=True, mask=MASK)
    except ProtocolError as error:
        assert 20 <= len(str(error)) <= 1200  # noqa: PT017 - either is allowed
    else:
        assert found.shape == shape[::-1]


# --- the table


def save(path, **arrays):
    np.savez(path, **arrays)


TABLES = {
    "no file": (lambda path: None, "No such file"),
    "a directory": (lambda path: path.mkdir(), "Is a directory"),
    "no zip": (lambda path: path.write_bytes(b"x" * 100), "not a zip file"),
    "another name": (lambda path: save(path, tensor=ENERGIES), "no item named"),
    "two axes": (lambda p: save(p, tot_to_energy_tensor=np.ones((3, 4))), r"\(3, 4\)"),
    "empty": (lambda p: save(p, tot_to_energy_tensor=np.ones((3, 0, 4))), "3, 0, 4"),
    "text": (
        lambda path: save(path, tot_to_energy_tensor=np.full((1, 1, 1), "x")),
        "<U1",
    ),
    "a pickle": (
        lambda path: save(path, tot_to_energy_tensor=np.full((1, 1, 1), None)),
        "allow_pickle=False",
    ),
}


@pytest.mark.parametrize(("make", "text"), TABLES.values(), ids=TABLES)
def test_a_table_that_cannot_be_used_stops_the_start(tmp_path, make, text):
    path = tmp_path / "tot.npz"
    make(path)
    with pytest.raises(ConfigError, match=text) as refused:
        PilatusPipeline(tot=str(path))
    assert str(path) in str(refused.value)
    assert "tot_to_energy_tensor (rows, columns, counts)" in str(refused.value)


def test_pipelines_are_equal_by_their_parameters():
    assert PilatusPipeline(rotate=True) == PilatusPipeline(rotate=True)
    assert PilatusPipeline(rotate=True) != PilatusPipeline()
