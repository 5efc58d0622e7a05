"""Libraries that make the system fail, put before a program by LD_PRELOAD."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HANG = 0
"""Stands for an error number: the call does not return while the fault lasts."""


def build(folder: Path, name: str) -> Path:
    """Compile a library; skipped where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here")
    library = folder / f"{name}.so"
    source = HERE / f"{name}.c"
    command = [compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"]
    subprocess.run(command, check=True, timeout=100)
    return library


class Faults:
    """The disk below a folder, for programs that `faults.c` was put before.

    Args:
        gate: The file that tells them what fails; see there.
    """

    def __init__(self, gate: Path) -> None:
        self.gate = gate
        self._hit = gate.with_name(f"{gate.name}.hit")

    def begin(self, calls: str, number: int, after: int = 0, times: int = -1) -> None:
        """Let calls fail from now on: all at once, for whoever looks at the file."""
        self._hit.unlink(missing_ok=True)
        new = self.gate.with_suffix(".new")
        new.write_text(f"{calls} {number} {after} {times}\n")
        new.replace(self.gate)

    def end(self) -> None:
        """Let all calls work again."""
        self.gate.unlink(missing_ok=True)

    @property
    def was_hit(self) -> bool:
        """True where a call failed since the last `begin`."""
        return self._hit.exists()

    @property
    def free_bytes(self) -> int:
        """Bytes that the disk really has."""
        found = os.statvfs(self.gate.parent)
        return found.f_bavail * found.f_frsize
