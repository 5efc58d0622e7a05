"""Against the simulated control unit, over its real HTTP."""

import time

import pytest

from srx_ophyd.control_unit import ControlUnit
from srx_ophyd.driver import DriverError
from srx_service.simulators.eiger import EigerSimulator

NIMAGES = "detector/config/nimages"


@pytest.fixture
def eiger():
    with EigerSimulator(shape=(40, 60), rate=0, send_timeout_s=0) as simulator:
        yield simulator


@pytest.fixture
def unit(eiger):
    unit = ControlUnit(eiger.url, None, 4.0)
    yield unit
    unit.close()


def test_the_version_is_asked_for_once(eiger, unit):
    assert unit.version() == "1.8.0"
    eiger.answers.add("fail@api/version")
    assert unit.get(NIMAGES) == 1


def test_a_version_that_is_given_is_not_asked_for(eiger):
    eiger.answers.add("fail@api/version")
    unit = ControlUnit(eiger.url, "1.8.0", 4.0)
    assert unit.get(NIMAGES) == 1
    unit.close()


def test_what_is_something_else_is_told(eiger):
    unit = ControlUnit(f"{eiger.url}/elsewhere", None, 4.0)
    with pytest.raises(DriverError, match=r"refused GET /detector/api/version: 404"):
        unit.state()
    unit.close()


def test_a_value_that_is_so_already_is_not_set(eiger, unit):
    assert unit.put(NIMAGES, 5)
    assert not unit.put(NIMAGES, 5)
    assert eiger.config.count("nimages") == 5


@pytest.mark.parametrize("fault", ["deaf", "lost", "cut"])
def test_an_answer_that_is_lost_is_asked_for_again(eiger, unit, fault):
    unit.version()
    eiger.answers.add(f"{fault}@config/nimages,{fault}@config/nimages")
    assert unit.get(NIMAGES) == 1


@pytest.mark.parametrize("fault", ["deaf", "lost", "cut"])
def test_a_setting_whose_answer_is_lost_is_set_again(eiger, unit, fault):
    path = "/detector/api/1.8.0/config/nimages"
    eiger.answers.add(f"{fault}@{path}")
    unit._repeatable(path, {"value": 9}, 4.0)
    assert eiger.config.count("nimages") == 9


@pytest.mark.parametrize("fault", ["deaf", "lost", "cut"])
def test_a_command_is_not_repeated(eiger, unit, fault):
    unit.version()
    eiger.answers.add(f"{fault}@command/arm")
    with pytest.raises(DriverError, match="unreachable") as caught:
        unit.command("arm", timeout_s=4.0)
    assert caught.value.may_be_done
    assert eiger.series == (0 if fault == "deaf" else 1)


def test_a_key_that_a_firmware_lacks_is_none_or_told(unit):
    assert unit.find("detector/config/warp") is None
    told = r"404 .*; software 1.8.0, API 1.8.0 has no detector/config/warp"
    with pytest.raises(DriverError, match=told) as caught:
        unit.get("detector/config/warp")
    assert caught.value.status == 404


def test_a_lacking_key_of_old_firmware_is_none(eiger, unit):
    unit.version()
    eiger.answers.add("fail@status/link_2")
    assert unit.find("detector/status/link_2") is None


def test_a_value_that_is_no_number_is_told(unit):
    with pytest.raises(DriverError, match="trigger_mode is 'ints', not a number"):
        unit.number("detector/config/trigger_mode")


def test_no_answer_is_no_missing_key(eiger):
    unit = ControlUnit(eiger.url, "1.8.0", 0.2)
    eiger.answers.add("slow=1@config/nimages")
    with pytest.raises(DriverError, match="did not answer within"):
        unit.find(NIMAGES)
    unit.close()


def test_a_state_is_waited_out_but_not_for_ever(eiger, unit):
    begun_s = time.monotonic()
    assert unit.state_after(("idle",), begun_s + 0.2) == "idle"
    assert 0.2 <= time.monotonic() - begun_s < 5
    assert unit.state_after(("acquire",), time.monotonic()) == "idle"


@pytest.mark.parametrize(
    ("errors", "told"), [([], ""), (["a", "b"], " (a, b)"), ("hot", " (hot)")]
)
def test_errors_are_told_behind_the_state(eiger, unit, errors, told):
    eiger.errors = errors
    assert unit.errors() == told


def test_a_host_that_is_not_there_is_not_waited_for_like_an_answer():
    # An address of documentation (RFC 5737): nobody has it.
    unit = ControlUnit("http://192.0.2.1", "1.8.0", 0.3)
    begun_s = time.monotonic()
    with pytest.raises(DriverError, match="unreachable"):
        unit.command("arm", timeout_s=120.0)
    assert time.monotonic() - begun_s < 30
    unit.close()
