"""A file is repaired in a process of its own: HDF5 may end the one that reads it.

A file that a disk or a person has damaged can make HDF5 divide by zero, or read for
ever. The service that finds such a file at its start must start all the same.
"""

import contextlib
import dataclasses
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from srx_service.errors import WriteError
from srx_service.repair import Report, Unrepairable, repair

PATIENCE_S = 600.0
"""To look at a chunk takes some microseconds, and a file may have many millions."""


class _Answer(msgspec.Struct):
    found: dict[str, Any] | None = None
    """Of the report; None: there is none."""
    error: str = ""
    is_final: bool = False
    """True: it can never be repaired."""


def repair_apart(path: Path, patience_s: float = PATIENCE_S) -> Report:
    """Do as `repair.repair`, whatever HDF5 does.

    Args:
        path: Of the file.
        patience_s: Given to it.

    Raises:
        Unrepairable: As `repair` does; or HDF5 ends its process, or comes to no end.
        WriteError: As `repair` does.
    """
    command = [sys.executable, "-m", "srx_service.apart", str(path)]
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, timeout=patience_s, check=False
        )
    except subprocess.TimeoutExpired:
        text = f"damaged: reading it has come to no end within {patience_s:.0f} s"
        raise Unrepairable(f"{path}: {text}") from None
    if done.returncode:
        text = (
            f"damaged: HDF5 ends the process that reads it ({_told(done.returncode)})"
        )
        raise Unrepairable(f"{path}: {text}")
    answer = msgspec.json.decode(done.stdout, type=_Answer)
    if answer.found is None:
        raise (Unrepairable if answer.is_final else WriteError)(answer.error)
    return Report(path, **answer.found)


def _told(code: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"exit code {code}"


def main() -> None:
    """Repair the file named, and tell the process that asked for it."""
    try:
        found = dataclasses.asdict(repair(Path(sys.argv[1])))
        del found["path"]
        answer = _Answer(found)
    except WriteError as error:
        answer = _Answer(error=str(error), is_final=isinstance(error, Unrepairable))
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
