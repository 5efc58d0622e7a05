"""What plans may set of a device, and what it tells of itself."""

import math
from pathlib import PurePosixPath
from types import SimpleNamespace

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky.utils import FailedStatus

from srx_ophyd.configuration import Setting
from srx_ophyd.documents import FrameLayout
from srx_ophyd.drivers import DriverError
from srx_ophyd.plans import srx_fly
from srx_ophyd.watch import AcquisitionError

TYPES = {"string": str, "number": float, "integer": int, "boolean": bool}


class TwoDepths:
    """Mixed into a driver: beyond 1 s the frames have more bits."""

    def layout(self):
        bits = 32 if self.settings[-1].exposure_s > 1 else 16
        return FrameLayout((4, 6), f"uint{bits}")


@pytest.fixture
def two_depths(driver):
    kind = type("TwoDepthsDriver", (TwoDepths, type(driver)), {})
    return kind(driver.service)


def dtypes(documents):
    keys = [one["data_keys"] for one in documents.of("descriptor")]
    return [one["det_image"]["dtype_numpy"] for one in keys]


@pytest.mark.parametrize(
    ("first", "value", "kept"),
    [
        (0.0, 1, 1.0),
        (0.0, np.float32(0.5), 0.5),
        (1, np.int64(7), 7),
        ("", "exts", "exts"),
    ],
)
def test_a_setting_keeps_its_type(first, value, kept):
    setting = Setting(name="s", value=first)
    setting.set(value).wait(5)
    assert setting.get() == kept
    assert type(setting.get()) is type(first)


@pytest.mark.parametrize(
    ("first", "value", "text"),
    [
        (0.0, -0.1, r"s: -0\.1 is no number of at least 0"),
        (0.0, math.nan, "s: nan is no number"),
        (0.0, math.inf, "s: inf is no number"),
        (0.0, "long", "s: 'long' is no number"),
        (0.0, True, "s: True is no number"),
        (1, 2.0, r"s: 2\.0 is no whole number of at least 0"),
        (1, None, "s: None is no whole number"),
        ("", 3, "s: 3 is no text"),
    ],
)
def test_a_setting_refuses_what_it_cannot_be(first, value, text):
    setting = Setting(name="s", value=first)
    for change in (setting.put, setting.set):
        with pytest.raises(ValueError, match=text):
            change(value)
    assert setting.get() == first


@pytest.mark.parametrize("arguments", [{"exposure_s": -1}, {"frames_per_event": 0}])
def test_a_device_refuses_settings_that_cannot_be(make, arguments):
    with pytest.raises(ValueError, match=r"is no (whole )?number of at least"):
        make(**arguments)


def test_configure_returns_what_was_and_what_is(det):
    old, new = det.configure({"exposure_s": 2, "num_events": 5})
    changed = {key for key in new if old[key]["value"] != new[key]["value"]}
    assert changed == {"det_exposure_s", "det_num_events"}
    assert new["det_exposure_s"]["value"] == 2.0


def test_configured_in_a_run_it_holds_from_the_next_point_on(
    engine, det, driver, documents, service
):
    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([det])
        yield from bps.configure(det, {"exposure_s": 0.25})
        yield from bps.trigger_and_read([det])

    engine(plan())
    assert [one.exposure_s for one in driver.settings] == [0.0, 0.25]
    told = [d["configuration"]["det"]["data"] for d in documents.of("descriptor")]
    assert [one["det_exposure_s"] for one in told] == [1e-6, 0.25]
    assert service.rows == [(1, 0), (2, 0)]
    assert len(service.acquisitions) == 1


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"exposure": 1.0},
            "det: 'exposure' cannot be configured: there are exposu",
        ),
        ({"file": "/data/x.h5"}, "det: 'file' cannot be configured"),
        ({"exposure_s": "long"}, "det_exposure_s: 'long' is no number"),
        ({"num_events": 5, "exposure_s": -1}, "det_exposure_s: -1 is no number"),
    ],
)
def test_a_bad_configuration_changes_nothing(det, changes, text):
    before = det.read_configuration()
    with pytest.raises(ValueError, match=text):
        det.configure(changes)
    assert det.read_configuration() == before


def test_prepare_takes_what_configure_takes(det):
    det.prepare({"num_events": 5, "exposure_s": 0.5, "trigger_mode": "exts"}).wait(1)
    names = ("num_events", "exposure_s", "trigger_mode", "frames_per_event")
    assert [getattr(det, name).get() for name in names] == [5, 0.5, "exts", 1]


def test_prepare_says_what_is_wrong(det):
    with pytest.raises(ValueError, match="det: None is no number of events"):
        det.prepare(None)
    with pytest.raises(ValueError, match="det_exposure_s: -1 is no number"):
        det.prepare({"num_events": 5, "exposure_s": -1})
    assert det.num_events.get() == 1


def test_frames_per_event_is_prepared_before_staging_only(det):
    det.prepare({"frames_per_event": 2}).wait(1)
    det.stage()
    det.prepare({"frames_per_event": 2, "exposure_s": 1}).wait(1)
    for change in (det.prepare, det.configure):
        with pytest.raises(ValueError, match="det: frames_per_event is 2 until it is"):
            change({"frames_per_event": 3, "exposure_s": 7})
    assert det.exposure_s.get() == 1
    det.unstage()
    det.prepare({"frames_per_event": 3}).wait(1)


