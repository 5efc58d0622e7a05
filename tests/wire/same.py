"""Compares messages whose fields may be arrays."""

import numpy as np


def assert_same(found, expected):
    assert type(found) is type(expected)
    for field in found.__struct_fields__:
        a, b = getattr(found, field), getattr(expected, field)
        if field == "tables":
            assert list(a) == list(b)
            assert all(np.array_equal(a[key], b[key]) for key in a)
            assert all(a[key].dtype == b[key].dtype for key in a)
        else:
            assert a == b, field
