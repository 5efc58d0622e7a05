from types import SimpleNamespace

import numpy as np
import pytest
from ophyd_async.core import DetectorTrigger, TriggerInfo

from srx_ophyd.drivers import NoDriver, SimplonDriver, SimulatorDriver
from srx_ophyd.preparing import changes_of, modes_of

MODES = {"internal": "ints", "edge": "exts"}
EDGE = DetectorTrigger.EXTERNAL_EDGE


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (7, {"num_events": 7}),
        (np.int64(7), {"num_events": 7}),
        ({"num_events": 5, "exposure_s": 0.1}, {"num_events": 5, "exposure_s": 0.1}),
        ({"trigger_mode": "inte"}, {"trigger_mode": "inte"}),
        ({"stall_timeout_s": 3}, {"stall_timeout_s": 3.0}),
        ({}, {}),
        (TriggerInfo(), {}),
        (TriggerInfo(number_of_events=9), {"num_events": 9}),
        (
            TriggerInfo(number_of_events=9, livetime=0.5, collections_per_event=2),
            {"num_events": 9, "exposure_s": 0.5, "frames_per_event": 2},
        ),
        (TriggerInfo(livetime=0.0), {}),
        (TriggerInfo(trigger=EDGE), {"trigger_mode": "exts"}),
        (TriggerInfo(trigger=EDGE, deadtime=0.001), {"trigger_mode": "exts"}),
        (TriggerInfo(exposure_timeout=2.5), {"stall_timeout_s": 2.5}),
        (
            SimpleNamespace(number_of_events=9, livetime=0.5, trigger="internal"),
            {"num_events": 9, "exposure_s": 0.5, "trigger_mode": "ints"},
        ),
    ],
)
def test_what_is_told_changes_and_all_else_stays(value, changes):
    assert changes_of(value, MODES) == changes


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 is no number of events: it is a whole number of at least 1; or give"),
        (-1, "no number of events"),
        (True, "no number of events"),
        (2.5, "no number of events"),
        ("many", "'many' is no number of events"),
        (None, "None is no number of events"),
        ({"num_events": 0}, "0 is no number of events"),
        ({"events": 5}, "no setting is called 'events': there are num_events, expos"),
        ({"stall_timeout_s": 0}, "stall_timeout_s 0: seconds, more than 0"),
        ({"stall_timeout_s": "soon"}, "stall_timeout_s 'soon'"),
        (TriggerInfo(number_of_events=0), "0 is no number of events"),
        (TriggerInfo(exposures_per_collection=2), "exposures_per_collection 2: every"),
        (TriggerInfo(deadtime=0.1), r"deadtime 0\.1: the detector's own"),
        (
            TriggerInfo(trigger=DetectorTrigger.EXTERNAL_LEVEL),
            "trigger EXTERNAL_LEVEL: this detector can do INTERNAL, EXTERNAL_EDGE",
        ),
        (SimpleNamespace(number_of_events=1, trigger="sun"), "trigger SUN: this dete"),
    ],
)
def test_what_cannot_be_done_is_told_with_what_can(value, text):
    with pytest.raises(ValueError, match=text):
        changes_of(value, MODES)


@pytest.mark.parametrize(
    ("driver", "modes"),
    [
        (NoDriver(), {"internal": "", "edge": "", "level": ""}),
        (SimulatorDriver("http://127.0.0.1:9"), {"internal": ""}),
        (SimplonDriver("http://127.0.0.1:9"), SimplonDriver.trigger_modes),
        (SimpleNamespace(starts_exposures=True), {"internal": ""}),
        (
            SimpleNamespace(starts_exposures=False),
            {"internal": "", "edge": "", "level": ""},
        ),
    ],
)
def test_drivers_say_what_they_can_do(driver, modes):
    assert modes_of(driver) == modes
