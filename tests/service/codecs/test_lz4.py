import struct

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srx_service.codecs import lz4

PIXELS = np.arange(3000, dtype=np.uint16).reshape(60, 50) % 9
NOISE = np.random.default_rng(5).integers(0, 2**16, (60, 50), np.uint16)
SIZE = PIXELS.nbytes
BLOB = lz4.compress(PIXELS)


@pytest.mark.parametrize("pixels", [PIXELS, NOISE, PIXELS.astype(">u4"), PIXELS.T])
def test_pixels_come_back(pixels):
    blob = lz4.compress(pixels)
    lz4.check(blob, pixels.nbytes, pixels.itemsize)
    found = lz4.decompress(memoryview(blob), pixels.shape, pixels.dtype)
    assert np.array_equal(found, pixels)
    assert found.dtype == pixels.dtype


@pytest.mark.parametrize("pixels", [PIXELS, NOISE])
def test_hdf5_reads_our_blob_as_a_chunk(tmp_path, pixels):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset(
            "data", pixels.shape, "uint16", chunks=pixels.shape, compression=32004
        )
        data.id.write_direct_chunk((0, 0), lz4.compress(pixels))
        assert np.array_equal(data[...], pixels)


@pytest.mark.parametrize("block", [1, 100, 999, 6000, 10_000])
def test_we_read_what_hdf5_packs(tmp_path, block):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset(
            "data",
            data=PIXELS,
            chunks=PIXELS.shape,
            compression=32004,
            compression_opts=(block,),
        )
        _, blob = data.id.read_direct_chunk((0, 0))
    lz4.check(blob, SIZE, 2)
    assert np.array_equal(lz4.decompress(blob, PIXELS.shape, "uint16"), PIXELS)


def test_a_raw_block_is_framed_and_taken_out_again():
    raw = BLOB[16:]
    framed = lz4.frame_block(memoryview(raw), SIZE)
    assert framed == BLOB
    assert lz4.raw_block(framed) == raw


def test_a_framed_block_is_not_framed_again():
    assert lz4.frame_block(BLOB, SIZE) is BLOB


def test_a_raw_block_as_long_as_its_pixels_is_not_taken_for_them():
    # One literal, a match of four at offset 1, twelve literals: 17 bytes make 17.
    raw = b"\x10A\x01\x00" + b"\xc0abcdefghijkl"
    framed = lz4.frame_block(raw, 17)
    assert lz4.decompress(framed, (17,), "uint8").tobytes() == b"AAAAAabcdefghijkl"


@pytest.mark.parametrize("nbytes", [0, -1, 2**31])
def test_a_block_has_bounds(nbytes):
    with pytest.raises(ValueError, match="allowed"):
        lz4.frame_block(b"123", nbytes)


@pytest.mark.parametrize(
    ("blob", "text"),
    [
        (b"", "header alone"),
        (BLOB[:15], "header alone"),
        (struct.pack(">Q", SIZE + 2) + BLOB[8:], "header tells"),
        (struct.pack(">QI", SIZE, 0) + BLOB[12:], "blocks of 0"),
        (struct.pack(">QI", SIZE, 2**32 - 1) + BLOB[12:], "blocks of"),
        (BLOB[:-1], "came"),
        (BLOB + b"x", "came"),
        (struct.pack(">QII", SIZE, SIZE, 1) + b"x", "cannot hold"),
    ],
)
def test_a_header_that_cannot_be_is_found_before_writing(blob, text):
    with pytest.raises(ValueError, match=text):
        lz4.check(blob, SIZE, 2)
    with pytest.raises(ValueError, match=text):
        lz4.decompress(blob, PIXELS.shape, "uint16")


@given(st.data())
def test_damaged_blobs_never_crash(data):
    blob = bytearray(BLOB)
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = lz4.decompress(blob, PIXELS.shape, "uint16")
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either is allowed
    else:
        assert found.shape == PIXELS.shape
