"""What a driver sets, reads again and refuses; the simulated control unit answers."""

import pytest

from srx_ophyd.control_unit import ControlUnit
from srx_ophyd.documents import FrameLayout
from srx_ophyd.driver import DriverError, Settings
from srx_ophyd.simplon_setup import Setup, frame_layout, stream_format
from srx_service.errors import RequestError
from srx_service.simulators.eiger import EigerSimulator

ONE = Settings(frames=1, frames_per_event=1, exposure_s=0.01)


@pytest.fixture
def make():
    """make(**options): a simulated control unit, and what speaks to it."""
    made = []

    def start(**options):
        eiger = EigerSimulator(shape=(40, 60), **options).start()
        unit = ControlUnit(eiger.url, None, 4.0)
        made.append((eiger, unit))
        return eiger, unit

    yield start
    for eiger, unit in made:
        unit.close()
        eiger.stop()


@pytest.fixture
def both(make):
    return make()


@pytest.fixture
def eiger(both):
    return both[0]


@pytest.fixture
def unit(both):
    return both[1]


def setup(stream=None, period_s=0.0, **config):
    return Setup(stream, config, period_s)


def values(eiger, *keys):
    return tuple(eiger.config.parameters[key].value for key in keys)


def count_changes(eiger):
    """The keys that are set from here on."""
    changed, do = [], eiger.config.set

    def note(key, value):
        changed.append(key)
        return do(key, value)

    eiger.config.set = note
    return changed


@pytest.mark.parametrize(
    ("mode", "images"), [("ints", 12), ("inte", 1), ("exts", 3), ("exte", 1)]
)
def test_a_trigger_yields_what_its_mode_says(eiger, unit, mode, images):
    setup().apply(unit, Settings(12, 3, 0.01), mode)
    assert values(eiger, "nimages", "trigger_mode") == (images, mode)


def test_there_are_no_more_triggers_than_the_detector_takes(eiger, unit):
    eiger.config.parameters["ntrigger"].allowed = (1, 1000)
    setup().apply(unit, ONE, "ints")
    assert values(eiger, "ntrigger") == (1000,)


def test_long_triggers_are_fewer(eiger, unit):
    setup().apply(unit, Settings(1_000_000, 1), "ints")
    assert values(eiger, "nimages", "ntrigger") == (1_000_000, 1000)


def test_one_image_is_set_before_a_mode_that_has_but_one(eiger, unit):
    do = eiger.config.set

    def as_2020_2_2(key, value):
        mode, images = values(eiger, "trigger_mode", "nimages")
        if key == "trigger_mode" and value in ("inte", "exte") and images != 1:
            raise RequestError(400, "bad value", "nimages is not 1")
        if key == "nimages" and mode in ("inte", "exte") and value != 1:
            raise RequestError(400, "bad value", "nimages must be 1")
        return do(key, value)

    eiger.config.set = as_2020_2_2
    for mode in ("ints", "exte", "exts", "inte", "ints"):
        setup().apply(unit, Settings(5, 5, 0.01), mode)


def test_the_exposure_is_kept_when_none_is_asked_for(eiger, unit):
    before = values(eiger, "count_time", "frame_time")
    taken = setup().apply(unit, Settings(1, 1), "ints")
    assert (taken.exposure_s, taken.period_s) == before


def test_frames_may_come_more_slowly_than_they_could(eiger, unit):
    taken = setup(period_s=0.5).apply(unit, ONE, "ints")
    assert (taken.exposure_s, taken.period_s) == (0.01, 0.5)
    taken = setup(period_s=0.5).apply(unit, Settings(1, 1, 2.0), "ints")
    assert taken.exposure_s == 2.0 < taken.period_s


def test_the_type_follows_from_the_exposure(unit):
    layouts = [
        setup().apply(unit, Settings(1, 1, exposure_s), "ints").layout
        for exposure_s in (0.01, 2.0)
    ]
    expected = [FrameLayout((40, 60), dtype) for dtype in ("uint16", "uint32")]
    assert layouts == expected