def test_what_is_prepared_before_staging_is_armed_once(det, driver, engine, service):
    def plan():
        yield from bps.prepare(det, {"num_events": 5, "exposure_s": 0.1}, wait=True)
        yield from srx_fly([det], 5)

    engine(plan())
    assert [(one.frames, one.exposure_s) for one in driver.settings] == [(5, 0.1)]
    assert len(service.rows) == 5


def test_only_a_number_of_events_makes_it_fly_first(det, driver, engine):
    def plan():
        yield from bps.prepare(det, {"exposure_s": 0.1}, wait=True)
        yield from bp.count([det])

    engine(plan())
    assert [(one.frames, one.exposure_s) for one in driver.settings] == [(1, 0.1)]


def test_a_prepared_stall_timeout_holds_until_it_is_unstaged(make, driver):
    det = make(stall_timeout_s=77)
    driver.held.set()
    det.stage()
    det.prepare({"stall_timeout_s": 0.3}).wait(1)
    with pytest.raises(AcquisitionError, match=r"no new frame for 0\.3 s"):
        det.trigger().wait(20)
    det.unstage()
    driver.held.clear()
    det.stage()
    det.trigger().wait(20)
    assert det._staging.stall_timeout_s == 77


def test_shape_and_dtype_are_those_of_the_exposure(make, two_depths, engine, documents):
    det = make(driver=two_depths)
    engine(bp.count([det]))
    det.exposure_s.put(2.0)
    engine(bp.count([det]))
    det.prepare({"exposure_s": 0.5}).wait(1)
    engine(bp.count([det]))
    det.configure({"exposure_s": 3.0})
    engine(bp.count([det]))
    assert dtypes(documents) == ["<u2", "<u4", "<u2", "<u4"]


def test_stage_sigs_decide_on_the_dtype_too(make, two_depths, engine, documents):
    det = make(driver=two_depths)
    det.stage_sigs["exposure_s"] = 2.0
    engine(bp.count([det]))
    assert dtypes(documents) == ["<u4"]
    assert det.exposure_s.get() == 0.0


def test_bad_stage_sigs_are_told_and_leave_it_unstaged(det, engine, service):
    det.stage_sigs["exposure_s"] = "long"
    with pytest.raises(ValueError, match="det_exposure_s: 'long' is no number"):
        engine(bp.count([det]))
    assert service.acquisitions == []
    del det.stage_sigs["exposure_s"]
    engine(bp.count([det]))


def test_a_dtype_that_changes_in_the_midst_of_a_staging_fails_the_plan(
    make, two_depths, engine
):
    det = make(driver=two_depths)

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([det])
        yield from bps.configure(det, {"exposure_s": 2.0})
        yield from bps.trigger_and_read([det])

    text = "from 4 x 6 uint16 into 4 x 6 uint32: stage the device again"
    with pytest.raises(FailedStatus, match=text):
        engine(plan())


def test_the_configuration_tells_of_file_service_and_detector(det, service):
    det.stage()
    told = {key: one["value"] for key, one in det.read_configuration().items()}
    assert told["det_file"] == service.current["file"]
    assert told["det_path_template"] == "/data/{name}.h5"
    assert told["det_dataset"] == service.current["dataset"]
    assert told["det_service_version"] == "1.2.3"
    assert told["det_detector_class"] == "Eiger"
    assert told["det_on_missing"] == "fill"


def test_it_tells_what_the_driver_says_of_the_detector(det, driver, engine, documents):
    driver.about = lambda: {"description": "Eiger2 1M", "energy": 8e3, "n": 1, "url": 0}
    engine(bp.count([det]))
    [descriptor] = documents.of("descriptor")
    configuration = descriptor["configuration"]["det"]
    assert configuration["data"]["det_description"] == "Eiger2 1M"
    kinds = {key: one["dtype"] for key, one in configuration["data_keys"].items()}
    assert kinds["det_energy"] == "number"
    assert kinds["det_n"] == "integer"
    assert configuration["data"]["det_url"] == det.url.get()


def test_a_detector_that_does_not_say_is_no_reason_to_fail(
    det, driver, engine, documents, caplog
):
    driver.about = lambda: (_ for _ in ()).throw(DriverError("out of reach"))
    engine(bp.count([det]))
    assert "det: what the detector is, is not known: out of reach" in caplog.text
    [descriptor] = documents.of("descriptor")
    assert "det_description" not in descriptor["configuration"]["det"]["data"]


@pytest.mark.parametrize("is_staged", [True, False])
def test_what_is_described_is_what_is_read(det, driver, is_staged):
    driver.about = lambda: {"description": "Eiger2 1M", "energy": 8e3}
    if is_staged:
        det.stage()
    described, read = det.describe_configuration(), det.read_configuration()
    assert described.keys() == read.keys()
    for key, one in described.items():
        assert isinstance(read[key]["value"], TYPES[one["dtype"]]), key


def test_a_path_provider_is_told_as_python_does(make):
    class Provider:
        def __repr__(self):
            return "Provider()"

        def __call__(self, name):
            return SimpleNamespace(directory_path=PurePosixPath("/data"), filename=name)

    det = make(write_path_template=Provider())
    det.stage()
    assert det.path_template.get() == "Provider()"
