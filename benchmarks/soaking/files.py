"""Is in a file what was sent, and nothing else?"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeGuard

import h5py
import hdf5plugin
import numpy as np

from benchmarks.soaking.accounts import Row
from benchmarks.soaking.program import DATASET
from benchmarks.soaking.series import GOOD, Frame, Kind
from srx_service.verify import verify

GROUP = DATASET.rpartition("/")[0]
NO_NUMBER = 2**32 - 1
"""The sequence number of a row without a frame."""
assert hdf5plugin  # HDF5 finds its filters once it is imported


class Found(NamedTuple):
    """What a file showed."""

    absent: int
    """Frames that are not in their rows."""
    faults: list[str]
    """All that is not as it has to be."""


def compare(path: Path, kind: Kind | None, rows: Sequence[Row]) -> Found:
    """Compare a file, read as anybody reads it, with the rows that it has to hold."""
    frames = sum(map(_is_good, rows))
    if not path.exists():
        return Found(frames, ["there is no file"])
    with h5py.File(path) as file:
        found = file.get(DATASET)
        if not frames:
            # none has told what the dataset is to be like
            return Found(0, [] if found is None else ["it holds what was never sent"])
        if not isinstance(found, h5py.Dataset) or found.shape[0] != len(rows):
            return Found(frames, [f"{len(rows)} rows are due, there is {found}"])
        assert kind is not None
        wrong = [*_wrong_rows(found, kind, rows)]
        faults = [f"row {k} does not hold {rows[k] or 'a hole'}" for k in wrong]
        absent = sum(_is_good(rows[k]) for k in wrong)
        return Found(absent, [*faults, *_wrong_columns(file, rows)])


def damage(path: Path) -> list[str]:
    """Return what `srx verify` says of a file that is not whole."""
    report = verify(path)
    return [] if report.verdict == "whole" else [str(report)]


def _is_good(row: Row) -> TypeGuard[Frame]:
    return row is not None and row.fate in GOOD


def _wrong_rows(found: h5py.Dataset, kind: Kind, rows: Sequence[Row]) -> Iterator[int]:
    hole = np.full(kind.shape, found.fillvalue, found.dtype)
    for k, (pixels, row) in enumerate(zip(found[()], rows, strict=True)):
        due = kind.pixels(row.token) if _is_good(row) else hole
        # as bytes: NaN, which a hole of floats holds, is not equal to itself
        if pixels.tobytes() != due.tobytes():
            yield k


def _wrong_columns(file: h5py.File, rows: Sequence[Row]) -> Iterator[str]:
    holes = np.asarray(file[f"{GROUP}/missing_frames"]).tolist()
    due = [k for k, row in enumerate(rows) if not _is_good(row)]
    if holes != due:
        yield f"missing_frames {holes} instead of {due}"
    numbers = np.asarray(file[f"{GROUP}/sequence_number"]).tolist()
    for k, (number, row) in enumerate(zip(numbers, rows, strict=True)):
        if number not in _numbers(row):
            yield f"row {k} has the number {number}, and should hold {row}"


def _numbers(row: Row) -> set[int]:
    """Return what the sequence number of a row may be.

    A frame that came and did not fit has its own, unless it came before any that did.
    """
    if row is None:
        return {NO_NUMBER}
    return {row.index} if _is_good(row) else {row.index, NO_NUMBER}
