"""`python -m benchmarks.costs`: what each promise costs, in CPU of the service a frame.

The same series go to services that differ in one thing: checksums on or off, journal
and free-space guard there or not. They take turns, so that a machine that is slow for a
while is slow for all. The best run of one is compared with the best of the other: noise
only adds. The middle of the ratios, each of two runs of one turn, stands beside it.
"""

import argparse
import contextlib
import dataclasses
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import records, senders
from benchmarks.long_run import timed
from benchmarks.rows import BLOBS, ROWS, SMALL, Row
from benchmarks.service import WARM_UP, Service
from benchmarks.verdicts import Figure, Measured


class Way(NamedTuple):
    """One way to run the service."""

    name: str
    config: dict[str, object]
    module: str = "srx_service"


BARE = Way("without journal and limits", {"keep_free": None}, "benchmarks.bare")
USUAL = Way("as usual", {})
SUMMED = Way("with checksums", {"checksum": True})
COMPARED = ((USUAL, BARE, 1.03), (SUMMED, USUAL, 1.10))
"""What is compared with what, and the most that it may cost."""
FRAMES = {50: 150_000, 512: 6_000, 1065: 8_000, 2000: 200}
"""In a run, by the lines of a frame."""


def main(words: Sequence[str] | None = None) -> int:
    """Print a line for each row and promise; 1 where one costs more than it may."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costs")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--frames", type=int, help="in a run, not as many as usual")
    parser.add_argument("--repeat", type=int, default=10, help="runs of each way")
    parser.add_argument("--target", type=Path, default=Path("/dev/shm"))
    parser.add_argument("--save", type=Path, help="add what was found to this file")
    options = parser.parse_args(words)
    is_met = True
    for row in rows():
        if options.only not in row.name:
            continue
        frames = options.frames or FRAMES[row.shape[0]]
        with tempfile.TemporaryDirectory(dir=options.target) as folder:
            measured = measure(row, frames, options.repeat, Path(folder))
        for figure in measured.figures:
            print(f"{row.name}: {figure.name} {figure.value:.3f} (≤ {figure.most})")
            print(f"  {figure.beside}", flush=True)
            is_met &= figure.is_met
        if options.save is not None:
            kept = records.record(row.name, measured, table=1, repeat=options.repeat)
            records.append(options.save, kept)
    return 0 if is_met else 1


def rows() -> list[Row]:
    """Return the kinds of work: what is written, of each size of frame."""
    large = next(row for row in ROWS if row.shape[0] == 2000)
    middle = next(row for row in ROWS if row.shape[0] == 512)
    single = dataclasses.replace(SMALL, name="50x50, one frame a chunk", config={})
    return [SMALL, single, middle, BLOBS, large]


def measure(row: Row, frames: int, repeat: int, folder: Path) -> Measured:
    """Return what each promise costs, as a ratio."""
    senders.build(folder)
    image = senders.payload(row, folder)
    ways = (BARE, USUAL, SUMMED)
    cpu_us: dict[str, list[float]] = {way.name: [] for way in ways}
    with contextlib.ExitStack() as stack:
        services = {
            way.name: stack.enter_context(
                Service(
                    dataclasses.replace(row, config={**row.config, **way.config}),
                    folder,
                    image,
                    module=way.module,
                )
            )
            for way in ways
        }
        for service in services.values():
            timed(service, WARM_UP, 1, folder / "warm.h5", image)
        for turn in range(repeat):
            order = [*services.items()]
            # there and back: who comes first has it neither better nor worse
            for name, service in order if turn % 2 else reversed(order):
                spent_us = timed(service, frames, 1, folder / "cost.h5", image)
                cpu_us[name].append(spent_us)
    return Measured(tuple(figures(cpu_us)), {"cpu_us": cpu_us, "frames": frames})


def figures(cpu_us: dict[str, list[float]]) -> list[Figure]:
    """Return the cost of one way over that of the other."""
    found = []
    for dear, cheap, most in COMPARED:
        pairs = zip(cpu_us[dear.name], cpu_us[cheap.name], strict=True)
        ratios = sorted(more / less for more, less in pairs)
        ours, theirs = min(cpu_us[dear.name]), min(cpu_us[cheap.name])
        text = (
            f"{ours:.2f} CPU µs a frame, {cheap.name} {theirs:.2f}; of each turn "
            f"{ratios[0]:.3f} to {ratios[-1]:.3f}, {statistics.median(ratios):.3f} in "
            "the middle"
        )
        name = f"cost {dear.name}"
        found.append(Figure(name, ours / theirs, most=most, beside=text))
    return found


if __name__ == "__main__":
    sys.exit(main())