def test_configured_values_hold_in_whatever_order(eiger, unit):
    setup(threshold_energy=5000, photon_energy=12_400).apply(unit, ONE, "ints")
    assert values(eiger, "threshold_energy", "photon_energy") == (5000, 12_400)


def test_nothing_is_set_that_is_so_already(eiger, unit):
    wanted = setup(photon_energy=12_398.4198, compression="lz4")
    wanted.apply(unit, ONE, "ints")
    eiger.config.set("photon_energy", 12_398.42)  # as the detector rounds it
    changed = count_changes(eiger)
    wanted.apply(unit, ONE, "ints")
    assert changed == []


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("compression", "zip", "cannot be 'zip': allowed are bslz4, lz4, none"),
        ("photon_energy", 200, "cannot be 200: at least 1000 eV, at most 150000 eV"),
        ("auto_summation", 7, "cannot be 7: the detector does not say"),
        ("sensor_material", "CdTe", "cannot be 'CdTe': it can only be read"),
        ("energy", 1.0, "software 1.8.0, API 1.8.0 has no detector/config/energy"),
    ],
)
def test_what_is_refused_is_told_with_what_is_allowed(unit, key, value, told):
    with pytest.raises(DriverError, match=told) as caught:
        setup(**{key: value}).apply(unit, ONE, "ints")
    assert f"detector/config/{key}" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("count_time", "exposure_s of the device"),
        ("frame_time", "period_s of the driver"),
        ("nimages", "frames_per_event"),
        ("trigger_mode", "trigger_mode of the device"),
    ],
)
def test_what_the_device_sets_is_not_configured(key, told):
    with pytest.raises(ValueError, match=f"config: {key} is set by {told}"):
        setup(**{key: 1})


@pytest.mark.parametrize("value", [None, [1], float("inf"), float("nan")])
def test_what_is_no_value_is_told_at_once(value):
    with pytest.raises(ValueError, match="wavelength is to be"):
        setup(wavelength=value)


def test_a_stream_or_a_period_that_is_none_is_told_at_once():
    with pytest.raises(ValueError, match="stream 'xml': there are legacy, cbor"):
        setup(stream="xml")
    with pytest.raises(ValueError, match="period_s -1 is no time"):
        setup(period_s=-1)


def test_what_the_detector_did_not_take_is_told(eiger, unit):
    eiger.config.set = lambda key, value: [key]
    with pytest.raises(DriverError, match="is 1, although it was set to"):
        setup().apply(unit, Settings(5, 1), "ints")


@pytest.mark.parametrize("stream", ["legacy", "cbor"])
def test_the_format_is_set_where_one_is_wanted(eiger, unit, stream):
    for before in ("legacy", "cbor"):
        eiger.stream_config["format"].value = before
        setup().apply(unit, ONE, "ints")
        assert stream_format(unit) == before
        setup(stream).apply(unit, ONE, "ints")
        assert stream_format(unit) == stream


def test_old_firmware_has_but_stream_v1(make):
    _, unit = make(api_version="1.6.0")
    assert setup("legacy").apply(unit, ONE, "ints").layout.shape == (40, 60)
    with pytest.raises(DriverError, match=r"API 1\.6\.0 has no stream/config/format"):
        setup("cbor").apply(unit, ONE, "ints")


def test_a_detector_without_optional_keys_is_set_up_all_the_same(eiger, unit):
    del eiger.config.parameters["detector_readout_time"]
    taken = setup().apply(unit, ONE, "ints")
    assert taken.exposure_s == pytest.approx(0.01, rel=1e-4)


def test_stream_v2_sends_an_image_of_each_threshold(make):
    eiger, unit = make(thresholds=2, difference=True, stream_format="cbor")
    assert setup().apply(unit, ONE, "ints").layout.shape == (3, 40, 60)
    off = {f"threshold/{name}/mode": "disabled" for name in ("2", "difference")}
    assert setup(**off).apply(unit, ONE, "ints").layout.shape == (40, 60)
    assert list(eiger.channels) == ["threshold_1"]


def test_stream_v1_sends_the_first_threshold_alone(make):
    _, unit = make(thresholds=2)
    assert frame_layout(unit).shape == (40, 60)
