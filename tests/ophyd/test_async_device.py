import subprocess
import sys

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky.protocols import Pausable, Preparable, WritesStreamAssets
from bluesky.utils import FailedStatus
from ophyd_async.core import (
    DetectorTrigger,
    StaticFilenameProvider,
    StaticPathProvider,
    TriggerInfo,
    set_mock_value,
)
from ophyd_async.sim import SimBlobDetector

from srx_ophyd.drivers import NoDriver
from srx_ophyd.plans import srx_fly
from tests.ophyd.async_devices import NOBODY, flight, in_loop, shot
from tests.ophyd.fake_driver import FakeDriver

# -- documents


@pytest.mark.parametrize("protocol", [Pausable, Preparable, WritesStreamAssets])
def test_is_what_bluesky_decides_by(adet, protocol):
    assert isinstance(adet, protocol)


def test_count_tells_of_every_durable_frame(engine, adet, documents, service, driver):
    engine(bp.count([adet], num=3))
    point = [*["stream_datum"] * 3, "event"]
    head = ["start", "descriptor", *["stream_resource"] * 3]
    assert documents.names() == [*head, *point * 3, "stop"]
    assert documents.indices("det") == [(0, 1), (1, 2), (2, 3)]
    assert service.rows == [(1, 0), (2, 0), (3, 0)]
    assert service.states == ["done"]
    assert driver.calls == ["arm", "disarm"]


def test_one_frame_an_event_has_no_axis_for_it(engine, adet, documents, service):
    engine(bp.count([adet]))
    [descriptor] = documents.of("descriptor")
    keys = descriptor["data_keys"]
    assert (keys["det"]["shape"], keys["det"]["dtype_numpy"]) == ([4, 6], "<u2")
    assert keys["det"]["source"] == f"SRX:{service.url}"
    assert keys["det-timestamp"]["shape"] == keys["det-frame_number"]["shape"] == []
    hinted = ["det-frames_missing", "det-total_counts"]
    assert descriptor["hints"]["det"] == {"fields": hinted}
    data = documents.of("event")[0]["data"]
    assert list(data) == hinted
    assert data["det-frames_missing"] == 0
    assert "multiplier" not in documents.resources("det")[0]["parameters"]


def test_several_frames_an_event_have_one(engine, adet, documents, service):
    engine(shot(adet, TriggerInfo(collections_per_event=3)))
    [descriptor] = documents.of("descriptor")
    keys = descriptor["data_keys"]
    assert (keys["det"]["shape"], keys["det-timestamp"]["shape"]) == ([3, 4, 6], [3])
    for resource in documents.resources(""):
        assert resource["parameters"]["multiplier"] == 3
    assert documents.indices("det") == [(0, 1)]
    assert len(service.rows) == 3


def test_what_is_beside_the_frames_is_in_the_same_file(engine, adet, documents):
    engine(bp.count([adet]))
    found = {
        one["data_key"]: (one["uri"], one["parameters"]["dataset"])
        for one in documents.of("stream_resource")
    }
    [uri] = {uri for uri, _ in found.values()}
    entry = "/entry/instrument/eiger"
    assert found == {
        "det": (uri, f"{entry}/data"),
        "det-timestamp": (uri, f"{entry}/timestamp"),
        "det-frame_number": (uri, f"{entry}/sequence_number"),
    }


def test_what_is_beside_the_frames_can_be_left_out(engine, make_async, documents):
    engine(bp.count([make_async(frame_keys=())]))
    assert [one["data_key"] for one in documents.of("stream_resource")] == ["det"]


def test_the_configuration_tells_where_the_frames_come_from(
    engine, make_async, documents, service
):
    engine(bp.count([make_async(exposure_s=0.5)]))
    [descriptor] = documents.of("descriptor")
    data = descriptor["configuration"]["det"]["data"]
    assert data == {
        "det-detector_class": "Eiger",
        "det-exposure": 0.500001,  # as the detector took it
        "det-file": service.current["file"],
        "det-service_version": "1.2.3",
        "det-trigger_mode": "ints",
        "det-url": service.url,
    }


