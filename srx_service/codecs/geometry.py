"""Where the modules of a detector are in the whole image.

x and y are a module's first column and row, `rotation` is in degrees, `full_shape` the
whole image's [rows, columns].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from srx_service.codecs.fields import Size

Offset = Annotated[int, Meta(ge=-(2**31), le=2**31)]
BY_MODULE = ("x", "y", "rotation")
"""A number each in a module's header, lists in those of all modules."""
GEOMETRY = frozenset({*BY_MODULE, "full_shape"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where one module is."""

    x: Offset
    y: Offset
    rotation: Offset
    full_shape: tuple[Size, Size]


@dataclass(frozen=True, slots=True)
class _Places:
    x: tuple[Offset, ...]
    y: tuple[Offset, ...]
    rotation: tuple[Offset, ...]
    full_shape: tuple[Size, Size]


def place_in(fields: Mapping[str, Any]) -> Place | None:
    """Return where a header says its module is; None where it does not say.

    Raises:
        ValueError: It says what cannot be.
    """
    told = {key: value for key, value in fields.items() if key in GEOMETRY}
    return msgspec.convert(told, Place) if told else None


def places_in(fields: Mapping[str, Any], modules: int) -> list[Place]:
    """Return where an image says that its modules are.

    Raises:
        ValueError: It does not say it of so many modules.
    """
    told = msgspec.convert(
        {key: value for key, value in fields.items() if key in GEOMETRY}, _Places
    )
    by_module = zip(told.x, told.y, told.rotation, strict=True)
    places = [Place(*where, told.full_shape) for where in by_module]
    if len(places) != modules:
        raise ValueError(f"{len(places)} places for {modules} modules")
    return places


def as_fields(places: Sequence[Place | None]) -> dict[str, Any]:
    """Return what images of all modules say; nothing where one is not known."""
    known = [place for place in places if place is not None]
    if not known or len(known) < len(places):
        return {}
    lists = {key: [getattr(place, key) for place in known] for key in BY_MODULE}
    return lists | {"full_shape": list(known[0].full_shape)}
