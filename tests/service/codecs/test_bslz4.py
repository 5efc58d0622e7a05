import struct
import threading

import bitshuffle
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srx_service.codecs import bslz4, bszstd

CODECS = [bslz4, bszstd]
ORACLES = {bslz4: bitshuffle.decompress_lz4, bszstd: bitshuffle.decompress_zstd}
SHAPES = [(1,), (7,), (8,), (5, 3), (64, 128), (129, 131), (3, 50, 50), (2049,)]
DTYPES = ["uint8", "uint16", "int32", ">u4", "float32", "float64"]


def counts(shape, dtype="uint16"):
    pixels = np.random.default_rng(3).poisson(2.0, shape).astype(dtype)
    pixels.flat[0] = 77
    return pixels


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_pixels_come_back(codec, shape, dtype):
    pixels = counts(shape, dtype)
    blob = codec.compress(pixels)
    codec.check(blob, pixels.nbytes, pixels.itemsize)
    found = codec.decompress(memoryview(blob), shape, dtype)
    assert found.dtype == np.dtype(dtype)
    assert np.array_equal(found, pixels)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_bitshuffle_reads_what_we_pack_and_packs_what_we_read(codec, dtype):
    pixels = counts((129, 131), dtype)
    blob, itemsize = codec.compress(pixels), pixels.itemsize
    packed = np.frombuffer(blob, np.uint8, offset=12)
    oracle = ORACLES[codec](packed, pixels.shape, pixels.dtype, 8192 // itemsize)
    assert np.array_equal(oracle, pixels)
    block = 1024
    packed = (
        bitshuffle.compress_lz4(pixels, block)
        if codec is bslz4
        else bitshuffle.compress_zstd(pixels, block)
    )
    blob = struct.pack(">QI", pixels.nbytes, block * itemsize) + packed.tobytes()
    assert np.array_equal(codec.decompress(blob, pixels.shape, dtype), pixels)


@pytest.mark.parametrize(("codec", "kind"), [(bslz4, 2), (bszstd, 3)])
def test_hdf5_reads_our_blob_as_a_chunk(tmp_path, codec, kind):
    pixels = counts((129, 131))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset(
            "data",
            (1, *pixels.shape),
            pixels.dtype,
            chunks=(1, *pixels.shape),
            compression=32008,
            compression_opts=(0, kind),
        )
        data.id.write_direct_chunk((0, 0, 0), codec.compress(pixels))
        assert np.array_equal(data[0], pixels)


def test_pixels_that_are_not_contiguous_are_packed_in_their_order():
    pixels = counts((64, 128))
    turned = bslz4.decompress(bslz4.compress(pixels.T), (128, 64), "uint16")
    assert np.array_equal(turned, pixels.T)


def test_pixels_of_odd_size_are_refused():
    with pytest.raises(ValueError, match="not supported"):
        bslz4.compress(np.zeros(8, "V3"))


BLOB = bslz4.compress(counts((64, 128)))
SIZE = 64 * 128 * 2


@pytest.mark.parametrize(
    ("blob", "text"),
    [
        (b"", "header alone"),
        (BLOB[:11], "header alone"),
        (struct.pack(">QI", SIZE + 1, 8192) + BLOB[12:], "header tells"),
        (struct.pack(">QI", 2**63, 8192) + BLOB[12:], "header tells"),
        (struct.pack(">QI", SIZE, 0) + BLOB[12:], "blocks of 0"),
        (struct.pack(">QI", SIZE, 8190) + BLOB[12:], "blocks of 8190"),
        (BLOB[:20], "cannot hold"),
    ],
)
def test_a_header_that_cannot_be_is_found_before_writing(blob, text):
    with pytest.raises(ValueError, match=text):
        bslz4.check(blob, SIZE, 2)
    with pytest.raises(ValueError, match=text):
        bslz4.decompress(blob, (64, 128), "uint16")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("cut", [1, 100, 1000])
def test_a_blob_cut_short_is_refused(codec, cut):
    blob = codec.compress(counts((64, 128)))
    with pytest.raises(ValueError, match="bitshuffle"):
        codec.decompress(blob[:-cut], (64, 128), "uint16")
    with pytest.raises(ValueError, match="bitshuffle"):
        codec.decompress(blob + bytes(cut), (64, 128), "uint16")


@pytest.mark.parametrize("length", [0, 1, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1])
@pytest.mark.parametrize("codec", CODECS)
def test_a_block_that_points_beyond_the_blob_is_refused(codec, length):
    blob = bytearray(codec.compress(counts((64, 128))))
    blob[12:16] = length.to_bytes(4, "big")
    with pytest.raises(ValueError, match="bitshuffle"):
        codec.decompress(blob, (64, 128), "uint16")


def test_one_huge_block_needs_no_huge_memory():
    blob = struct.pack(">QII", 2 * 10**9, 2**31, 4) + bytes(4)
    with pytest.raises(ValueError, match="cannot hold"):
        bslz4.decompress(blob, (10**9,), "uint16")


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.data())
def test_damaged_blobs_never_crash(codec, data):
    blob = bytearray(codec.compress(counts((40, 60))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(blob) - 1))
        blob[at] = data.draw(st.integers(0, 255))
    try:
        found = codec.decompress(blob, (40, 60), "uint16")
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either is allowed
    else:
        assert found.shape == (40, 60)


@pytest.mark.parametrize("codec", CODECS)
def test_several_threads_may_pack_and_read_at_once(codec):
    pixels, wrong = counts((256, 256)), []

    def work():
        for _ in range(20):
            blob = codec.compress(pixels)
            if not np.array_equal(codec.decompress(blob, (256, 256), "uint16"), pixels):
                wrong.append(blob)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
