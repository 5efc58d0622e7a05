import numpy as np
import pytest

from srx_service.codecs import CODECS, decode, encode
from srx_service.errors import ProtocolError
from srx_service.messages import Image
from srx_service.transforms.rotate import rotate

PIXELS = np.arange(120, dtype=np.uint16).reshape(12, 10)


def image(pixels=PIXELS, encoding="none", **fields):
    shared = {"series": 3, "number": 7, "frame": 7, "dtype": "uint16"}
    blobs = (encode(pixels, encoding),)
    shared |= {"shape": pixels.shape, "encoding": encoding, "blobs": blobs}
    return Image(**{**shared, **fields})


@pytest.mark.parametrize("encoding", CODECS)
@pytest.mark.parametrize("turns", [1, 2, 3, -1, 5])
def test_pixels_are_turned_and_packed_as_they_came(encoding, turns):
    turned = rotate(image(encoding=encoding), turns)
    assert turned.encoding == encoding
    assert turned.shape == np.rot90(PIXELS, turns).shape
    assert np.array_equal(decode(turned), np.rot90(PIXELS, turns))


@pytest.mark.parametrize("turns", [0, 4, -4])
def test_whole_turns_change_nothing(turns):
    message = image()
    assert rotate(message, turns) is message


def test_a_stack_is_turned_frame_by_frame():
    stack = np.stack([PIXELS, PIXELS + 1])
    turned = rotate(image(stack), 1)
    assert np.array_equal(decode(turned)[1], np.rot90(PIXELS + 1))


def test_several_blobs_stay_several():
    stack = np.stack([PIXELS, PIXELS + 1])
    blobs = tuple(part.tobytes() for part in stack)
    turned = rotate(image(stack, blobs=blobs), 1)
    assert len(turned.blobs) == 2
    assert np.array_equal(decode(turned), np.rot90(stack, axes=(1, 2)))


def test_what_the_source_said_of_the_shape_is_forgotten():
    turned = rotate(image(extras=b'{"shape":[12,10],"exposure_time":0.5}'), 1)
    assert turned.extras == {"exposure_time": 0.5}
    assert (turned.series, turned.number, turned.frame) == (3, 7, 7)


@pytest.mark.parametrize(
    "fields",
    [{"blobs": (b"short",)}, {"dtype": "mono12p"}, {"shape": (120,)}, {"blobs": ()}],
)
def test_pixels_that_cannot_be_read_reject_the_frame(fields):
    with pytest.raises(ProtocolError, match="unreadable pixels") as refused:
        rotate(image(**fields), 1)
    assert (refused.value.series, refused.value.number) == (3, 7)
