"""The types of what people write in detectors.yaml: sizes, modes, hosts, classes."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    AllowInfNan,
    BeforeValidator,
    Field,
    PlainSerializer,
)
from pydantic_core import PydanticCustomError

_SIZE = re.compile(r"(\d+(?:\.\d+)?) *(?:([kKMGT])(i?))?B?")
MAX_SIZE = 1 << 63
"""In bytes: no disk, and no counter of the kernel, has more."""
_POWER = {"k": 1, "K": 1, "M": 2, "G": 3, "T": 4}
_MODE = re.compile(r"(?:0o|0)?([0-7]{3,4})")
_CLASS = re.compile(r"[\w.]+:\w+")
_HOST = re.compile(r"[\w.-]+|\[[0-9a-fA-F:.]+\]")
_ORIGIN = re.compile(rf"https?://({_HOST.pattern})(:\d+)?")


def parse_size(value: object) -> object:
    """Turn "256 MiB" into bytes; what is no text is left to the type's own check."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise PydanticCustomError(
            "size", 'should be bytes or text such as "256 MiB" or "1.5 GB"'
        )
    number, prefix, binary = match.groups()
    size = float(number) * (1024 if binary else 1000) ** _POWER.get(prefix, 0)
    if size >= MAX_SIZE:
        raise PydanticCustomError("size", "should be less than 8 EiB")
    return int(size)


def size_text(size_bytes: int) -> int | str:
    """Return "256 MiB" for sizes that are a round number of such units."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if size_bytes and size_bytes % factor == 0:
            return f"{size_bytes // factor} {unit}"
    return size_bytes


def parse_mode(value: object) -> object:
    """Turn "0o644", "0644" and "644" into permission bits.

    YAML 1.1 reads an unquoted 0644 as octal but an unquoted 644 as decimal, which
    nobody means: a number that cannot come from three octal digits is refused.
    """
    mode = value
    if isinstance(value, str):
        match = _MODE.fullmatch(value.strip())
        mode = int(match[1], 8) if match else None
    elif isinstance(value, int) and value > 0o777:
        mode = None
    if mode is None:
        raise PydanticCustomError(
            "mode", 'should be octal permission bits as text, such as "0o644"'
        )
    return mode


def _as_tuple(value: object) -> object:
    """Turn lists into tuples and a single value into a tuple of it, null into none."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _hosts(value: object) -> object:
    if value in (None, [], ()):
        raise PydanticCustomError("hosts", "should be a host, or a list of them")
    return _as_tuple(value)


def _check_host(host: str) -> str:
    if not _HOST.fullmatch(host):
        raise PydanticCustomError(
            "host", "should be a host name or address, without tcp:// and port"
        )
    return host


def _check_origin(origin: str) -> str:
    if not _ORIGIN.fullmatch(origin.lower()):
        raise PydanticCustomError(
            "origin",
            'should be scheme and host of a site, as "https://daq.example.org"',
        )
    return origin.lower()


def _check_dataset(path: str) -> str:
    names = path.removeprefix("/").split("/")
    if not all(names) or {".", ".."} & set(names):
        raise PydanticCustomError(
            "dataset", 'should be a path such as "/entry/instrument/eiger/data"'
        )
    return "/" + "/".join(names)


def _check_absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise PydanticCustomError("path", 'should begin with "/"')
    return path


def _check_direction(
    direction: tuple[float, float, float],
) -> tuple[float, float, float]:
    if not any(direction):
        raise PydanticCustomError("direction", "should be longer than 0")
    x, y, z = (part / math.hypot(*direction) for part in direction)
    return x, y, z


def parse_mask(value: object) -> object:
    """Turn [[0, 2], [5, 9]] into a slice for each axis; null and [] mean no mask."""
    if value in (None, [], ()):
        return None
    match value:
        case [[int(r0), int(r1)], [int(c0), int(c1)]] if 0 <= r0 < r1 and 0 <= c0 < c1:
            return (r0, r1), (c0, c1)
    raise PydanticCustomError(
        "mask",
        "should be [[first row, last row + 1], [first column, last column + 1]]",
    )


def _shown(value: float | None) -> float | str | None:
    """JSON has no word for NaN and infinity."""
    return value if value is None or math.isfinite(value) else str(value)


def check_class(name: str, known: Sequence[str], what: str) -> str:
    """Refuse a name that is neither in the table nor written `package.module:Class`."""
    if name not in known and not _CLASS.fullmatch(name):
        raise PydanticCustomError(
            "class",
            "should be one of {known}, or package.module:Class for your own {what}",
            {"known": ", ".join(known), "what": what},
        )
    return name


Size = Annotated[
    int,
    Field(gt=0),
    BeforeValidator(parse_size, json_schema_input_type=int | str),
    PlainSerializer(size_text, return_type=int | str, when_used="json"),
]
"""In bytes; text with a unit is understood."""

Mode = Annotated[
    int,
    Field(ge=0, le=0o7777),
    BeforeValidator(parse_mode, json_schema_input_type=int | str),
    PlainSerializer(oct, return_type=str, when_used="json"),
]
"""Permission bits of a file or a directory."""

AbsolutePath = Annotated[Path, Field(strict=False), AfterValidator(_check_absolute)]
"""A directory, from the root of the file system."""

Port = Annotated[int, Field(ge=1, le=65535)]
"""A TCP port to connect to."""

ListenPort = Annotated[int, Field(ge=0, le=65535)]
"""A TCP port to listen on; 0: any free one, named in the log."""

Host = Annotated[str, AfterValidator(_check_host)]

Hosts = Annotated[
    tuple[Host, ...],
    Field(strict=False),
    BeforeValidator(_hosts, json_schema_input_type=str | list[str]),
]
"""One host or several."""

Ports = Annotated[
    tuple[Port, ...],
    Field(strict=False),
    BeforeValidator(_as_tuple, json_schema_input_type=Port | list[Port] | None),
]
"""One port, several, or none: those of the protocol."""

Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_check_origin)], ...],
    Field(strict=False),
    BeforeValidator(_as_tuple, json_schema_input_type=str | list[str] | None),
]
"""Web sites, each as a browser names it in an Origin header; there is no wildcard."""

DatasetPath = Annotated[str, AfterValidator(_check_dataset)]
"""Where in the HDF5 file the pixels go."""

Direction = Annotated[
    tuple[float, float, float],
    Field(strict=False),
    AfterValidator(_check_direction),
]
"""Where an axis points to: x, y, z."""

Directions = Annotated[
    dict[Annotated[str, Field(pattern=r"^\w+$")], Direction],
    Field(strict=False),
]
"""Axes by name, each with its direction."""

Span = tuple[int, int]
Mask = Annotated[
    tuple[Span, Span] | None,
    BeforeValidator(parse_mask, json_schema_input_type=list[list[int]] | None),
]
"""A rectangle of pixels: rows, columns, each from its first to before its last."""

FillValue = Annotated[
    int | Annotated[float, AllowInfNan()] | None,
    PlainSerializer(_shown, return_type=int | float | str | None, when_used="json"),
]
"""What a pixel is that nobody measured."""
