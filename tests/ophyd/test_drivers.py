"""Against the simulators, over their real HTTP."""

import pytest

from srx_ophyd.documents import FrameLayout
from srx_ophyd.drivers import (
    DriverError,
    NoDriver,
    Settings,
    SimplonDriver,
    SimulatorDriver,
)
from srx_service.simulators.detector import DetectorSimulator
from tests.ophyd.receiver import receiver

ONE = Settings(frames=1, frames_per_event=1, exposure_s=0.01)
DOWN = "http://127.0.0.1:9"


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


@pytest.mark.parametrize("kind", [NoDriver, SimplonDriver, SimulatorDriver])
def test_a_driver_names_how_its_exposures_may_start(kind):
    assert set(kind.trigger_modes) <= {"internal", "edge", "level"}
    assert "internal" in kind.trigger_modes


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
