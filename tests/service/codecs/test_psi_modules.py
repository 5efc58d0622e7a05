import numpy as np
import pytest

from srx_service.codecs import mono12p
from srx_service.codecs.psi_modules import (
    Layout,
    cut,
    join,
    layout_for,
    unpack,
    wire_sizes,
)

LAYOUTS = {
    "quad": (Layout((2, 1), (256, 512)), (514, 514)),
    "one module": (Layout((2, 2), (256, 512)), (514, 1030)),
    "two modules, one above the other": (Layout((4, 2), (256, 512)), (1064, 1030)),
    "two modules side by side": (Layout((2, 4), (256, 512)), (514, 2068)),
    "one port": (Layout((1, 1), (256, 512)), (256, 514)),
    "partial readout": (Layout((2, 2), (8, 512)), (18, 1030)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_picture_has_room_for_ports_and_gaps(name):
    layout, shape = LAYOUTS[name]
    assert layout.shape == shape
    assert layout_for(layout.ports, shape) == layout


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_cut_is_joined_again(name):
    layout, shape = LAYOUTS[name]
    picture = np.arange(1, 1 + shape[0] * shape[1], dtype=np.uint32).reshape(shape)
    rows, columns = layout.ports
    places = [(row, column) for row in range(rows) for column in range(columns)]
    images = {place: cut(layout, picture, *place) for place in places}
    joined = join(layout, "uint32", images)
    assert np.count_nonzero(joined) == sum(image.size for image in images.values())
    assert np.array_equal(joined[joined > 0], picture[joined > 0])


def test_row_0_is_at_the_end():
    layout = Layout((2, 1), (2, 3))
    joined = join(layout, "uint8", {(0, 0): np.ones((2, 3), np.uint8)})
    assert joined.any(axis=1).tolist() == [False] * 4 + [True] * 2


@pytest.mark.parametrize(("ports", "shape"), [((2, 1), (513, 514)), ((1, 3), (4, 9))])
def test_a_shape_that_ports_cannot_make_has_no_layout(ports, shape):
    with pytest.raises(ValueError, match="gaps between"):
        layout_for(ports, shape)


@pytest.mark.parametrize(
    ("bitmode", "sizes"),
    [
        (4, (8,)),
        (8, (15,)),
        (12, (23, 30)),
        (16, (30,)),
        (32, (60,)),
        (24, ()),
        (0, ()),
    ],
)
def test_blobs_have_the_size_of_their_pixels(bitmode, sizes):
    assert wire_sizes(bitmode, (3, 5)) == sizes


@pytest.mark.parametrize("shape", [(3, 5), (4, 6)])
def test_packed_12_bits_are_those_of_mono12p(shape):
    pixels = np.random.default_rng(0).integers(0, 4096, shape, np.uint16)
    assert np.array_equal(unpack(mono12p.encode(pixels), 12, shape), pixels)


def test_an_odd_last_pixel_of_4_bits_is_read():
    assert unpack(bytes([0x12, 0x30]), 4, (1, 3)).tolist() == [[1, 2, 3]]
