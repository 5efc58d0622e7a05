import json

import numpy as np
import pytest

from srx_service.codecs import CODECS, decode, encode
from srx_service.errors import ProtocolError
from srx_service.messages import Image
from srx_service.transforms.assemble import Assemble

STACK = np.arange(1, 25, dtype=np.uint16).reshape(4, 2, 3)
GEOMETRY = {
    "x": [0, 4, 0, 5],
    "y": [0, 0, 3, 3],
    "rotation": [0, 180, 0, 90],
    "full_shape": [6, 8],
}
M = 65535
WHOLE = [
    [1, 2, 3, M, 12, 11, 10, M],
    [4, 5, 6, M, 9, 8, 7, M],
    [M, M, M, M, M, M, M, M],
    [13, 14, 15, M, M, 22, 19, M],
    [16, 17, 18, M, M, 23, 20, M],
    [M, M, M, M, M, 24, 21, M],
]


def image(pixels=STACK, encoding="none", blobs=None, **extras):
    return Image(
        series=3,
        number=7,
        frame=5,
        shape=pixels.shape,
        dtype=pixels.dtype.name,
        encoding=encoding,
        blobs=blobs or tuple(encode(module, encoding) for module in pixels),
        extras={**GEOMETRY, "exposure_time": 0.1, **extras},
    )


def assemble(message):
    return Assemble().apply(message, None)


@pytest.mark.parametrize("encoding", CODECS)
def test_modules_are_put_where_they_are_and_packed_as_they_came(encoding):
    whole = assemble(image(encoding=encoding))
    assert whole.encoding == encoding
    assert whole.shape == (6, 8)
    assert len(whole.blobs) == 1
    assert decode(whole).tolist() == WHOLE


def test_all_else_stays_and_the_geometry_goes():
    whole = assemble(image())
    assert (whole.series, whole.number, whole.frame) == (3, 7, 5)
    assert whole.extras == {"exposure_time": 0.1}


def test_the_geometry_may_be_json():
    message = image()
    header = json.dumps({"htype": "image", "shape": [4, 2, 3], **GEOMETRY}).encode()
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    assert decode(assemble(Image(**{**fields, "extras": header}))).tolist() == WHOLE


def test_all_modules_may_come_in_one_blob():
    assert decode(assemble(image(blobs=(STACK.tobytes(),)))).tolist() == WHOLE


@pytest.mark.parametrize("turns", [-1, 0, 1, 2, 3, 4, 5])
def test_a_module_is_turned_clockwise(turns):
    module = np.arange(4, dtype=np.int32).reshape(1, 2, 2)
    where = {"x": [0], "y": [0], "rotation": [90 * turns], "full_shape": [2, 2]}
    turned = decode(assemble(image(module, **where)))
    assert np.array_equal(turned, np.rot90(module[0], -turns))


@pytest.mark.parametrize(
    ("dtype", "masked"),
    [("uint8", 255), ("uint32", 2**32 - 1), ("int32", -1), ("float32", np.nan)],
)
def test_what_no_module_covers_is_masked(dtype, masked):
    whole = decode(assemble(image(STACK.astype(dtype))))
    assert whole.dtype == dtype
    assert np.array_equal(whole[2], np.full(8, masked, dtype), equal_nan=True)


def test_where_modules_overlap_the_later_one_is_seen():
    where = {"x": [0, 1, 0, 0], "y": [0, 1, 3, 0], "rotation": [0, 0, 0, 0]}
    whole = decode(assemble(image(**where)))
    assert whole[0, :3].tolist() == [19, 20, 21]
    assert whole[1, :4].tolist() == [22, 23, 24, 9]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"x": None}, "x"),
        ({"x": [0, 1]}, "."),
        ({"x": [0, 4, 0], "y": [0, 0, 3], "rotation": [0, 0, 0]}, "3 places"),
        ({"x": [0, 4, 0, 7]}, "not within"),
        ({"y": [0, 0, 3, 5]}, "not within"),
        ({"y": [0, 0, -1, 3]}, "not within"),
        ({"y": [0, 0, "3", 3]}, "int"),
        ({"rotation": [0, 0, 0, 45]}, "multiples of 90"),
        ({"full_shape": [6]}, "full_shape"),
        ({"full_shape": [0, 8]}, "full_shape"),
        ({"full_shape": [3000, 3000]}, "times its pixels"),
    ],
)
def test_a_geometry_that_does_not_fit_rejects_the_frame(changes, reason):
    with pytest.raises(ProtocolError, match=reason) as refused:
        assemble(image(**changes))
    assert (refused.value.series, refused.value.number) == (3, 7)
    assert len(str(refused.value)) < 1200


@pytest.mark.parametrize("name", GEOMETRY)
def test_a_geometry_that_lacks_something_rejects_the_frame(name):
    message = image()
    del message.extras[name]
    with pytest.raises(ProtocolError, match="cannot be assembled"):
        assemble(message)


def test_an_image_of_one_module_cannot_be_assembled():
    with pytest.raises(ProtocolError, match="is needed"):
        assemble(image(STACK[0]))


def test_pixels_that_cannot_be_read_reject_the_frame():
    with pytest.raises(ProtocolError, match="cannot be assembled"):
        assemble(image(blobs=(b"short",) * 4))