def test_a_path_provider_names_the_files(engine, make_async, documents, service):
    provider = StaticPathProvider(StaticFilenameProvider("scan"), "/data/today")
    adet = make_async(path_provider=provider, path_map={"/data": "/gpfs"})
    engine(bp.count([adet]))
    engine(bp.count([adet]))
    files = [one["file"] for one in service.acquisitions]
    assert files[0] == "/data/today/scan.h5"
    assert files[1].startswith("/data/today/scan_")  # never the same twice
    uri = documents.resources("det")[0]["uri"]
    assert uri == "file://localhost/gpfs/today/scan.h5"


def test_metadata_goes_into_the_file(engine, adet, service):
    adet.metadata["sample"] = "Si"
    engine(bp.count([adet]))
    assert service.current["metadata"]["sample"] == "Si"


# -- step and fly


def test_a_fly_scan_tells_of_all_its_frames(engine, adet, documents, service):
    engine(srx_fly([adet], 5))
    assert (documents.indices("det")[0][0], documents.indices("det")[-1][1]) == (0, 5)
    assert service.rows == [(1, k) for k in range(5)]
    assert service.states == ["done"]


def test_prepared_before_it_is_staged_it_is_armed_once(engine, adet, documents, driver):
    @bpp.stage_decorator([adet])
    @bpp.run_decorator()
    def fly():
        yield from bps.declare_stream(adet, name="fly", collect=True)
        yield from bps.kickoff(adet, wait=True)
        yield from bps.collect_while_completing([adet], [adet], stream_name="fly")

    def plan():
        yield from bps.prepare(adet, TriggerInfo(number_of_events=4), wait=True)
        yield from fly()

    engine(plan())
    assert documents.indices("det")[-1][1] == 4
    assert driver.calls == ["arm", "disarm"]


def test_one_staging_flies_twice(engine, adet, documents, service):
    engine(flight([adet], [TriggerInfo(number_of_events=n) for n in (3, 2)]))
    assert documents.indices("det")[-1][1] == 5
    assert service.rows == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]
    assert service.states == ["done"]


def test_what_is_prepared_may_take_several_kickoffs(engine, adet, documents, service):
    @bpp.stage_decorator([adet])
    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(adet, 5, wait=True)
        yield from bps.declare_stream(adet, name="fly", collect=True)
        for events in (2, 3):
            yield from bps.abs_set(adet.events_to_kickoff, events, wait=True)
            yield from bps.kickoff(adet, wait=True)
            yield from bps.collect_while_completing([adet], [adet], stream_name="fly")

    engine(plan())
    assert documents.indices("det")[-1][1] == 5
    assert service.rows == [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]


def test_several_frames_an_event_fly(engine, adet, documents, service):
    info = TriggerInfo(number_of_events=2, collections_per_event=3)
    engine(flight([adet], [info]))
    assert documents.indices("det")[-1][1] == 2
    assert len(service.rows) == 6


def test_step_and_fly_in_one_run_are_two_files(engine, adet, documents, service):
    @bpp.stage_decorator([adet])
    @bpp.run_decorator()
    def plan():
        for _ in range(2):
            yield from bps.trigger_and_read([adet])
        yield from bps.prepare(adet, 3, wait=True)
        yield from bps.declare_stream(adet, name="fly", collect=True)
        yield from bps.kickoff(adet, wait=True)
        yield from bps.collect_while_completing([adet], [adet], stream_name="fly")

    engine(plan())
    assert [one["rows"] for one in service.acquisitions] == [2, 3]
    assert service.states == ["done", "done"]
    uris = [one["uri"] for one in documents.resources("det")]
    files = [one["file"] for one in service.acquisitions]
    assert uris == [f"file://localhost{file}" for file in files]


