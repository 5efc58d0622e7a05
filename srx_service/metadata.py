"""Metadata as it came, nested and of any kind, into groups and datasets.

What HDF5 cannot hold (null, ragged or mixed lists) is only in the JSON beside it: no
metadata makes an acquisition fail.
"""

import json
import logging
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

logger = logging.getLogger(__name__)

MAX_DEPTH = 20
MAX_NAME = 1000
MAX_ITEMS = 5000
"""More datasets than that take seconds to make, at the start of a series."""
REFUSED = (ValueError, TypeError, KeyError, RuntimeError, OverflowError)
"""What h5py raises at a value or a name that it cannot write."""


def save_metadata(
    group: h5py.Group, metadata: dict[str, Any], taken: frozenset[str] = frozenset()
) -> None:
    """Write nested metadata: a dict becomes a group, all else a dataset.

    Args:
        group: Where to.
        metadata: By name.
        taken: Names that none of it may have.
    """
    for count, (parent, key, value) in enumerate(_walk(group, metadata, taken)):
        if count == MAX_ITEMS:
            text = "metadata beyond %d items is only in the JSON"
            logger.warning(text, MAX_ITEMS)
            return
        try:
            parent[key] = value
        except REFUSED as error:
            text = "metadata %r is only in the JSON: %s"
            logger.warning(text, key[:MAX_NAME], error)


def _walk(
    group: h5py.Group, metadata: dict[str, Any], taken: frozenset[str], depth: int = 0
) -> Iterator[tuple[h5py.Group, str, str | np.ndarray]]:
    """Yield what is to be written, and where; groups are made on the way."""
    for key, value in metadata.items():
        if len(key) > MAX_NAME:
            continue
        if isinstance(value, dict):
            if depth < MAX_DEPTH:
                inner = group.create_group(free_name(group, key, taken))
                yield from _walk(inner, value, frozenset(), depth + 1)
        elif (found := _as_array(value)) is not None:
            yield group, free_name(group, key, taken), found


def free_name(group: h5py.Group, key: str, taken: frozenset[str]) -> str:
    """Return the key as a name HDF5 can hold that nothing in the group has yet."""
    name = key.replace("/", "_").replace("\0", "_")
    name = name.encode(errors="replace").decode()  # half a character of UTF-16
    if name in ("", "."):
        name = "_"
    if name != key:
        name += "_"
    while name in taken or name in group:
        name += "_"
    return name


def as_json(value: object) -> str:
    """Return anything as JSON; what JSON does not have, as text."""
    try:
        return json.dumps(value, default=str)
    except RecursionError:
        return json.dumps("too deeply nested to be told")


def _as_array(value: object) -> str | np.ndarray | None:
    """Return the value as h5py takes it, or None where HDF5 cannot hold it."""
    if isinstance(value, str):
        return value.replace("\0", "")
    kinds = set(_kinds(value)) if isinstance(value, list) else set()
    if len(kinds) > 1 and kinds != {int, float}:
        return None
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):  # ragged, or beyond 64 bits
        return None
    if array.dtype.kind == "f" and kinds == {int}:  # some too large to be exact
        return None
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind == "U" and isinstance(value, list):
        return np.asarray(value, dtype=h5py.string_dtype())
    return None


def _kinds(values: list[Any]) -> Iterator[type]:
    """Yield the type of each item."""
    for value in values:
        if isinstance(value, list):
            yield from _kinds(value)
        else:
            yield type(value)
