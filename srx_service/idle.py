"""Cores that nobody needs: views may take of them what the line will not miss."""

import os
import time
from collections.abc import Callable
from pathlib import Path

STAT = Path("/proc/stat")
QUOTA = Path("/sys/fs/cgroup/cpu.max")
LOOKS_APART_S = 0.5
IDLE_FIELD = 4
"""Of a line of a core in /proc/stat, see proc_stat(5)."""


class IdleCores:
    """How many cores are idle, of those that this process may use.

    Args:
        idle_s: Returns the seconds that they have been idle so far, all together.
        clock: In seconds.
    """

    def __init__(
        self,
        idle_s: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._idle_s = idle_s or machine_idle_s
        self._clock = clock
        self._before: tuple[float, float] | None = None
        self._cores = 0.0

    def __call__(self) -> float:
        """Return how many, on average since the look before; 0 at first."""
        now_s = self._clock()
        if self._before is None:
            self._before = now_s, self._idle_s()
            return 0.0
        elapsed_s = now_s - self._before[0]
        if elapsed_s >= LOOKS_APART_S:
            idle_s = self._idle_s()
            self._cores = max(0.0, idle_s - self._before[1]) / elapsed_s
            self._before = now_s, idle_s
        return self._cores


def machine_idle_s(stat: Path = STAT, quota: Path = QUOTA) -> float:
    """Return the seconds that this process's cores have been idle so far.

    They stand still where that cannot be known, or a container has a quota: an idle
    core of the machine is then none of its own.
    """
    try:
        lines = stat.read_text().splitlines()
        is_bound = quota.exists() and not quota.read_text().startswith("max")
    except OSError:
        return 0.0
    if is_bound:
        return 0.0
    ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    fields = (line.split() for line in lines if line.startswith("cpu"))
    ticks = sum(int(words[IDLE_FIELD]) for words in fields if words[0] in ours)
    return ticks / os.sysconf("SC_CLK_TCK")
