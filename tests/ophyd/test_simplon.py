"""Against the simulated control unit, over its real HTTP."""

import threading
import time

import httpx
import pytest

from srx_ophyd import simplon as simplon_module
from srx_ophyd.documents import FrameLayout
from srx_ophyd.drivers import DriverError, Settings, SimplonDriver
from srx_service.simulators.eiger import EigerSimulator
from tests.ophyd.receiver import receiver

ONE = Settings(frames=1, frames_per_event=1, exposure_s=0.01)
LOST = ("deaf", "lost", "cut")
"""How an answer may fail to come."""


@pytest.fixture
def start():
    """start(**options): a simulated detector, and somebody who receives."""
    simulators = []

    def make(**options):
        options = {"shape": (40, 60), "rate": 0, **options}
        eiger = EigerSimulator(**options).start()
        taking = receiver(eiger)
        taking.__enter__()
        simulators.append((eiger, taking))
        return eiger

    yield make
    for eiger, taking in simulators:
        taking.__exit__(None, None, None)
        eiger.stop()


@pytest.fixture
def drive():
    """drive(eiger, **arguments): a driver of it."""
    drivers = []

    def make(eiger, **arguments):
        driver = SimplonDriver(eiger.url, **{"timeout_s": 4.0, **arguments})
        drivers.append(driver)
        return driver

    yield make
    for driver in drivers:
        driver.close()


@pytest.fixture
def eiger(start):
    return start(rate=None)


@pytest.fixture
def driver(drive, eiger):
    return drive(eiger)


def value(eiger, path):
    module, kind, key = path.split("/", 2)
    url = f"{eiger.url}/{module}/api/{eiger.api_version}/{kind}/{key}"
    return httpx.get(url).json()["value"]


def wait_for(eiger, state):
    deadline_s = time.monotonic() + 20
    while eiger.state != state:
        assert time.monotonic() < deadline_s, eiger.state
        time.sleep(0.005)


def in_thread(do, *arguments):
    thread = threading.Thread(target=do, args=arguments)
    thread.start()
    return thread


def frames_sent(eiger):
    return eiger._frames_sent


def test_it_is_set_up_for_one_staging(driver, eiger):
    driver.configure(ONE)
    expected = {
        "stream/config/mode": "enabled",
        "stream/config/header_detail": "all",
        "stream/config/header_appendix": "",
        "detector/config/trigger_mode": "ints",
        "detector/config/nimages": 1,
        "detector/config/ntrigger": 100_000,
    }
    assert {path: value(eiger, path) for path in expected} == expected


def test_settings_come_back_as_the_detector_took_them(driver):
    taken = driver.configure(ONE)
    assert taken.exposure_s == pytest.approx(0.01)
    assert taken.period_s >= taken.exposure_s
    assert taken.trigger_mode == "ints"


def test_it_names_the_series_it_armed(driver, eiger):
    driver.configure(ONE)
    assert driver.arm() == eiger.series == 1


def test_it_exposes_once_a_trigger_while_armed(driver, eiger):
    driver.configure(ONE)
    driver.arm()
    for _ in range(3):
        driver.trigger(1)
    assert eiger.state == "ready"
    driver.disarm()
    assert eiger.state == "idle"


def test_frames_with_a_trigger_each_have_their_time(driver, eiger):
    driver.configure(Settings(3, 3, 0.05, "inte"))
    driver.arm()
    begun_s = time.monotonic()
    driver.trigger(3)
    assert time.monotonic() - begun_s >= 0.15
    assert (frames_sent(eiger), eiger.state) == (3, "ready")


def test_a_trigger_that_is_answered_at_once_is_waited_for(driver, eiger):
    do, threads = eiger.command, []

    def answer_at_once(name, value=None):
        if name != "trigger":
            return do(name, value)
        threads.append(in_thread(do, name, value))
        return None

    eiger.command = answer_at_once
    driver.configure(Settings(3, 3, 0.1, "inte"))
    driver.arm()
    driver.trigger(3)
    for thread in threads:
        thread.join()
    assert frames_sent(eiger) == 3


