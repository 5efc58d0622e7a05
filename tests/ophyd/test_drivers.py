"""Against the simulators, over their real HTTP."""

import contextlib
import threading

import httpx
import pytest
import zmq

from srx_ophyd.documents import FrameLayout
from srx_ophyd.drivers import (
    DriverError,
    NoDriver,
    Settings,
    SimplonDriver,
    SimulatorDriver,
)
from srx_service.simulators.detector import DetectorSimulator
from srx_service.simulators.eiger import EigerSimulator

ONE = Settings(frames=1, frames_per_event=1, exposure_s=0.01)
DOWN = "http://127.0.0.1:9"


@contextlib.contextmanager
def receiver(simulator):
    """Take what it streams: without anybody there, it waits or drops."""
    over = threading.Event()

    def receive():
        with zmq.Context() as context, context.socket(zmq.PULL) as pull:
            pull.linger, pull.rcvtimeo = 0, 10
            pull.connect(simulator.endpoint)
            while not over.is_set():
                with contextlib.suppress(zmq.Again):
                    pull.recv_multipart()

    thread = threading.Thread(target=receive)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.fixture
def eiger():
    simulator = EigerSimulator(shape=(40, 60), control_port=0, stream_port=0)
    with simulator, receiver(simulator):
        yield simulator


@pytest.fixture
def simplon(eiger):
    driver = SimplonDriver(eiger.url, timeout_s=4.0)
    yield driver
    driver.close()


@pytest.fixture
def generic():
    simulator = DetectorSimulator(shape=(40, 60), control_port=0, stream_port=0)
    with simulator, receiver(simulator):
        yield simulator


@pytest.fixture
def simulator(generic):
    driver = SimulatorDriver(generic.url, timeout_s=4.0)
    yield driver
    driver.close()


def value(eiger, path):
    module, kind, key = path.split("/")
    url = f"{eiger.url}/{module}/api/1.8.0/{kind}/{key}"
    return httpx.get(url).json()["value"]


def test_simplon_is_set_up_for_one_staging(simplon, eiger):
    simplon.configure(ONE)
    expected = {
        "stream/config/mode": "enabled",
        "stream/config/header_detail": "all",
        "stream/config/header_appendix": "",
        "detector/config/trigger_mode": "ints",
        "detector/config/nimages": 1,
        "detector/config/ntrigger": 100_000,
    }
    assert {path: value(eiger, path) for path in expected} == expected


def test_simplon_settings_come_back_as_the_detector_took_them(simplon):
    taken = simplon.configure(ONE)
    assert taken.exposure_s == pytest.approx(0.01)
    assert taken.period_s >= taken.exposure_s
    assert taken.trigger_mode == "ints"


def test_simplon_keeps_its_exposure_when_none_is_asked_for(simplon, eiger):
    before = value(eiger, "detector/config/count_time")
    assert simplon.configure(Settings(1, 1)).exposure_s == before


@pytest.mark.parametrize(
    ("mode", "images"), [("ints", 12), ("exts", 3), ("exte", 1), ("", 12)]
)
def test_simplon_takes_what_its_trigger_mode_says(simplon, eiger, mode, images):
    simplon.configure(Settings(12, 3, 0.01, mode))
    assert value(eiger, "detector/config/nimages") == images


def test_simplon_refuses_trigger_modes_it_cannot_serve(simplon):
    with pytest.raises(DriverError, match="'inte': there are ints, exts, exte"):
        simplon.configure(Settings(1, 1, 0.01, "inte"))


def test_simplon_knows_its_frames_from_the_exposure(simplon):
    simplon.configure(ONE)
    assert simplon.layout() == FrameLayout((40, 60), "uint16")
    simplon.configure(Settings(1, 1, exposure_s=2.0))
    assert simplon.layout() == FrameLayout((40, 60), "uint32")


def test_simplon_names_the_series_it_armed(simplon, eiger):
    simplon.configure(ONE)
    assert simplon.arm() == eiger.series == 1


