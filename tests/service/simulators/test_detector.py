import threading
import time

import numpy as np
import pytest

from srx_service import codecs
from srx_service.errors import RequestError
from srx_service.messages import End, Image, Start, extras_of
from srx_service.protocols.stins import StinsDecoder
from srx_service.simulators.detector import DetectorSimulator
from srx_service.simulators.faults import Faults
from srx_service.simulators.pictures import picture

SHAPE = (60, 50)


@pytest.fixture
def detector():
    with DetectorSimulator(shape=SHAPE, rate=0, send_timeout_s=10) as simulator:
        yield simulator


def messages(raw):
    decoder = StinsDecoder()
    return [message for parts in raw for message in decoder.decode(parts)]


def series(detector, frames=3, **config):
    detector.configure({"frames": frames, **config})
    detector.arm()
    detector.trigger()


@pytest.mark.parametrize("compression", ["none", "bslz4"])
@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_the_stream_decodes_to_the_pictures(detector, connect, dtype, compression):
    pull = connect(detector.endpoint)
    series(detector, dtype=dtype, compression=compression)
    _, *images, _ = messages(pull(5))
    assert [image.frame for image in images] == [0, 1, 2]
    for image in images:
        expected = picture(image.frame, SHAPE, dtype)
        assert np.array_equal(codecs.decode(image), expected, equal_nan=dtype[0] == "f")


def test_numbers_run_on_over_series_and_begin_anew_with_the_process(detector, connect):
    pull = connect(detector.endpoint)
    series(detector)
    series(detector)
    assert [m.number for m in messages(pull(10))] == list(range(10))
    detector.restart()
    series(detector)
    assert [m.number for m in messages(pull(5))] == list(range(5))


def test_the_header_says_where_and_what(detector, connect):
    pull = connect(detector.endpoint)
    metadata = {"energy": 12400, "motor": {"x": 1.5}}
    series(detector, filename="/data/a.h5", metadata=metadata, save_raw=False)
    (start,) = messages(pull(1))
    assert start.filename == "/data/a.h5"
    assert start.metadata == {**metadata, "save_raw": False}
    assert not start.save


def test_a_header_without_metadata_has_one_part(detector, connect):
    pull = connect(detector.endpoint)
    series(detector)
    assert [len(parts) for parts in pull(5)] == [1, 2, 2, 2, 1]


def test_images_tell_their_exposure(detector, connect):
    pull = connect(detector.endpoint)
    series(detector, exposure_s=0.25)
    assert extras_of(messages(pull(2))[1])["exposure_time"] == 0.25


def test_frames_may_begin_at_one_and_some_may_be_marked_for_discard(detector, connect):
    pull = connect(detector.endpoint)
    series(detector, first_frame=1, discard=[2])
    images = [m for m in messages(pull(5)) if isinstance(m, Image)]
    assert [(m.frame, m.discard) for m in images] == [(1, False), (2, True), (3, False)]


def test_a_source_without_numbers_sends_none(detector, connect):
    pull = connect(detector.endpoint)
    series(detector, msg_number=False)
    assert {m.number for m in messages(pull(5))} == {None}


def test_a_source_without_ends_sends_none(detector, connect):
    pull = connect(detector.endpoint)
    series(detector, end=False)
    assert [type(m) for m in messages(pull())] == [Start, Image, Image, Image]
    assert detector.status()["state"] == "idle"


def test_the_end_comes_when_the_armed_number_is_complete(detector, connect):
    pull = connect(detector.endpoint)
    detector.configure({"frames": 5})
    assert detector.arm() == 1
    detector.trigger(2)
    assert detector.status()["state"] == "armed"
    detector.trigger(3)
    assert detector.status()["state"] == "idle"
    found = messages(pull())
    assert [m.frame for m in found[1:-1]] == list(range(5))
    assert [m.number for m in found] == list(range(7))
    assert isinstance(found[-1], End)


def test_each_trigger_may_be_a_series(detector, connect):
    pull = connect(detector.endpoint)
    detector.configure({"frames": 2, "series_per_trigger": True, "filename": "a"})
    detector.arm()
    detector.trigger()
    detector.trigger(1)
    assert detector.status()["state"] == "armed"
    detector.disarm()
    kinds = [type(m).__name__[0] for m in messages(pull())]
    assert "".join(kinds) == "SIIESIE"
    assert detector.status()["series"] == 2


def test_disarm_ends_a_running_series_without_a_gap_in_the_numbers(connect):
    with DetectorSimulator(shape=SHAPE, rate=50) as detector:
        pull = connect(detector.endpoint)
        detector.configure({"frames": 100_000})
        detector.arm()
        detector.trigger(wait=False)
        found = messages(pull(4))
        detector.disarm()
        found += messages(pull())
        assert isinstance(found[-1], End)
        assert [m.number for m in found] == list(range(len(found)))
        assert detector.status()["state"] == "idle"


