import numpy as np

from srx_service.codecs.xspress3_counts import SCALARS, absent
from srx_service.kinds import kinds_of
from tests.wire.xspress3 import COUNTS, TAGS, WINDOWS


def test_what_stands_for_counts_makes_the_datasets_that_counts_make():
    for name, array in absent(TAGS, 4).items():
        (found,), (kind,) = kinds_of(array), kinds_of((COUNTS | WINDOWS)[name])
        assert (found.dtype, found.shape) == (kind.dtype, kind.shape)
        assert np.array_equal(found.fill, array.flat[0], equal_nan=True)


def test_an_older_header_means_eight_counts():
    assert tuple(absent(None, 2)) == SCALARS[:8]


def test_a_count_of_another_name_is_a_float():
    assert absent(["dew_point"], 3)["dew_point"].dtype == np.float64