def test_simplon_exposes_once_a_trigger_while_armed(simplon, eiger):
    simplon.configure(ONE)
    simplon.arm()
    for _ in range(3):
        simplon.trigger(1)
    assert eiger.state == "ready"
    simplon.disarm()
    assert eiger.state == "idle"


def test_simplon_leaves_external_triggers_to_others(simplon, eiger):
    simplon.configure(Settings(5, 1, 0.01, "exts"))
    simplon.arm()
    simplon.trigger(5)
    assert eiger.state == "ready"


def test_simplon_aborts_in_the_middle_of_an_exposure(simplon, eiger):
    simplon.configure(Settings(100, 1, exposure_s=0.2))
    simplon.arm()
    trigger = threading.Thread(target=simplon.trigger, args=(100,))
    trigger.start()
    while eiger.state != "acquire":
        trigger.join(0.01)
    simplon.abort()
    trigger.join(5)
    assert (trigger.is_alive(), eiger.state) == (False, "idle")


def test_simplon_is_disarmed_when_a_client_left_it_armed(simplon, eiger, caplog):
    simplon.configure(ONE)
    simplon.arm()
    simplon.configure(ONE)
    assert "was armed: disarming it" in caplog.text
    assert simplon.arm() == 2


def test_simplon_that_was_not_initialized_says_so(simplon, eiger):
    eiger.state = "na"
    with pytest.raises(DriverError, match="is 'na': initialize it first"):
        simplon.configure(ONE)


def test_simplon_state_is_told_with_what_its_stream_dropped(simplon, eiger):
    simplon.configure(ONE)
    simplon.arm()
    assert simplon.state() == "detector is 'ready'"
    eiger.ports.stream.dropped += 3
    assert simplon.state() == "detector is 'ready', its stream dropped 3 images"


def test_a_refusal_is_told_as_the_detector_worded_it(simplon):
    with pytest.raises(
        DriverError, match="/command/trigger: 400 trigger is not allowed"
    ):
        simplon.trigger(1)


@pytest.mark.parametrize("kind", [SimplonDriver, SimulatorDriver])
def test_a_detector_that_is_away_is_told(kind):
    with pytest.raises(DriverError, match="unreachable"):
        kind(DOWN, timeout_s=0.5).configure(ONE)


def test_an_address_of_something_else_is_told(generic):
    driver = SimplonDriver(generic.url)
    with pytest.raises(DriverError, match="404"):
        driver.configure(ONE)
    driver.close()


def test_the_simulator_is_armed_once_and_triggered_often(simulator, generic):
    taken = simulator.configure(Settings(2, 2, exposure_s=0.01))
    assert (taken.exposure_s, taken.period_s) == (0.01, 0.01)
    assert simulator.arm() is None
    for _ in range(3):
        simulator.trigger(2)
    assert generic.status()["frames_sent"] == 6
    assert simulator.state() == "detector is 'armed'"
    simulator.disarm()
    assert generic.state == "idle"


def test_the_simulator_is_configured_even_when_a_client_left_it_armed(simulator):
    simulator.configure(ONE)
    simulator.arm()
    simulator.configure(ONE)


def test_the_simulator_knows_its_frames(simulator):
    assert simulator.layout() == FrameLayout((40, 60), "uint16")


def test_the_simulators_series_name_no_file(simulator, generic):
    generic.configure({"filename": "/data/own.h5"})
    simulator.configure(ONE)
    assert generic.config.filename == ""


def test_no_driver_does_nothing_and_says_where_to_look():
    driver = NoDriver(FrameLayout((1, 2), "uint8"))
    assert driver.configure(ONE) == ONE
    assert driver.layout() == FrameLayout((1, 2), "uint8")
    assert (driver.arm(), driver.trigger(1)) == (None, None)
    assert "is what triggers the detector running" in driver.state()


def test_settings_differ_in_what_arms_the_detector_alone():
    assert Settings(1, 1, period_s=1.0) == Settings(1, 1, period_s=2.0)
    assert Settings(5, 1).keys == Settings(9, 1).keys
    assert Settings(1, 1, exposure_s=1.0).keys != Settings(1, 1).keys
