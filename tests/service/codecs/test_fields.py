import numpy as np
import pytest

from srx_service.codecs.fields import PIXEL_TYPES, number_in, plain_size


def test_every_name_is_the_type_that_numpy_takes_it_for():
    for wire, name in PIXEL_TYPES.items():
        assert np.dtype(wire) == np.dtype(name)


def test_only_pixels_have_a_type():
    assert not {"object", "O", "U5", "V8", "datetime64", "complex64"} & set(PIXEL_TYPES)


@pytest.mark.parametrize("found", [None, -1, True, "3", 3.0, 2**53 + 1, [1]])
def test_what_is_no_number_is_none(found):
    assert number_in(found) is None
    assert number_in(2**53) == 2**53


@pytest.mark.parametrize(
    ("shape", "name", "nbytes"),
    [((3, 5), "uint16", 30), ((2, 2), "mono12p", 6), ((3, 1), "mono12p", 5)],
)
def test_plain_pixels_have_a_size(shape, name, nbytes):
    assert plain_size(shape, name) == nbytes
