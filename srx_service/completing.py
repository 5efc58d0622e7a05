"""The holes of a file that was not closed: all are told, the last ones too.

A flush writes the rows first and what is told of them last. Where a kill came in
between, the rows themselves tell which of them are empty.
"""

import h5py
import numpy as np

from srx_service.columns import NO_FRAME
from srx_service.layout import MISSING, REASON, REASONS
from srx_service.rows import SEQUENCE, Rows


def complete_holes(rows: Rows) -> dict[str, int]:
    """List the empty rows that are not; return how many they are, by reason."""
    found = [rows.group.get(name) for name in (MISSING, REASON)]
    lists = [each for each in found if isinstance(each, h5py.Dataset)]
    numbers = rows.members.get(SEQUENCE)
    if numbers is None or len(lists) < len(found):
        return {}
    told, reasons = (np.asarray(found) for found in lists)
    never_came = numbers[:] == NO_FRAME
    is_empty = never_came | _without_pixels(rows, len(never_came))
    is_empty[told[told < len(is_empty)].astype(int)] = False
    new = np.flatnonzero(is_empty)
    if not len(new):
        return {}
    why = np.where(never_came[new], REASONS["missing"], REASONS["rejected"])
    _write(lists, np.append(told, new), np.append(reasons, why))
    return {name: int(np.count_nonzero(why == code)) for name, code in REASONS.items()}


def _write(lists: list[h5py.Dataset], told: np.ndarray, reasons: np.ndarray) -> None:
    order = np.argsort(told, kind="stable")
    for found, values in zip(lists, (told, reasons), strict=True):
        found.resize(len(values), axis=0)
        found[...] = values[order].astype(found.dtype)


def _without_pixels(rows: Rows, count: int) -> np.ndarray:
    """Return for each row whether no pixels were written; False where none can tell."""
    frames = max(rows.members.values(), key=lambda member: member.ndim)
    if frames.ndim < 3 or not frames.chunks or frames.chunks[0] != 1:
        return np.zeros(count, bool)
    is_empty = np.ones(count, bool)

    def look(chunk: h5py.h5d.StoreInfo) -> None:
        row = chunk.chunk_offset[0]
        if row < count:
            is_empty[row] = False

    frames.id.chunk_iter(look)
    return is_empty