def test_another_exposure_is_taken_between_two_points(engine, adet, driver, service):
    @bpp.stage_decorator([adet])
    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([adet])
        yield from bps.mv(adet.exposure, 0.5)
        yield from bps.trigger_and_read([adet])

    engine(plan())
    assert [one.exposure_s for one in driver.settings] == [0.0, 0.5]
    assert service.rows == [(1, 0), (2, 0)]
    assert service.states == ["done"]


def test_a_livetime_is_the_exposure(engine, adet, driver):
    engine(shot(adet, TriggerInfo(livetime=0.25)))
    assert driver.settings[0].exposure_s == 0.25


@pytest.mark.parametrize(
    ("info", "text"),
    [
        (TriggerInfo(deadtime=0.1), "deadtime 0.1: the detector times"),
        (TriggerInfo(number_of_events=0), "number_of_events 0: at least 1"),
        (TriggerInfo(exposures_per_collection=2), "not supported"),
        (TriggerInfo(trigger=DetectorTrigger.EXTERNAL_LEVEL), "LEVEL not supported"),
    ],
)
def test_what_the_detector_cannot_do_is_refused(engine, adet, info, text):
    with pytest.raises(FailedStatus, match=text):
        engine(shot(adet, info))


def test_a_trigger_without_staging_says_so(engine, adet):
    def plan():
        yield from bps.open_run()
        yield from bps.trigger(adet, wait=True)

    with pytest.raises(FailedStatus, match="det: it must be staged first"):
        engine(plan())


class EdgeDriver(FakeDriver):
    """A detector that something else triggers."""

    @property
    def starts_exposures(self):
        return not self.settings or self.settings[-1].trigger_mode != "exts"

    def trigger(self, frames):
        if self.starts_exposures:
            super().trigger(frames)


def test_external_triggers_are_awaited_from_when_it_is_prepared(
    engine, make_async, documents, service
):
    driver = EdgeDriver(service)
    adet = make_async(driver=driver)
    edge = TriggerInfo(trigger=DetectorTrigger.EXTERNAL_EDGE, number_of_events=3)

    def send(*numbers):
        def plan():
            service.send(*numbers)
            yield from bps.null()

        return plan

    engine(flight([adet], [edge], between=send(0), late=send(1, 2)))
    assert driver.settings[-1].trigger_mode == "exts"
    assert driver.calls == ["arm", "disarm"]
    assert service.rows == [0, 1, 2]
    assert documents.indices("det")[-1][1] == 3


@pytest.mark.parametrize("deadtime_s", [1e-5, None])
def test_its_triggers_and_deadtime_can_be_asked_for(adet, driver, deadtime_s):
    if deadtime_s is not None:  # not every driver can tell
        driver.deadtime_s = lambda: deadtime_s
    known = {DetectorTrigger.INTERNAL, DetectorTrigger.EXTERNAL_EDGE}
    assert in_loop(adet.get_trigger_deadtime) == (known, deadtime_s)


def test_without_a_driver_it_waits_for_what_comes(engine, make_async, service):
    adet = make_async(driver=None, shape=(4, 6), dtype="uint16")
    assert isinstance(adet.driver, NoDriver)

    def send():
        service.send("a", "b")
        yield from bps.null()

    engine(flight([adet], [TriggerInfo(number_of_events=2)], late=send))
    assert service.rows == ["a", "b"]
    assert service.states == ["done"]


def test_a_progress_bar_gets_its_numbers(engine, adet):
    seen = []

    class Watching:
        def __call__(self, statuses):
            for status in statuses or ():
                if hasattr(status, "watch"):
                    status.watch(lambda **update: seen.append(update))

    engine.waiting_hook = Watching()
    engine(bp.count([adet]))
    last = seen[-1]
    assert [last[name] for name in ("name", "current", "initial", "target")] == [
        "det",
        1,
        0,
        1,
    ]
    assert last["unit"] == "frames"


# -- beside other devices


