"""Two that take turns at the same work: the best of one over the best of the other."""

import contextlib
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.rows import Row
from benchmarks.runs import Effort, Place, Run, side_of
from benchmarks.verdicts import Figure, Measured, ratio

YARDSTICK = "yardstick"


def compare(row: Row, place: Place, effort: Effort) -> Measured:
    """Return the ratio of a row, and the service's peak memory."""
    row = effort.of(row)
    ours, theirs = turns(row, place, effort)
    found = ratio((r.frames_per_s for r in ours), (r.frames_per_s for r in theirs))
    peak_mib = max(run.peak_mib for run in ours)
    figures = (
        Figure("ratio", found, least=row.least),
        Figure("peak MiB", peak_mib, most=row.most_mib),
    )
    details = {"against": row.against.name if row.against else YARDSTICK}
    return Measured(
        figures, details | {"service": told(ours), details["against"]: told(theirs)}
    )


def turns(row: Row, place: Place, effort: Effort) -> tuple[list[Run], list[Run]]:
    """Return the runs of the service, and of what it is compared with."""
    ours: list[Run] = []
    theirs: list[Run] = []
    with contextlib.ExitStack() as stack:
        other = side_of(row.against or row, place, is_yardstick=row.against is None)
        stack.callback(other.close)
        service = side_of(row, place)
        stack.callback(service.close)
        for _ in range(effort.repeat):
            theirs.append(other.run(effort.least_s))
            ours.append(service.run(effort.least_s))
    return ours, theirs


def told(runs: Sequence[Run]) -> dict[str, Any]:
    """Return what is kept of the runs of one side."""
    rates = [run.frames_per_s for run in runs]
    best = max(runs, key=lambda run: run.frames_per_s)
    notes = {key: [run.notes.get(key, 0) for run in runs] for key in best.notes}
    return {
        "fps": [round(rate, 1) for rate in rates],
        "median_fps": round(statistics.median(rates), 1),
        "frames": [run.frames for run in runs],
        "seconds": [round(run.seconds, 2) for run in runs],
        "cpu_us": round(best.cpu_us, 2),
        "peak_mib": round(max(run.peak_mib for run in runs), 1),
        **notes,
    }
