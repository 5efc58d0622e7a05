"""Rows and what is told of them agree: lengths, holes, times, headers, counts."""

import json
from collections.abc import Iterator

import h5py
import numpy as np

from srx_service.checksums import chunks_of, sums_of
from srx_service.columns import NO_FRAME, ROW_WISE, TIMESTAMP
from srx_service.counts import imbalance
from srx_service.filecounts import counts_in, expected_of
from srx_service.inspection.findings import Findings
from srx_service.inspection.objects import as_array
from srx_service.layout import HEADER_LOG, MISSING, REASON, REASONS
from srx_service.rows import SEQUENCE, Rows

KINDS = frozenset(REASONS.values())


def holes_in(group: h5py.Group) -> np.ndarray | None:
    """Return the rows that hold no frame; None where the file does not list them."""
    return as_array(group.get(MISSING))


def inspect_rows(rows: Rows, frames: h5py.Dataset, found: Findings) -> None:
    """Look at all that has one value a row, and at what lists rows.

    Args:
        rows: Of the detector's group.
        frames: The images among them.
        found: What is wrong is added to it.
    """
    count = found.rows = len(frames)
    found.damage([*_lengths(rows, frames)])
    holes = holes_in(rows.group)
    if holes is None:
        found.remarks.append("the file does not list its holes: not made by srx")
        return
    reasons = as_array(rows.group.get(REASON))
    if reasons is None or len(reasons) != len(holes):
        given = 0 if reasons is None else len(reasons)
        found.damage([f"{len(holes)} {MISSING}, but {given} reasons"])
        return
    found.damage([*_list_faults(holes, reasons, count)])
    codes = np.zeros(count, np.uint8)
    inside = holes < count
    codes[holes[inside].astype(int)] = reasons[inside]
    _inspect_numbers(rows, codes, found)
    _inspect_times(rows, codes, found)
    found.damage([*_log_faults(rows.group)])


def inspect_counts(file: h5py.File, rows: Rows | None, found: Findings) -> None:
    """See that every image is accounted for, in each acquisition and in all."""
    every = counts_in(file)
    if every is None:
        found.remarks.append("the file has no counts: not made by srx")
        return
    found.counts = every
    texts = []
    for index, counts in enumerate(every, start=1):
        wrong = imbalance(counts, expected_of(counts))
        if wrong is not None:
            texts.append(f"the counts of acquisition {index} do not add up: {wrong}")
    images = 0 if rows is None else rows.images()
    written = sum(counts["written"] for counts in every)
    if written != images:
        texts.append(f"{written} images were counted as written, {images} are there")
    found.damage(texts)


def _lengths(rows: Rows, frames: h5py.Dataset) -> Iterator[str]:
    for member in rows.members.values():
        if len(member) != len(frames):
            yield f"{member.name} has {len(member)} rows, {frames.name} {len(frames)}"
    sums = sums_of(rows.group, frames)
    if sums is not None and frames.chunks is not None:
        wanted = chunks_of(len(frames), frames.chunks[0])
        if sums.rows != wanted:
            yield f"{frames.name} has {wanted} chunks, and {sums.rows} checksums"


def _list_faults(holes: np.ndarray, reasons: np.ndarray, rows: int) -> Iterator[str]:
    """Yield what is wrong with the list of holes."""
    if (beyond := int(np.count_nonzero(holes >= rows))) > 0:
        yield f"{beyond} of {MISSING} are beyond the last row"
    if np.any(np.diff(holes.astype(np.int64)) <= 0):
        yield f"{MISSING} is not in order"
    if not KINDS.issuperset(reasons.tolist()):
        yield f"{REASON} has values that mean nothing"


def _inspect_numbers(rows: Rows, codes: np.ndarray, found: Findings) -> None:
    """Compare the detector's index of each frame with the holes."""
    numbers = _own_column(rows, SEQUENCE)
    if numbers is None or len(numbers) != len(codes):
        return
    is_none = numbers == NO_FRAME
    found.damage(_unlike(is_none, codes, "frame number"))
    for begin, end in _series(rows.group, len(codes)):
        held = numbers[begin:end][~is_none[begin:end]].astype(np.int64)
        if np.any(np.diff(held) <= 0):
            found.remarks.append(f"frame numbers go back in the series of row {begin}")


def _inspect_times(rows: Rows, codes: np.ndarray, found: Findings) -> None:
    times = _own_column(rows, TIMESTAMP)
    if times is None or len(times) != len(codes) or times.dtype.kind != "f":
        return
    found.damage(_unlike(np.isnan(times), codes, "time"))
    held = times[np.isfinite(times)]
    back_s = -np.diff(held).min() if len(held) > 1 else 0.0
    if back_s > 0:
        found.remarks.append(
            f"{TIMESTAMP} goes back by {back_s:.6f} s: a clock was set"
        )


def _own_column(rows: Rows, name: str) -> np.ndarray | None:
    """Return a column that this service made."""
    column = rows.members.get(name)
    return as_array(column) if column is not None and ROW_WISE in column.attrs else None


def _unlike(is_none: np.ndarray, codes: np.ndarray, what: str) -> list[str]:
    """Return the rows where a value is, or is not, unlike the list of holes says."""
    lost = np.flatnonzero(is_none & (codes == 0)).tolist()
    extra = np.flatnonzero(~is_none & (codes == REASONS["missing"])).tolist()
    texts = [f"row {row} has no {what}, but is no hole" for row in lost]
    return texts + [f"row {row} is a hole, but has a {what}" for row in extra]


def _series(group: h5py.Group, rows: int) -> Iterator[tuple[int, int]]:
    """Yield the first row of each series and the row behind its last."""
    begins: list[int] = []
    for line in _lines(group):
        row = line.get("row") if isinstance(line, dict) else None
        if isinstance(row, int):
            while begins and begins[-1] >= row:  # taken back by a rewind
                begins.pop()
            begins.append(row)
    ends = [*begins[1:], rows]
    yield from zip(begins, ends, strict=False)


def _log_faults(group: h5py.Group) -> Iterator[str]:
    for index, line in enumerate(_lines(group), start=1):
        if line is None:
            yield f"line {index} of {HEADER_LOG} is no JSON"


def _lines(group: h5py.Group) -> Iterator[object]:
    """Yield the lines of the log of headers; None for one that cannot be read."""
    log = as_array(group.get(HEADER_LOG))
    for line in [] if log is None else log.tobytes().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            yield None
