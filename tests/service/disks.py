"""A disk that has as much room as the test says, and as many mounts."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from srx_service import mounts

BLOCK = 512
MIB = 1 << 20


class Disk:
    """Stands for statvfs(2) and for what is mounted where."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.free_bytes = 100 * MIB
        self.blocks = 1 << 30
        self.mounted = [Path("/")]
        self.error: OSError | None = None
        self.asked: list[Path] = []
        self._exists = os.statvfs
        patch.setattr(os, "statvfs", self._statvfs)
        patch.setattr(mounts, "_mount_of", self._mount_of)

    def _statvfs(self, path: Path) -> SimpleNamespace:
        self._exists(path)
        if self.error is not None:
            raise self.error
        self.asked.append(path)
        free = self.free_bytes // BLOCK
        return SimpleNamespace(f_blocks=self.blocks, f_bavail=free, f_frsize=BLOCK)

    def _mount_of(self, folder: Path) -> Path:
        above = [path for path in self.mounted if folder.is_relative_to(path)]
        return max(above, key=lambda path: len(path.parts))
