import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srx_service.codecs import mono12p

RNG = np.random.default_rng(9)


def reference(blob, count):
    """All bits in a row, the lowest first, twelve of them a pixel."""
    bits = np.unpackbits(np.frombuffer(blob, np.uint8), bitorder="little")
    pixels = bits[: 12 * count].reshape(count, 12)
    return (pixels << np.arange(12, dtype=np.uint16)).sum(axis=1).astype(np.uint16)


def test_the_bits_are_where_the_convention_has_them():
    assert mono12p.decode(b"\x21\x43\x65", (1, 2)).tolist() == [[0x321, 0x654]]


@pytest.mark.parametrize("shape", [(1,), (1, 1), (2, 3), (5, 7), (4, 128), (3, 3, 3)])
def test_pixels_come_back(shape):
    pixels = RNG.integers(0, 4096, shape).astype(np.uint16)
    blob = mono12p.encode(pixels)
    found = mono12p.decode(memoryview(blob), shape)
    assert found.dtype == np.uint16
    assert np.array_equal(found, pixels)


@settings(max_examples=1000)
@given(st.binary(min_size=2, max_size=100))
def test_any_bytes_are_read_as_the_reference_reads_them(blob):
    count = len(blob) * 8 // 12
    if (count * 12 + 7) // 8 != len(blob):
        blob = blob[:-1]
    found = mono12p.decode(blob, (count,))
    assert np.array_equal(found, reference(blob, count))
    if count % 2 == 0:
        assert mono12p.encode(found) == blob


@pytest.mark.parametrize("size", [0, 1, 2, 4, 96])
def test_a_blob_of_another_size_is_refused(size):
    with pytest.raises(ValueError, match=rf"{size} bytes came, shape \(1, 2\) makes 3"):
        mono12p.decode(bytes(size), (1, 2))


def test_the_last_of_an_odd_count_takes_two_bytes():
    assert mono12p.encode(np.array([1, 2, 0xABC])) == b"\x01\x20\x00\xbc\x0a"
    assert mono12p.decode(b"\x01\x20\x00\xbc\x0a", (3,)).tolist() == [1, 2, 0xABC]


@pytest.mark.parametrize("pixels", [[4096], [-1, 0]])
def test_what_has_more_than_12_bits_is_not_packed(pixels):
    with pytest.raises(ValueError, match="0 to 4095 are allowed"):
        mono12p.encode(np.array(pixels))
