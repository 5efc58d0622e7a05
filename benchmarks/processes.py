"""A service's process, looked at from outside."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE_S = 120.0
POLLED_EVERY_S = 0.01
TOLD = 4000
"""Characters of its log that are told, at most."""


def wait_until(
    is_there: Callable[[], bool], process: "subprocess.Popen[Any]", log: Path
) -> None:
    """Wait until something is so.

    Args:
        is_there: Asked again and again.
        process: That has to live meanwhile.
        log: What it prints.

    Raises:
        RuntimeError: It never was; with the end of the log.
    """
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_there():
        if time.monotonic() > deadline_s or process.poll() is not None:
            raise RuntimeError(log.read_text(errors="replace")[-TOLD:])
        time.sleep(POLLED_EVERY_S)


def memory_mib(pid: int, field: str) -> float:
    """Return what a process holds (VmRSS), or the most it ever held (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    return 0.0
