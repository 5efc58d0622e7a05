import base64

import numpy as np
import pytest

from srx_service.errors import RequestError
from srx_service.simulators.parameters import threshold_parameters
from srx_service.simulators.simplon import DetectorConfig, darray


@pytest.fixture
def config():
    return DetectorConfig((1065, 1030), None, wide_above_s=0.1)


@pytest.mark.parametrize(
    ("key", "value", "changed"),
    [
        ("nimages", 5, {"nimages"}),
        ("count_time", 0.05, {"count_time"}),
        (
            "count_time",
            0.5,
            {"bit_depth_image", "count_time", "frame_time"},
        ),
        ("frame_time", 0.01, {"count_time", "frame_time"}),
        ("photon_energy", 12400, {"photon_energy", "threshold_energy", "wavelength"}),
        ("wavelength", 1.0, {"photon_energy", "threshold_energy", "wavelength"}),
        ("compression", "none", {"compression"}),
        ("auto_summation", 0, {"auto_summation"}),
    ],
)
def test_a_change_tells_all_keys_that_changed_with_it(config, key, value, changed):
    assert set(config.set(key, value)) == changed
    assert config.parameters[key].value == value


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("nimage", 5, 404),
        ("nimages", 0, 400),
        ("nimages", 1.5, 400),
        ("nimages", True, 400),
        ("nimages", "5", 400),
        ("count_time", -1, 400),
        ("count_time", float("nan"), 400),
        ("count_time", True, 400),
        ("count_time", None, 400),
        ("trigger_mode", "int", 400),
        ("auto_summation", 2, 400),
        ("bit_depth_image", 8, 403),
        ("x_pixels_in_detector", 8, 403),
    ],
)
def test_what_cannot_be_set_is_refused_and_nothing_changes(config, key, value, status):
    before = config.header()
    with pytest.raises(RequestError, match=key) as refused:
        config.set(key, value)
    assert refused.value.status == status
    assert {**config.header(), "data_collection_date": 0} == {
        **before,
        "data_collection_date": 0,
    }


def test_long_exposures_need_wider_pixels(config):
    assert config.dtype == "uint16"
    config.set("count_time", 0.2)
    assert config.dtype == "uint32"


@pytest.mark.parametrize("exposure_s", [0.1, 0.3, 0.7, 1.1, 0.0123])
def test_the_shortest_frame_time_does_not_change_the_exposure(config, exposure_s):
    config.set("count_time", exposure_s)
    config.set("frame_time", exposure_s + config.number("detector_readout_time"))
    assert config.number("count_time") == exposure_s


def test_a_fixed_dtype_stays():
    config = DetectorConfig((10, 10), "uint8", wide_above_s=0.1)
    config.set("count_time", 10)
    assert config.dtype == "uint8"


@pytest.mark.parametrize(
    ("mode", "announced"), [("ints", 12), ("exts", 12), ("inte", 4), ("exte", 4)]
)
def test_announced_images_follow_from_the_trigger_mode(config, mode, announced):
    config.set("nimages", 3)
    config.set("ntrigger", 4)
    config.set("trigger_mode", mode)
    assert config.announced() == announced


def test_a_region_of_interest_changes_the_shape_where_the_detector_is_large_enough():
    config = DetectorConfig((4362, 4148), None, wide_above_s=0.1)
    config.set("roi_mode", "4M")
    assert config.shape == (2162, 2068)
    config.set("roi_mode", "disabled")
    assert config.shape == (4362, 4148)


def test_a_small_detector_has_no_region_of_interest(config):
    with pytest.raises(RequestError, match="roi_mode"):
        config.set("roi_mode", "4M")


@pytest.fixture
def with_thresholds():
    more = threshold_parameters(2, difference=True)
    return DetectorConfig((1065, 1030), None, 0.1, more)


def test_channels_are_the_thresholds_that_are_enabled(with_thresholds):
    config = with_thresholds
    config.set("threshold/2/energy", 6000)
    assert config.channels() == {
        "threshold_1": 4020.5,
        "threshold_2": 6000.0,
        "difference": 0.0,
    }
    for key in ("threshold/1/mode", "threshold/difference/mode"):
        config.set(key, "disabled")
    assert list(config.channels()) == ["threshold_2"]


def test_the_first_threshold_has_two_names(with_thresholds):
    keys = {"threshold_energy", "threshold/1/energy"}
    for key, value in (("threshold_energy", 5000), ("threshold/1/energy", 6000)):
        assert set(with_thresholds.set(key, value)) == keys
    assert keys <= set(with_thresholds.set("photon_energy", 14_000))


def test_a_stream_header_tells_of_one_threshold(with_thresholds):
    assert [key for key in with_thresholds.header() if "/" in key] == []


def test_an_array_is_shown_as_base64_with_type_and_shape():
    mask = np.arange(6, dtype=np.uint32).reshape(2, 3)
    shown = darray(mask)
    raw = base64.b64decode(shown["data"])
    assert np.array_equal(
        np.frombuffer(raw, shown["type"]).reshape(shown["shape"]), mask
    )