@pytest.mark.parametrize(("mode", "frames"), [("exts", 6), ("exte", 2)])
def test_external_triggers_are_left_to_others(driver, eiger, mode, frames):
    driver.configure(Settings(6, 3, 0.01, mode))
    assert not driver.starts_exposures
    driver.arm()
    driver.trigger(6)
    assert eiger.state == "ready"
    eiger.pulse(2)
    assert frames_sent(eiger) == frames


def test_modes_it_has_not_are_refused(driver):
    with pytest.raises(DriverError, match="'extg': there are ints, inte, exts, exte"):
        driver.configure(Settings(1, 1, 0.01, "extg"))


@pytest.mark.parametrize("exposure_s", [-1.0, float("nan"), float("inf")])
def test_what_is_no_time_is_refused(driver, exposure_s):
    with pytest.raises(DriverError, match="is no time"):
        driver.configure(Settings(1, 1, exposure_s))


def test_it_aborts_in_the_middle_of_an_exposure(driver, eiger):
    driver.configure(Settings(100, 1, exposure_s=0.2))
    driver.arm()
    trigger = in_thread(driver.trigger, 100)
    wait_for(eiger, "acquire")
    driver.abort()
    trigger.join(20)
    assert (trigger.is_alive(), eiger.state) == (False, "idle")
    assert frames_sent(eiger) < 100


def test_an_abort_ends_frames_with_a_trigger_each(driver, eiger):
    driver.configure(Settings(100, 1, 0.2, "inte"))
    driver.arm()
    trigger = in_thread(driver.trigger, 100)
    wait_for(eiger, "acquire")
    driver.abort()
    trigger.join(20)
    assert (trigger.is_alive(), eiger.state) == (False, "idle")


def test_a_disarm_lets_the_frame_under_exposure_come(driver, eiger):
    driver.configure(Settings(100, 1, exposure_s=0.3))
    driver.arm()
    trigger = in_thread(driver.trigger, 100)
    wait_for(eiger, "acquire")
    driver.disarm()
    trigger.join(20)
    assert eiger.state == "idle"
    assert 1 <= frames_sent(eiger) < 100


@pytest.mark.parametrize("command", ["disarm", "cancel", "abort"])
@pytest.mark.parametrize("state", ["idle", "na"])
def test_ending_what_is_not_armed_does_no_harm(driver, eiger, command, state):
    eiger.state = state
    getattr(driver, command)()
    assert eiger.state == state


def test_it_is_disarmed_when_a_client_left_it_armed(driver, eiger, caplog):
    driver.configure(ONE)
    driver.arm()
    driver.configure(ONE)
    assert "was armed: disarming it" in caplog.text
    assert driver.arm() == 2


def test_without_being_initialized_it_says_what_to_call(driver, eiger):
    eiger.state = "na"
    with pytest.raises(DriverError, match=r"is 'na': .* call initialize\(\)"):
        driver.configure(ONE)
    driver.initialize()
    assert driver.configure(ONE).exposure_s == pytest.approx(0.01)


def test_it_is_initialized_when_that_is_wanted(drive, start):
    eiger = start(is_initialized=False)
    drive(eiger, initialize=True).configure(ONE)
    assert eiger.state == "idle"


def test_an_error_is_told_with_its_causes(driver, eiger):
    eiger.state, eiger.errors = "error", ["humidity", "link_1"]
    told = r"is 'error' \(humidity, link_1\): when the cause is gone"
    with pytest.raises(DriverError, match=told):
        driver.configure(ONE)
    driver.initialize()
    driver.configure(ONE)


def test_a_detector_that_fails_in_a_series_is_told(drive, start):
    eiger = start(fail_at=2)
    driver = drive(eiger)
    driver.configure(Settings(5, 1, 0.001))
    driver.arm()
    with pytest.raises(
        DriverError, match="command/trigger: 500 the simulator was told"
    ):
        driver.trigger(5)
    told = "detector is 'error' (the simulator was told to fail)"
    assert driver.state() == told


