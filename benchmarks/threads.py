"""`python -m benchmarks.threads`: where the time of a frame goes, by thread.

CPU of each thread of the service while a series is written as fast as it is taken, in
the interpreter and libraries (user) and in the kernel (system). The best of several
series: noise only adds.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import senders
from benchmarks.rows import ROWS, Row
from benchmarks.service import WARM_UP, Service

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
LEAST_US = 0.05
"""Threads that take less of a frame are left out."""


class Times(NamedTuple):
    """CPU time."""

    user_us: float
    system_us: float


def main(words: Sequence[str] | None = None) -> None:
    """Print a table for each row asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.threads")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--frames", type=int, help="in a series, not as many as usual")
    parser.add_argument("--repeat", type=int, default=6)
    parser.add_argument("--target", type=Path, default=Path("/dev/shm"))
    options = parser.parse_args(words)
    for row in ROWS:
        if options.only not in row.name:
            continue
        frames = options.frames or row.frames
        with tempfile.TemporaryDirectory(dir=options.target) as folder:
            rate, found = measure(row, frames, options.repeat, Path(folder))
        print(f"{row.name}: {rate:,.0f} frames/s")
        for name, times in sorted(found.items(), key=lambda each: -sum(each[1])):
            if sum(times) >= LEAST_US:
                user, system = times
                print(f"  {name:16} {user:8.1f} + {system:.1f} µs a frame")


def measure(
    row: Row, frames: int, repeat: int, folder: Path
) -> tuple[float, dict[str, Times]]:
    """Return the rate of the fastest series, and what each thread took of a frame."""
    senders.build(folder)
    image, file = senders.payload(row, folder), folder / "threads.h5"
    wanted = file if row.is_written else None
    best_s, best = float("inf"), dict[str, Times]()
    with Service(row, folder, image) as service:
        service.series(WARM_UP, wanted)
        for _ in range(repeat):
            file.unlink(missing_ok=True)
            before = used(service.process.pid)
            lasted_s = service.series(frames, wanted)
            after = used(service.process.pid)
            if lasted_s < best_s:
                best_s = lasted_s
                best = {name: taken(before, after, name, frames) for name in after}
    return frames / best_s, best


def taken(
    before: dict[str, Times], after: dict[str, Times], name: str, frames: int
) -> Times:
    """Return what a thread took of one frame."""
    since = before.get(name, Times(0.0, 0.0))
    user_us, system_us = (b - a for a, b in zip(since, after[name], strict=True))
    return Times(user_us / frames, system_us / frames)


def used(pid: int) -> dict[str, Times]:
    """Return the CPU time of a process's threads so far, those of a name together."""
    found: dict[str, Times] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        head, _, tail = (task / "stat").read_text().rpartition(")")
        user, system = (1e6 * int(ticks) / TICKS_PER_S for ticks in tail.split()[11:13])
        name = head.partition("(")[2]
        old = found.get(name, Times(0.0, 0.0))
        found[name] = Times(old.user_us + user, old.system_us + system)
    return found


if __name__ == "__main__":
    main()
