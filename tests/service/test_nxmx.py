"""What headers say, in the words of NXmx: both streams, and what is nonsense."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srx_service import nxmx
from srx_service.nxmx import NxmxOptions, Told

V1 = {
    "description": "Dectris EIGER1 Si 1M",
    "detector_number": "E-02-0153",
    "sensor_material": "Si",
    "sensor_thickness": 0.00045,
    "x_pixel_size": 7.5e-05,
    "y_pixel_size": 7.4e-05,
    "detector_distance": 0.2,
    "beam_center_x": 512.5,
    "beam_center_y": 0.0,
    "count_time": 0.5,
    "frame_time": 0.6,
    "detector_readout_time": 1e-05,
    "bit_depth_readout": 16,
    "countrate_correction_count_cutoff": 2943293,
    "flatfield_correction_applied": True,
    "pixel_mask_applied": False,
    "countrate_correction_applied": True,
    "virtual_pixel_correction_applied": True,
    "photon_energy": 8000.0,
    "wavelength": 1.5498,
    "threshold_energy": 4000.0,
}
V2 = {
    "detector_description": "Dectris EIGER1 Si 1M",
    "detector_serial_number": "E-02-0153",
    "sensor_material": "Si",
    "sensor_thickness": 0.00045,
    "pixel_size_x": 7.5e-05,
    "pixel_size_y": 7.4e-05,
    "detector_translation": [0.0, 0.0, 0.2],
    "beam_center_x": 512.5,
    "beam_center_y": 0.0,
    "count_time": 0.5,
    "frame_time": 0.6,
    "saturation_value": 2943293,
    "flatfield_enabled": True,
    "pixel_mask_enabled": False,
    "countrate_correction_enabled": True,
    "virtual_pixel_interpolation_enabled": True,
    "incident_energy": 8000.0,
    "incident_wavelength": 1.5498,
    "threshold_energy": {"threshold_1": 4000.0, "threshold_2": 6000.0},
}
ONLY_IN_V1 = {"detector/detector_readout_time", "detector/bit_depth_readout"}
SAID = {"sample_name": "lyso", "instrument_name": "BioMAX", "source_name": "MAX IV"}


def test_both_streams_say_the_same():
    first, second = (nxmx.fields_of(header, SAID) for header in (V1, V2))
    assert first.keys() - second.keys() == ONLY_IN_V1
    assert {path: first[path] for path in second} == second
    assert nxmx.missing(first) == []


def test_values_have_their_units():
    found = nxmx.fields_of(V1, SAID)
    assert found["detector/sensor_thickness"] == Told(0.00045, "m")
    assert found["detector/beam_center_x"] == Told(512.5, "pixel")
    assert found["detector/count_time"] == Told(0.5, "s")
    assert found["detector/saturation_value"] == Told(2943293)
    assert found["detector/pixel_mask_applied"] == Told(False)
    assert found["beam/incident_wavelength"] == Told(1.5498, "angstrom")
    assert found["sample/name"] == Told("lyso")


def test_what_nobody_set_is_missing():
    header = V1 | {"detector_distance": 0.0, "sensor_material": ""}
    assert nxmx.missing(nxmx.fields_of(header, {})) == [
        "sample/name (sample_name)",
        "instrument/name (instrument_name)",
        "source/name (source_name)",
        "detector/sensor_material",
        "detector/distance",
    ]


def test_the_wavelength_follows_from_the_energy():
    found = nxmx.fields_of({"photon_energy": 8000.0}, {})
    assert found["beam/incident_wavelength"].value == pytest.approx(1.5498, abs=1e-4)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, 1 << 63, -(1 << 70)]),
    st.floats(),
    st.text(),
    st.lists(st.floats(), max_size=4),
    st.dictionaries(st.text(), st.floats(), max_size=2),
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys([*V1, *V2, *SAID], ODD)))
def test_any_header_gives_fields_that_a_file_can_hold(header):
    for told in nxmx.fields_of(header, header).values():
        if isinstance(told.value, str):
            assert told.value == told.value.encode().decode().replace("\0", "")
        else:
            assert math.isfinite(told.value)
            assert abs(told.value) < 1 << 63 or isinstance(told.value, float)
    nxmx.thresholds(header, ["threshold_1", "difference"])
    nxmx.goniometer(NxmxOptions(goniometer={"omega": (1, 0, 0)}), header)


@pytest.mark.parametrize(
    ("header", "channels", "expected"),
    [
        (V1, ["threshold_1"], {"threshold_1": 4000.0}),
        (V2, ["threshold_1"], {"threshold_1": 4000.0}),
        (V2, ["threshold_2"], {"threshold_2": 6000.0}),
        (
            V2,
            ["threshold_1", "threshold_2", "difference"],
            {
                "threshold_1": 4000.0,
                "threshold_2": 6000.0,
                "difference": [4000.0, 6000.0],
            },
        ),
        (V1, ["difference"], {"difference": 4000.0}),
        ({}, ["threshold_1", "difference"], {}),
    ],
)
def test_each_channel_has_its_threshold(header, channels, expected):
    found = nxmx.thresholds(header, channels)
    assert found == {name: Told(value, "eV") for name, value in expected.items()}


@pytest.mark.parametrize(
    ("appendix", "said"),
    [
        (b'{"sample_name": "lyso"}', {"sample_name": "lyso"}),
        (b"", {}),
        (b"scan 17, hot", {}),
        (b'{"sample_name": ', {}),
        (b'["sample_name"]', {}),
    ],
)
def test_a_header_appendix_may_say_something(appendix, said):
    assert nxmx.said_by(appendix) == said


def test_a_user_may_say_where_an_axis_points_to():
    options = NxmxOptions(goniometer={"phi": (1, 0, 0), "omega": (-1, 0, 0)})
    said = {"omega_rotation_axis": [0, -2, 0], "phi_rotation_axis": [0, 0, 0]}
    axes = nxmx.goniometer(options, said)
    assert axes == {"phi": (1, 0, 0), "omega": (0, -1, 0)}
    assert [*axes] == ["phi", "omega"]


@pytest.mark.parametrize(
    ("path", "is_fine"),
    [
        ("/entry/instrument/eiger/data", True),
        ("/entry/instrument/beam/data", False),
        ("/entry/instrument/beam2/data", True),
        ("/entry/instrument/eiger/frames", False),
        ("/entry/data/data", False),
        ("/entry/instrument/eiger/raw/data", False),
    ],
)
def test_frames_have_to_be_in_a_detector_of_the_instrument(path, is_fine):
    assert (nxmx.DATASET.fullmatch(path) is not None) == is_fine
