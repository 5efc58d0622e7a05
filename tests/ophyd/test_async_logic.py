import asyncio

import pytest
from ophyd_async.core import DetectorTrigger, TriggerInfo, soft_signal_rw

from srx_ophyd.async_logic import (
    SrxTriggerLogic,
    needs_new_file,
    trigger_info,
    trigger_modes,
)
from srx_ophyd.driver import Settings
from srx_ophyd.drivers import NoDriver, SimplonDriver, SimulatorDriver

EDGE = DetectorTrigger.EXTERNAL_EDGE


@pytest.mark.parametrize(
    ("before", "now", "needed"),
    [
        ({}, {}, False),
        ({}, {"livetime": 1.0}, False),
        ({}, {"number_of_events": 9}, False),
        ({}, {"trigger": EDGE}, True),
        ({"trigger": EDGE}, {"trigger": EDGE}, False),
        ({"trigger": EDGE}, {"trigger": EDGE, "livetime": 1.0}, True),
        ({"trigger": EDGE}, {}, True),
    ],
)
def test_a_new_file_is_made_when_it_must_be_armed_anew(before, now, needed):
    assert needs_new_file(TriggerInfo(**before), TriggerInfo(**now)) is needed


def test_a_number_is_one_of_events():
    assert trigger_info("det", 7) == TriggerInfo(number_of_events=7)


@pytest.mark.parametrize("value", [0, TriggerInfo(number_of_events=0)])
def test_no_events_are_refused(value):
    with pytest.raises(ValueError, match="det: number_of_events 0: at least 1"):
        trigger_info("det", value)


@pytest.mark.parametrize(
    ("driver", "kinds"),
    [
        (NoDriver, {"internal", "edge", "level"}),
        (SimulatorDriver, {"internal"}),
        (SimplonDriver, {"internal", "edge", "level"}),
        (object, {"internal"}),
    ],
)
def test_drivers_tell_what_can_trigger_them(driver, kinds):
    assert trigger_modes(driver).keys() == kinds


@pytest.mark.parametrize(
    ("info", "settings"),
    [
        ({}, Settings(6, 1, 0.5, "ints")),
        ({"trigger": EDGE}, Settings(1, 1, 0.5, "exts")),
    ],
)
def test_an_external_trigger_yields_one_frame(info, settings):
    logic = SrxTriggerLogic(
        SimplonDriver("http://127.0.0.1:1"), soft_signal_rw(float, 0.5), staging=None
    )
    logic.info = TriggerInfo(**info)

    async def ask():
        await logic.exposure.connect()
        return await logic.settings(6)

    assert asyncio.run(ask()) == settings
