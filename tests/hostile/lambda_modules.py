"""Of X-Spectrum Lambda: what the generic stream refuses, and modules that do not fit.

A place once refused is refused for good, so every case has a number of its own where
others come before it.
"""

import json
from dataclasses import replace

import msgspec

from tests.hostile import stins
from tests.hostile.case import Hostile, Sent
from tests.wire import lambda_modules as wire


def _is_image(case: Hostile) -> bool:
    if callable(case.parts) or not case.parts:
        return False
    try:
        found = json.loads(case.parts[0].decode(errors="replace"))
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("htype") == "image"


def _of_stins(case: Hostile) -> Hostile:
    """Only an image's place is lost: other modules may yet tell a Start or an End."""
    return replace(case, place=case.place if _is_image(case) else {})


def _header(module: int, **changes) -> list[bytes]:
    first, second = wire.header(module)
    fields = {**msgspec.json.decode(second), **changes}
    kept = {key: value for key, value in fields.items() if value is not None}
    return [first, json.dumps(kept).encode()]


def _three(number: int) -> tuple[Sent, ...]:
    """Return an image of modules 0 to 2: the last one's is refused."""
    return tuple(wire.sent(number)[:3])


def _other(number: int, **changes) -> Hostile:
    parts = wire.image(3, number, **changes)
    place = {"number": number}
    return Hostile("modules disagree", parts, place, module=3, after=_three(number))


AT = {"number": 26}
HOSTILE = {
    **{name: _of_stins(case) for name, case in stins.HOSTILE.items()},
    "a fifth module": Hostile("unknown module", wire.image(0), module=4),
    "a module before the first": Hostile("unknown module", wire.image(0), module=-1),
    "image without number": Hostile("no msg_number", wire.image(0, msg_number=None)),
    "header without number": Hostile("no msg_number", [b'{"htype":"header"}']),
    "end without number": Hostile("no msg_number", [b'{"htype":"series_end"}']),
    "pixels in a row": Hostile("bad shape", wire.image(0, shape=[12]), AT),
    "shape of three modules": Hostile("bad shape", wire.image(0, shape=[3, 3, 4]), AT),
    "shape of four axes": Hostile("bad shape", wire.image(0, shape=[1, 4, 3, 4]), AT),
    "four modules in one message": Hostile(
        "part count", [*wire.image(0), *3 * wire.image(0)[1:]], AT
    ),
    "too many pixels of all modules": Hostile(
        "too many pixels", wire.image(0, shape=[20_000, 20_000]), AT
    ),
    "x is text": Hostile("bad geometry", _header(0, x="left")),
    "x is missing": Hostile("bad geometry", _header(0, x=None)),
    "y is half a pixel": Hostile("bad geometry", _header(0, y=0.5)),
    "y is beyond all detectors": Hostile("bad geometry", _header(0, y=2**70)),
    "rotation is a list": Hostile("bad geometry", _header(0, rotation=[0, 0, 0, 0])),
    "full_shape of one axis": Hostile("bad geometry", _header(0, full_shape=[9])),
    "full_shape of nothing": Hostile("bad geometry", _header(0, full_shape=[0, 9])),
    "other shape than other modules": _other(100, shape=[4, 4, 3]),
    "other type than other modules": _other(101, type="int16"),
    "other compression than other modules": _other(102, compression="bslz4"),
    "other frame than other modules": _other(103, frame=1),
    "an end where others have an image": Hostile(
        "modules disagree", wire.end(104), {"number": 104}, 3, _three(104)
    ),
    "a module twice": Hostile(
        "duplicate message", wire.image(0, 105), after=_three(105)
    ),
}

GOOD: list[Sent] = wire.sent(200)
"""The messages of a good image, after all broken ones."""
