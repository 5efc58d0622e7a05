"""All that is measured, by name: the rows of the table."""

import functools
from collections.abc import Callable

from benchmarks import http_load, idle, long_run
from benchmarks.comparison import compare
from benchmarks.rows import BLOBS, ROWS, SMALL
from benchmarks.runs import Effort, Place
from benchmarks.verdicts import Measured

Measure = Callable[[Place, Effort], Measured]

WORKS: dict[str, Measure] = {
    **{row.name: functools.partial(compare, row) for row in ROWS},
    long_run.NAME: long_run.measure,
    idle.NAME: idle.measure,
    "HTTP, 50x50 at full rate": functools.partial(http_load.measure, SMALL),
    "HTTP, 368 kB at full rate": functools.partial(http_load.measure, BLOBS),
}


class UnknownRow(Exception):
    """A row that is asked for and not there."""


def named(parts: list[str]) -> dict[str, Measure]:
    """Return those whose name contains one of these; all where there is none.

    Raises:
        UnknownRow: One of them is in no name.
    """
    for part in parts:
        if not any(part in name for name in WORKS):
            text = "".join(f"\n  {name}" for name in WORKS)
            raise UnknownRow(f"no row has {part!r} in its name, there are:{text}")
    if not parts:
        return dict(WORKS)
    return {n: do for n, do in WORKS.items() if any(part in n for part in parts)}
