import math

import h5py
import numpy as np
import pytest

from srx_service.goniometer import Axis, axes_in, note_axis, scan_of

V1 = {"omega_start": 10.0, "omega_increment": 0.5, "chi_start": 3}
V2 = {"goniometer": {"omega": {"start": 10.0, "increment": 0.5}, "chi": {"start": 3}}}


def angles(*frames, at_end=False, header=V1):
    axis = Axis("omega", at_end=at_end)
    axis.begin(header)
    return axis.convert(frames).tolist()


@pytest.mark.parametrize("header", [V1, V2])
def test_both_streams_tell_start_and_increment(header):
    assert scan_of(header, "omega") == (10.0, 0.5)
    assert scan_of(header, "chi") == (3.0, 0.0)
    assert scan_of(header, "phi") is None


@pytest.mark.parametrize(
    "header",
    [
        None,
        {},
        {"omega_start": "10"},
        {"omega_start": 10**400},
        {"omega_start": True},
        {"goniometer": 7},
        {"goniometer": {"omega": [1, 2]}},
        {"goniometer": {"omega": {"start": None}}},
    ],
)
def test_what_is_no_scan_is_none(header):
    assert scan_of(header, "omega") is None
    assert all(map(math.isnan, angles(0, 1, header=header)))


def test_a_frame_has_the_angle_of_its_index():
    assert angles(0, 1, 4) == [10.0, 10.5, 12.0]
    assert angles(0, 1, 4, at_end=True) == [10.5, 11.0, 12.5]


def test_a_frame_that_never_came_has_an_angle_all_the_same():
    assert angles(None, 1, None, None, 4) == [10.0, 10.5, 11.0, 11.5, 12.0]


def test_frames_are_counted_on_from_block_to_block_and_anew_in_each_series():
    axis = Axis("omega", at_end=False)
    axis.begin(V1)
    assert axis.convert([0, 1]).tolist() == [10.0, 10.5]
    assert axis.convert([]).tolist() == []
    assert axis.convert([None, 3]).tolist() == [11.0, 11.5]
    axis.begin({"omega_start": 90, "omega_increment": -1})
    assert axis.convert([None, 1]).tolist() == [90.0, 89.0]


def test_a_scan_beyond_all_numbers_is_no_error():
    header = {"omega_start": 0, "omega_increment": 1e308}
    assert np.isinf(angles(0, 5, header=header)[1])


def test_a_group_tells_which_axes_it_has(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as group:
        assert axes_in(group) == []
        for name in ("phi", "omega", "phi"):
            note_axis(group, name)
        assert axes_in(group) == ["phi", "omega"]
        group.attrs["goniometer"] = "another program's"
        assert axes_in(group) == []
