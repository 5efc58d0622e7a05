"""Chains of axes: each stands on the next, the last on nothing."""

import h5py
import pytest

from srx_service.columns import columns_in
from srx_service.nexusgeometry import (
    make_detector_chain,
    make_module,
    make_sample_chain,
)
from srx_service.nxmx import Told

X, Y = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
HEADER = {"phi_start": 1.0, "omega_start": 2.0, "two_theta_start": 3.0}


@pytest.fixture
def detector(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        yield file.create_group("detector")


def chain_from(file, path):
    """The names of the axes from a path on, each that the one before stands on."""
    names = []
    while path != ".":
        names.append(path.rpartition("/")[2])
        path = file[path].attrs["depends_on"]
    return names


@pytest.mark.parametrize(
    ("axes", "names"),
    [({}, ["translation"]), ({"two_theta": X}, ["translation", "two_theta"])],
)
def test_a_detector_stands_at_its_distance_on_the_arm_that_turns(detector, axes, names):
    found = {"detector/distance": Told(0.3, "m")}
    begins = make_detector_chain(detector, HEADER, found, axes)
    assert chain_from(detector.file, begins) == names
    assert detector.file[begins][()] == 0.3
    assert detector["depends_on"].asstr()[()] == begins


def test_a_module_without_the_size_of_pixels_has_its_size_in_pixels(detector):
    make_module(detector, (4, 6), None, ".")
    assert detector["module/data_size"][:].tolist() == [4, 6]
    assert "fast_pixel_direction" not in detector["module"]


def test_a_sample_stands_on_its_axes_in_the_order_given(detector):
    sample = detector.file.create_group("sample")
    axes = {"phi": X, "chi": Y, "omega": Y, "two_theta": X}
    make_sample_chain(sample, detector, HEADER, axes)
    begins = sample["depends_on"].asstr()[()]
    assert chain_from(detector.file, begins) == ["phi", "omega"]
    assert sample["transformations/omega"] == detector["goniometer_omega"]
    columns = columns_in(detector)
    columns.begin(HEADER)
    columns.skip(2)
    columns.write()
    assert sample["transformations/phi"][:].tolist() == [1.0, 1.0]


def test_a_sample_without_a_goniometer_stands_on_nothing(detector):
    sample = detector.file.create_group("sample")
    make_sample_chain(sample, detector, {}, {"omega": X})
    assert sample["depends_on"].asstr()[()] == "."