def test_flies_with_the_classic_one_in_one_stream(engine, adet, make, service):
    # Two services in truth; the fake one holds one acquisition at a time.
    with type(service)() as other:
        classic = make(url=other.url, name="old", driver=FakeDriver(other))
        engine(srx_fly([adet, classic], 4))
        assert (service.states, other.states) == (["done"], ["done"])
        assert len(service.rows) == len(other.rows) == 4


def test_flies_with_ophyd_asyncs_own_in_one_collect(engine, adet, documents, tmp_path):
    provider = StaticPathProvider(StaticFilenameProvider("blob"), tmp_path)
    blob = SimBlobDetector(provider, name="blob")
    in_loop(blob.connect)
    engine(flight([adet, blob], [TriggerInfo(number_of_events=3, livetime=0.01)]))
    assert documents.indices("det")[-1][1] == documents.indices("blob")[-1][1] == 3


# -- mock mode


@pytest.fixture
def mocked(make_async):
    return make_async(url=NOBODY, driver=NoDriver(), mock=True)


def counting(detector, numbers):
    """Let frames be written, one after the other."""

    def write():
        set_mock_value(detector.frames_written, next(numbers))
        yield from bps.null()

    return write


def test_a_mock_counts_without_a_service(engine, mocked, documents):
    numbers = iter([1, 2])

    def take(detectors):
        yield from bps.trigger(*detectors, group="shot", wait=False)
        yield from bps.sleep(0.05)
        yield from counting(mocked, numbers)()
        yield from bps.wait("shot")
        yield from bps.create("primary")
        yield from bps.read(mocked)
        yield from bps.save()

    engine(bp.count([mocked], num=2, per_shot=take))
    assert documents.indices("det") == [(0, 1), (1, 2)]
    assert documents.of("descriptor")[0]["data_keys"]["det"]["shape"] == [10, 15]


def test_a_mock_flies_without_a_service(engine, mocked, documents):
    info = TriggerInfo(number_of_events=3)
    engine(flight([mocked], [info], late=counting(mocked, iter([3]))))
    assert documents.indices("det") == [(0, 3)]
    [resource] = documents.resources("det")
    assert resource["uri"].startswith("file://localhost/data/det_")


def test_a_mock_has_the_shape_it_is_given(engine, make_async, documents):
    mocked = make_async(url=NOBODY, driver=None, shape=(7, 8), dtype="int8", mock=True)
    plan = flight([mocked], [TriggerInfo()], late=counting(mocked, iter([1])))
    engine(plan)
    key = documents.of("descriptor")[0]["data_keys"]["det"]
    assert (key["shape"], key["dtype_numpy"]) == ([7, 8], "|i1")


def test_a_mock_can_be_paused_and_asked_for_its_triggers(mocked):
    in_loop(mocked.pause)
    triggers, _ = in_loop(mocked.get_trigger_deadtime)
    assert triggers == {*DetectorTrigger}


# -- arguments, imports


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"on_missing": "ignore"}, "on_missing 'ignore': there are 'fill' and 'fail'"),
        ({"frame_keys": ("time",)}, "frame_keys 'time': there are timestamp"),
        ({"shape": (3, 4)}, "shape and dtype are given together"),
        ({"path_provider": "data.h5"}, "must begin with /"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(make_async, arguments, text):
    with pytest.raises(ValueError, match=text):
        make_async(**arguments)


def run_python(code):
    words = [sys.executable, "-c", code]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_ophyd_async_is_imported_only_when_it_is_wanted():
    ours = "srx_ophyd.device, srx_ophyd.plans"
    code = f"import sys, {ours}; assert 'ophyd_async' not in sys.modules"
    assert run_python(code).returncode == 0


def test_without_ophyd_async_it_is_said_how_to_get_it():
    code = (
        "import sys; sys.modules['ophyd_async'] = None; import srx_ophyd.async_device"
    )
    assert "pip install 'srx[async]'" in run_python(code).stderr
