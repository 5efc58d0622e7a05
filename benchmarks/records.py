"""What is kept of a measurement: what was found, when, where, and of which commit."""

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import zmq

from benchmarks.verdicts import Measured

HERE = Path(__file__).parent
RESULTS = HERE / "results"


def record(name: str, measured: Measured, *, table: int, repeat: int) -> dict[str, Any]:
    """Return what is kept of one row of one table."""
    return {
        "row": name,
        "table": table,
        "repeat": repeat,
        "figures": [figure.as_dict() for figure in measured.figures],
        "details": measured.details,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
    }


def append(path: Path, kept: dict[str, Any]) -> None:
    """Add a record to a file of them, one a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(kept, ensure_ascii=False) + "\n")


def read(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Yield the records of files, as they were kept."""
    for path in paths:
        yield from map(json.loads, path.read_text().splitlines())


def default_file() -> Path:
    """Return where today's records go."""
    today = datetime.datetime.now(datetime.UTC).date()
    return RESULTS / f"{today.isoformat()}.jsonl"


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "cpu": cpu_model(Path("/proc/cpuinfo").read_text()),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(
            os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        ),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "h5py": h5py.__version__,
        "hdf5": h5py.version.hdf5_version,
        "pyzmq": zmq.__version__,
        "libzmq": zmq.zmq_version(),
        "yardstick_hdf5": library_version("hdf5"),
        "yardstick_libzmq": library_version("libzmq"),
    }


def cpu_model(text: str) -> str:
    """Return the name in /proc/cpuinfo; where it has none, that of the platform."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def library_version(name: str) -> str:
    """Return the version of a library that the C programs use; empty: not known."""
    return _said(["pkg-config", "--modversion", name])


def commit() -> str:
    """Return the commit that is measured, "+" behind it where files have changed since.

    Empty outside a checkout. New records are no change.
    """
    found = _said(["git", "rev-parse", "--short", "HEAD"])
    words = ["git", "status", "--porcelain", "--untracked-files=no", "--", ":/"]
    changed = _said([*words, f":(exclude){RESULTS}"]) if found else ""
    return found + ("+" if changed else "")


def _said(words: list[str]) -> str:
    try:
        done = subprocess.run(
            words, cwd=HERE, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
