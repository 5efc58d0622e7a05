import ctypes

import numpy as np
import pytest

from srx_service.codecs import CODECS, bslz4, decode, encode, library
from srx_service.messages import Image

PIXELS = np.arange(120, dtype=np.uint16).reshape(2, 12, 5)


def image(*blobs, **fields):
    shared = {"shape": PIXELS.shape, "dtype": "uint16", "encoding": "none"}
    return Image(number=1, frame=1, blobs=blobs, **{**shared, **fields})


@pytest.mark.parametrize("encoding", CODECS)
def test_every_encoding_returns_its_pixels(encoding):
    found = decode(image(encode(PIXELS, encoding), encoding=encoding))
    assert np.array_equal(found, PIXELS)


@pytest.mark.parametrize("encoding", CODECS)
def test_every_encoding_checks_what_it_made(encoding):
    CODECS[encoding].check(encode(PIXELS, encoding), PIXELS.nbytes, 2)
    with pytest.raises(ValueError, match="make"):
        CODECS[encoding].check(encode(PIXELS, encoding), PIXELS.nbytes + 2, 2)


@pytest.mark.parametrize("encoding", CODECS)
def test_several_blobs_follow_one_another_along_the_first_axis(encoding):
    blobs = [encode(part, encoding) for part in np.split(PIXELS, 2)]
    assert np.array_equal(decode(image(*blobs, encoding=encoding)), PIXELS)


def test_plain_pixels_are_shown_and_not_copied():
    blob = PIXELS.tobytes()
    assert np.shares_memory(decode(image(blob)), np.frombuffer(blob, np.uint8))


def test_big_endian_pixels_are_read_as_such():
    blob = PIXELS.astype(">u2").tobytes()
    assert np.array_equal(decode(image(blob, dtype=">u2")), PIXELS)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"encoding": "cbf"}, "cannot be decoded"),
        ({"encoding": "rejected", "blobs": ()}, "cannot be decoded"),
        ({"dtype": "mono12p"}, "not known to numpy"),
        ({"dtype": "object"}, "not a plain number"),
        ({"dtype": "u2,u2"}, "not a plain number"),
        ({"dtype": "U5"}, "not a plain number"),
        ({"shape": (3, 12, 5)}, "make 360"),
        ({"blobs": ()}, "0 equal blobs"),
        ({"blobs": (b"", b"", b"")}, "3 equal blobs"),
        ({"encoding": "bslz4", "blobs": (b"",)}, "header alone"),
    ],
)
def test_what_cannot_be_decoded_is_told(fields, text):
    fields = {"blobs": (PIXELS.tobytes(),), **fields}
    with pytest.raises(ValueError, match=text):
        decode(image(*fields.pop("blobs"), **fields))


def test_an_unknown_encoding_is_not_made():
    with pytest.raises(ValueError, match="cannot be made"):
        encode(PIXELS, "cbf")


def test_a_plugin_without_the_function_is_told_at_import():
    with pytest.raises(ImportError, match="has no LZ5_compress"):
        library.function("h5lz4", "LZ5_compress", ctypes.c_int, ())


def test_a_missing_plugin_is_told_at_import():
    with pytest.raises(ImportError, match="has no libh5none"):
        library.function("h5none", "LZ4_compress", ctypes.c_int, ())


def test_a_library_that_returns_something_else_is_not_used(monkeypatch):
    monkeypatch.setattr(bslz4, "decompress", lambda *_: np.zeros(3))
    with pytest.raises(ImportError, match="does not return"):
        bslz4._prove()
