"""What `prepare` is given, as changes to a device's settings: a pure function.

TriggerInfo: ophyd-async 0.21, `ophyd_async.core.TriggerInfo`. It is known by its fields
alone, so that ophyd-async need not be installed.
"""

from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

from srx_ophyd.driver import Driver
from srx_ophyd.endpoint import Json

KEYS = (
    "num_events",
    "exposure_s",
    "trigger_mode",
    "frames_per_event",
    "stall_timeout_s",
)
"""What a dict may have."""
TRIGGERS = {
    "INTERNAL": "internal",
    "EXTERNAL_EDGE": "edge",
    "EXTERNAL_LEVEL": "level",
}
"""What starts an exposure: in TriggerInfo's words, and as the key of a driver's."""


def modes_of(driver: Driver) -> Mapping[str, str]:
    """Return the driver's words for "internal", "edge", "level", as far as it can."""
    modes = getattr(driver, "trigger_modes", None)
    if modes:
        return modes
    # Whatever triggers what this driver does not start: it need not be told.
    kinds = ("internal",) if driver.starts_exposures else TRIGGERS.values()
    return dict.fromkeys(kinds, "")


def changes_of(value: object, modes: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that are to change, by name; what is not told stays.

    Args:
        value: A number of events, a dict of KEYS, or a TriggerInfo, of which the fields
            count that somebody set.
        modes: As `modes_of` returns them.

    Raises:
        ValueError: It is none of these, or asks for what cannot be done.
    """
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if hasattr(value, "number_of_events"):
        return _of_trigger_info(value, modes)
    return {"num_events": _count(value)}


def _of_mapping(value: Mapping[str, Any]) -> dict[str, Any]:
    for key in value:
        if key not in KEYS:
            raise ValueError(f"no setting is called {key!r}: there are {_list(KEYS)}")
    changes = dict(value)
    if "num_events" in changes:
        changes["num_events"] = _count(changes["num_events"])
    if "stall_timeout_s" in changes:
        key = "stall_timeout_s"
        changes[key] = _seconds(changes[key], key)
    return changes


def _of_trigger_info(info: object, modes: Mapping[str, str]) -> dict[str, Any]:
    told = _told(info)
    if told.get("exposures_per_collection", 1) != 1:
        raise ValueError(
            f"exposures_per_collection {told['exposures_per_collection']!r}: every "
            "exposure is a frame of its own, only 1 can be done"
        )
    changes: dict[str, Any] = {}
    if "number_of_events" in told:
        changes["num_events"] = _count(told["number_of_events"])
    if "collections_per_event" in told:
        changes["frames_per_event"] = told["collections_per_event"]
    if "trigger" in told:
        changes["trigger_mode"] = _mode(told["trigger"], modes)
    if told.get("livetime"):  # 0: as the detector is set
        changes["exposure_s"] = told["livetime"]
    if told.get("deadtime") and _kind(told.get("trigger", "INTERNAL")) == "internal":
        raise ValueError(
            f"deadtime {told['deadtime']!r}: the detector's own is as short as it can "
            "be, and no other can be set; leave it at 0"
        )
    if "exposure_timeout" in told:
        timeout = told["exposure_timeout"]
        changes["stall_timeout_s"] = _seconds(timeout, "exposure_timeout")
    return changes


def _told(info: object) -> dict[str, Any]:
    """Return the fields that somebody set: a default says nothing of this detector."""
    names = (
        "number_of_events",
        "collections_per_event",
        "exposures_per_collection",
        "trigger",
        "livetime",
        "deadtime",
        "exposure_timeout",
    )
    given = getattr(info, "model_fields_set", names)
    return {
        name: getattr(info, name)
        for name in names
        if name in given and hasattr(info, name)
    }


def _mode(trigger: object, modes: Mapping[str, str]) -> str:
    kind = _kind(trigger)
    if kind not in modes:
        known = [word for word, one in TRIGGERS.items() if one in modes]
        raise ValueError(
            f"trigger {_word(trigger)}: this detector can do {_list(known)}"
        )
    return modes[kind]


def _kind(trigger: object) -> str:
    return TRIGGERS.get(_word(trigger), "")


def _word(trigger: object) -> str:
    """Return an enum's value, or its text."""
    return str(getattr(trigger, "value", trigger)).upper()


def _count(value: Json) -> int:
    is_count = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_count or int(value) < 1:
        raise ValueError(
            f"{value!r} is no number of events: it is a whole number of at least 1; "
            f"or give a dict of {_list(KEYS)}; or a TriggerInfo"
        )
    return int(value)


def _seconds(value: Json, what: str) -> float:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not 0 < float(value) < float("inf"):
        raise ValueError(f"{what} {value!r}: seconds, more than 0")
    return float(value)


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)
