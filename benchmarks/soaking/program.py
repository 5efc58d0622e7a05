"""The service as the soak runs it: a process, looked at from outside."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks.processes import memory_mib, wait_until
from benchmarks.service import free_port
from srx_ophyd.client import Acquisition, ServiceClient, ServiceError

DATASET = "/entry/instrument/soak/data"
GAP_TIMEOUT_S = 20.0
"""Nothing waits for it: on one connection an end, or the next series' end, is final."""
COMPLAINTS = ("Traceback", "does not add up", "decoder fault")
"""What must not stand in its log, whatever is done to it."""


class Held(NamedTuple):
    """What a process holds."""

    at_s: float
    """Since the soak began."""
    memory_mib: float
    files: int
    """Open file descriptors: sockets too."""
    threads: int


class Program:
    """A running service.

    Args:
        folder: Holds its configuration, its log and what it writes.
    """

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.data.mkdir()
        self.source_port, self.api_port = free_port(), free_port()
        self.forward_port = free_port()
        entry = {
            "class": "Detector",
            "dcu_host_purple": "127.0.0.1",
            "dcu_port_purple": self.source_port,
            "api_host": "127.0.0.1",
            "api_port": self.api_port,
            "data_port": self.forward_port,
            "dset_name": DATASET,
            "gap_timeout": GAP_TIMEOUT_S,
            "frames_per_chunk": "auto",
            "checksum": True,
            "write_root": str(self.data),
            "state_dir": str(folder / "state"),
            "buffer_limit": "64 MiB",
            "forward_limit": "32 MiB",
        }
        config = folder / "detectors.yaml"
        config.write_text(yaml.safe_dump({"soak": entry}))
        self.log = folder / "log"
        self.begun_s = time.monotonic()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "srx_service", "run", str(config), "soak"],
                stdout=log,
                stderr=log,
            )
        self.client = ServiceClient(f"http://127.0.0.1:{self.api_port}", 30.0)
        self.wait(self._is_ready)

    def _is_ready(self) -> bool:
        try:
            self.client.check_ready()
        except ServiceError:
            return False
        return True

    def wait(self, is_there: Callable[[], bool]) -> None:
        """Wait until something is so.

        Raises:
            RuntimeError: It never was; with the end of the service's log.
        """
        wait_until(is_there, self.process, self.log)

    def status(self) -> dict[str, Any]:
        """Return its state, and the counters of the line."""
        return self.client.status()

    def acquisitions(self, count: int) -> list[Acquisition]:
        """Return the newest so many, as they were made."""
        return self.client.acquisitions()[:count][::-1]

    def held(self) -> Held:
        """Return what it holds now."""
        proc = Path(f"/proc/{self.process.pid}")
        return Held(
            at_s=round(time.monotonic() - self.begun_s, 2),
            memory_mib=round(memory_mib(self.process.pid, "VmRSS"), 2),
            files=len(list((proc / "fd").iterdir())),
            threads=len(list((proc / "task").iterdir())),
        )

    def complaints(self) -> list[str]:
        """Return the lines of its log that must not be there."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if any(map(line.__contains__, COMPLAINTS))]

    def close(self) -> int:
        """End it as a supervisor does; return its exit code."""
        self.client.close()
        self.process.terminate()
        try:
            return self.process.wait(30.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