def test_one_that_fails_between_its_answers_is_told(driver, eiger):
    do = eiger.command

    def fail_at_trigger(name, value=None):
        if name != "trigger":
            return do(name, value)
        eiger.state, eiger.errors = "error", ["link_0"]
        return None

    eiger.command = fail_at_trigger
    driver.configure(Settings(3, 1, 0.01, "inte"))
    driver.arm()
    with pytest.raises(DriverError, match=r"is 'error' \(link_0\)"):
        driver.trigger(3)


def test_one_that_somebody_else_uses_is_left_alone(driver, eiger):
    eiger.config.set("count_time", 30)
    eiger.command("arm")
    thread = in_thread(eiger.command, "trigger")
    wait_for(eiger, "acquire")
    with pytest.raises(DriverError, match="is 'acquire': wait until it is idle, or"):
        driver.configure(ONE)
    assert eiger.state == "acquire"
    driver.abort()
    thread.join()


def test_a_state_that_passes_is_waited_for(driver, eiger):
    eiger.state = "configure"
    passing = threading.Timer(0.2, setattr, (eiger, "state", "idle"))
    passing.start()
    driver.configure(ONE)
    passing.join()


def test_a_state_that_does_not_pass_is_told(driver, eiger, monkeypatch):
    monkeypatch.setattr(simplon_module, "SETTLE_S", 0.1)
    eiger.state = "configure"
    with pytest.raises(DriverError, match="is 'configure': wait until it is idle"):
        driver.configure(ONE)


def test_its_state_is_told_with_what_its_stream_dropped(driver, eiger):
    driver.configure(ONE)
    driver.arm()
    assert driver.state() == "detector is 'ready'"
    eiger.ports.stream.dropped += 3
    assert driver.state() == "detector is 'ready', its stream dropped 3 images"


def test_a_stream_that_was_switched_off_is_told(driver, eiger):
    eiger.stream_config["mode"].value = "disabled"
    assert driver.state() == "detector is 'idle', its stream is 'disabled'"


def test_what_it_is_can_be_told(driver, eiger):
    about = driver.about()
    assert about["description"] == "simulated Dectris EIGER Si"
    assert about["api_version"] == "1.8.0"
    eiger.config.set("photon_energy", 9000)
    assert driver.about() == about | {"photon_energy": 9000, "threshold_energy": 4500}


def test_its_readout_is_its_dead_time(driver, eiger):
    assert driver.deadtime_s() == 1e-7
    del eiger.config.parameters["detector_readout_time"]
    assert driver.deadtime_s() is None


def test_a_refusal_is_told_as_the_detector_worded_it(driver):
    told = "/command/trigger: 400 trigger is not allowed"
    with pytest.raises(DriverError, match=told):
        driver.trigger(1)


@pytest.mark.parametrize(
    ("format", "decoder"),
    [("legacy", "Eiger"), ("cbor", "DectrisStream2"), ("cbor", "my.Own")],
)
def test_a_service_that_receives_the_stream_is_fine(drive, eiger, format, decoder):
    eiger.stream_config["format"].value = format
    drive(eiger).check_decoder(decoder)


def test_a_service_of_the_other_stream_is_told_with_the_cure(drive, eiger):
    driver = drive(eiger)
    with pytest.raises(DriverError, match="or the service class Eiger"):
        driver.check_decoder("DectrisStream2")
    drive(eiger, stream="cbor").configure(ONE)
    with pytest.raises(DriverError, match="give the driver stream='legacy'"):
        driver.check_decoder("Eiger")


@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer_to_a_setting_is_asked_for_again(driver, eiger, fault):
    eiger.answers.add(f"{fault}@config/nimages,{fault}@config/count_time")
    driver.configure(Settings(7, 1, 0.02))
    assert value(eiger, "detector/config/nimages") == 7


