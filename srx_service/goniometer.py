"""Where the axes of a goniometer stand at each frame, as a header's scan tells.

DECTRIS headers give each axis a start and an increment: frame k of a series begins at
start + k increment.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import msgspec
import numpy as np

from srx_service.nxmx import number

GONIOMETER = "goniometer"
"""Attribute of the detector's group: JSON, the names of the axes that have columns."""
END = "_end"


def columns_of(name: str) -> dict[str, str]:
    """Return the names of an axis' columns, by what NeXus puts behind its name."""
    return {suffix: f"goniometer_{name}{suffix}" for suffix in ("", END)}


def axes_in(group: h5py.Group) -> list[str]:
    """Return the axes that have columns in a group."""
    try:
        return msgspec.json.decode(str(group.attrs[GONIOMETER]), type=list[str])
    except (KeyError, msgspec.DecodeError):  # none, or another program's attribute
        return []


def note_axis(group: h5py.Group, name: str) -> None:
    """Note in the group that an axis has columns there."""
    names = axes_in(group)
    if name not in names:
        group.attrs[GONIOMETER] = msgspec.json.encode([*names, name]).decode()


def scan_of(header: Mapping[str, Any] | None, name: str) -> tuple[float, float] | None:
    """Return start and increment of an axis, in degrees; None where none is told."""
    header = header or {}
    start = number(header.get(f"{name}_start"))
    increment = number(header.get(f"{name}_increment"))
    axes = header.get("goniometer")  # of stream v2
    if isinstance(axes, dict) and isinstance(axis := axes.get(name), dict):
        start, increment = number(axis.get("start")), number(axis.get("increment"))
    return None if start is None else (start, increment or 0.0)


class Axis:
    """One axis over the frames of a series; numbers of frames become degrees.

    Args:
        name: As headers have it.
        at_end: True: where it stands when a frame ends, else when it begins.
    """

    def __init__(self, name: str, *, at_end: bool) -> None:
        self._name = name
        self._at_end = at_end
        self._start = self._increment = math.nan
        self._next = 0

    def begin(self, header: Mapping[str, Any] | None) -> None:
        """A series begins; its frames are counted from 0."""
        self._start, self._increment = scan_of(header, self._name) or (math.nan,) * 2
        self._next = 0

    def convert(self, frames: Sequence[object]) -> np.ndarray:
        """Return the angles; None stands for a frame that never came."""
        known = self._counted(frames) if None in frames else frames
        places = np.asarray(known, np.float64)
        if len(places):
            self._next = int(places[-1]) + 1
        with np.errstate(over="ignore", invalid="ignore"):
            return self._start + (places + self._at_end) * self._increment

    def _counted(self, frames: Sequence[object]) -> list[Any]:
        """Return the frames with those that never came: each follows the one before."""
        counted: list[Any] = []
        following = self._next
        for frame in frames:
            counted.append(following if frame is None else frame)
            following = counted[-1] + 1
        return counted