CALLS = {
    "arm": DetectorSimulator.arm,
    "trigger": DetectorSimulator.trigger,
    "too many": lambda detector: detector.trigger(11),
    "disarm": DetectorSimulator.disarm,
    "configure": lambda detector: detector.configure({}),
}


@pytest.mark.parametrize(
    ("state", "call", "allowed"),
    [
        ("idle", "arm", True),
        ("idle", "trigger", False),
        ("idle", "disarm", True),
        ("idle", "configure", True),
        ("armed", "arm", False),
        ("armed", "trigger", True),
        ("armed", "too many", False),
        ("armed", "disarm", True),
        ("armed", "configure", False),
    ],
)
def test_what_is_allowed_depends_on_the_state(state, call, allowed):
    with DetectorSimulator(shape=SHAPE, rate=0, send_timeout_s=0) as detector:
        if state == "armed":
            detector.arm()
        if allowed:
            CALLS[call](detector)
            return
        with pytest.raises(RequestError, match=r"allowed|frames") as refused:
            CALLS[call](detector)
        assert refused.value.status == 409
        assert detector.status()["state"] == state


def test_a_running_detector_takes_no_second_trigger(http):
    with DetectorSimulator(shape=SHAPE, rate=1, send_timeout_s=0) as detector:
        client = http(detector.url)
        client.post("/arm")
        client.post("/trigger", json={"wait": False})
        assert client.get("/status").json()["state"] == "running"
        answer = client.post("/trigger")
        assert (answer.status_code, answer.json()["status"]) == (409, 409)
        assert "running" in answer.json()["detail"]


def test_a_series_over_http(detector, connect, http):
    pull, client = connect(detector.endpoint), http(detector.url)
    changed = client.put("/config", json={"frames": 2, "filename": "a.h5"}).json()
    assert (changed["frames"], changed["shape"]) == (2, [60, 50])
    assert client.get("/config").json() == changed
    assert client.post("/arm").json() == {"series": 1}
    assert client.post("/trigger", json={"frames": 1}).json()["state"] == "armed"
    assert client.post("/trigger").json()["state"] == "idle"
    assert len(pull(4)) == 4
    status = client.get("/status").json()
    assert (status["frames_sent"], status["msg_number"]) == (2, 4)
    assert client.post("/restart").json()["msg_number"] == 0
    assert client.post("/disarm").json()["state"] == "idle"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"frame": 5}, "frame"),
        ({"frames": 0}, "frames"),
        ({"frames": "5"}, "frames"),
        ({"shape": [5]}, "shape"),
        ({"shape": [5, 0]}, "shape"),
        ({"shape": [5, 70000]}, "shape"),
        ({"dtype": "uint64"}, "dtype"),
        ({"compression": "zip"}, "compression"),
        ({"exposure_s": 0}, "exposure_s"),
        ({"frame_rate": -1}, "frame_rate"),
    ],
)
def test_a_bad_configuration_is_refused_by_name_and_changes_nothing(
    detector, http, changes, key
):
    before = detector.config
    answer = http(detector.url).put("/config", json=changes)
    assert answer.status_code == 422
    assert key in answer.json()["detail"]
    assert detector.config is before


def test_images_come_at_their_rate(connect):
    with DetectorSimulator(shape=SHAPE) as detector:
        pull = connect(detector.endpoint)
        begin_s = time.monotonic()
        series(detector, frames=10, frame_rate=50.0)
        assert 0.2 <= time.monotonic() - begin_s < 2
        assert len(pull(12)) == 12


def test_lost_images_leave_a_gap_in_the_numbers(connect):
    faults = Faults.parse("drop=0.2")
    with DetectorSimulator(shape=SHAPE, rate=0, faults=faults) as detector:
        pull = connect(detector.endpoint)
        series(detector, frames=100)
        found = messages(pull())
        numbers = [m.number for m in found]
        assert (numbers[0], numbers[-1]) == (0, 101)
        assert len(numbers) < 100
        assert all(m.number == m.frame + 1 for m in found[1:-1])


def test_a_death_while_nobody_waits_closes_the_detector(connect):
    detector = DetectorSimulator(
        shape=SHAPE, rate=0, faults=Faults.parse("die=3")
    ).start()
    pull = connect(detector.endpoint)
    detector.arm()
    detector.trigger(wait=False)
    assert detector.ports.died.wait(5)
    assert [type(m) for m in messages(pull())] == [Start, Image, Image, Image]
    detector.stop()


def test_a_stop_does_not_wait_for_the_images_that_are_left():
    detector = DetectorSimulator(shape=SHAPE, rate=1, send_timeout_s=0).start()
    detector.configure({"frames": 1000})
    detector.arm()
    waiting = threading.Thread(target=detector.trigger)
    waiting.start()
    begin_s = time.monotonic()
    detector.stop()
    waiting.join(10)
    assert time.monotonic() - begin_s < 5