@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer_to_arm_begins_another_series(driver, eiger, fault):
    driver.configure(ONE)
    eiger.answers.add(f"{fault}@command/arm")
    series = driver.arm()
    assert series == eiger.series == (1 if fault == "deaf" else 2)
    assert eiger.state == "ready"


@pytest.mark.parametrize("fault", LOST)
def test_a_trigger_is_never_given_twice(driver, eiger, fault, caplog):
    driver.configure(Settings(3, 1, 0.02))
    driver.arm()
    eiger.answers.add(f"{fault}@command/trigger")
    driver.trigger(3)
    wait_for(eiger, "ready")
    assert frames_sent(eiger) == (0 if fault == "deaf" else 3)
    assert "waiting for what it does" in caplog.text


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("command", ["disarm", "abort"])
def test_a_lost_answer_to_the_end_is_asked_for_again(driver, eiger, command, fault):
    driver.configure(ONE)
    driver.arm()
    eiger.answers.add(f"{fault}@command/{command}")
    getattr(driver, command)()
    assert eiger.state == "idle"


@pytest.mark.parametrize("fault", ["lost", "cut"])
def test_a_lost_answer_to_initialize_is_found_out(drive, start, fault):
    eiger = start(is_initialized=False)
    eiger.answers.add(f"{fault}@command/initialize")
    drive(eiger).initialize()
    assert eiger.state == "idle"


def test_an_initialize_that_was_not_done_is_told(drive, start, monkeypatch):
    monkeypatch.setattr(simplon_module, "INITIALIZE_TIMEOUT_S", 0.5)
    eiger = start(is_initialized=False)
    eiger.answers.add("deaf@command/initialize")
    with pytest.raises(DriverError, match="is 'na'"):
        drive(eiger).initialize()


def test_slow_answers_are_waited_for(driver, eiger):
    keys = ("status/state", "config/nimages", "command/arm", "command/trigger")
    eiger.answers.add(",".join(f"slow=0.3@{key}" for key in keys))
    driver.configure(ONE)
    assert driver.arm() == 1
    driver.trigger(1)
    assert frames_sent(eiger) == 1


def test_an_answer_that_is_too_slow_is_told_in_time(drive, eiger):
    driver = drive(eiger, timeout_s=0.2)
    eiger.answers.add("slow=1@status/state")
    begun_s = time.monotonic()
    with pytest.raises(
        DriverError, match=r"did not answer within 0.2 s .*status/state"
    ):
        driver.configure(ONE)
    assert time.monotonic() - begun_s < 4


ODD = [
    ("empty", "answered without 'value'"),
    ("garbled", "not with JSON"),
    ("fail", "500 the simulator was told to fail"),
]


@pytest.mark.parametrize(("fault", "told"), ODD)
@pytest.mark.parametrize("key", ["status/state", "config/count_time", "config/nimages"])
def test_an_odd_answer_to_a_question_is_told(driver, eiger, key, fault, told):
    eiger.answers.add(f"{fault}@{key}")
    with pytest.raises(DriverError, match=told) as caught:
        driver.configure(ONE)
    assert key in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "told"), [("empty", "answered without 'sequence id'"), *ODD[1:]]
)
def test_an_odd_answer_to_arm_is_told(driver, eiger, fault, told):
    driver.configure(ONE)
    eiger.answers.add(f"{fault}@command/arm")
    with pytest.raises(DriverError, match=told):
        driver.arm()


def test_a_series_may_be_called_a_series(driver, eiger):
    do = eiger.command
    eiger.command = lambda name, value=None: {
        "series id": do(name, value)["sequence id"]
    }
    driver.configure(ONE)
    assert driver.arm() == 1


def test_the_shape_follows_the_region_of_interest(drive, start):
    eiger = start(shape=(4362, 4148))
    driver = drive(eiger, config={"roi_mode": "4M"})
    driver.configure(ONE)
    assert driver.layout() == FrameLayout((2162, 2068), "uint16")


def test_layouts_are_known_before_it_is_set_up(driver):
    assert driver.layout().shape == (40, 60)
