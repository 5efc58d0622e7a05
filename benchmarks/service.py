"""The whole service as it is measured: a process, its sender, and what it shows."""

import contextlib
import ctypes
import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import yaml

from benchmarks.clients import Client, Connection, Refused
from benchmarks.processes import PATIENCE_S, memory_mib, wait_until
from benchmarks.rows import BUFFER_LIMIT, FORWARD_LIMIT, Row
from benchmarks.senders import SENDERS

NEVER = 2**50
"""Rows that no acquisition has: whoever waits for them waits for its end."""
DATASET = "/entry/instrument/bench/data"
WARM_UP = 50
"""Frames of a first series, with which everything is loaded and made."""
_LIBC = ctypes.CDLL(None, use_errno=True)


class Forwarded(NamedTuple):
    """What became of images at the secondary port."""

    sent: int
    dropped: int

    @property
    def images(self) -> int:
        """All of them."""
        return self.sent + self.dropped


class Service:
    """A running service, the sender it is connected to, and its client.

    Args:
        row: What it is to do.
        folder: Holds the compiled senders; configuration and log are put there, too.
        image: What is sent.
        module: That runs the service.
    """

    def __init__(
        self, row: Row, folder: Path, image: Path, module: str = "srx_service"
    ) -> None:
        self.row = row
        self.api_port = free_port()
        self.client: Client | None = None
        source, forward = free_port(), free_port()
        entry = {
            "class": row.stream,
            "dcu_host_purple": "127.0.0.1",
            "dcu_port_purple": source,
            "api_host": "127.0.0.1",
            "api_port": self.api_port,
            "data_port": forward,
            "dset_name": DATASET,
            "buffer_limit": BUFFER_LIMIT,
            "forward_limit": FORWARD_LIMIT,
            "state_dir": str(folder / f"state_{self.api_port}"),
            **row.config,
        }
        config = folder / f"detectors_{self.api_port}.yaml"
        config.write_text(yaml.safe_dump({"bench": entry}))
        self._log = (folder / f"log_{self.api_port}").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, "run", str(config), "bench"],
            stdout=self._log,
            stderr=self._log,
        )
        self.sender = SENDERS[row.stream](row, folder, source, image)
        self._clock = cpu_clock(self.process.pid)
        self._connection = Connection(self.api_port)
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            self.wait(self._is_ready)
            if row.has_client:
                self.client = Client(forward)
                self.client.wait_until_connected()
                self.wait(lambda: self.status()["clients"] == 1)
            stack.pop_all()

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError, Refused):
            return self.get("/readyz")["ready"]
        return False

    def get(self, path: str) -> dict[str, Any]:
        """Return what it answers."""
        return json.loads(self._connection.get(path))

    def status(self) -> dict[str, Any]:
        """Return its state, and the counters of the line."""
        return self.get("/status")

    def wait(self, is_there: Callable[[], bool]) -> None:
        """Wait until something is so.

        Raises:
            RuntimeError: It never was; with the end of the service's log.
        """
        wait_until(is_there, self.process, Path(self._log.name))

    def series(self, frames: int, file: Path | None) -> float:
        """Send a series and wait until its file is closed; return the seconds."""
        begun_s = time.monotonic()
        self.finish(self.begin(frames, file))
        return time.monotonic() - begun_s

    def begin(self, frames: int, file: Path | None) -> str:
        """Begin to send a series; return the id of its acquisition."""
        before = self._acquisitions()
        self.sender.push(frames, str(file or ""))
        self.wait(lambda: self._acquisitions()[:1] != before[:1])
        return self._acquisitions()[0]

    def _acquisitions(self) -> list[str]:
        # not from /status, whose next answer would have to wait for its turn
        told = self.get("/api/v1/acquisitions")
        return [acquisition["id"] for acquisition in told["acquisitions"]]

    def finish(self, acquisition: str) -> dict[str, Any]:
        """Wait until an acquisition is over; return what is told of it.

        Raises:
            RuntimeError: It failed, or takes too long.
        """
        path = f"/api/v1/acquisitions/{acquisition}?wait_frames={NEVER}&timeout=60"
        deadline_s = time.monotonic() + PATIENCE_S
        told = self.get(path)
        while told["state"] not in ("done", "failed", "aborted"):
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"not over after {PATIENCE_S:g} s: {told}")
            told = self.get(path)
        if told["state"] != "done":
            raise RuntimeError(told["error"])
        return told

    def forwarded(self) -> Forwarded:
        """Return what has become of images at the secondary port so far."""
        told = self.status()
        return Forwarded(told["forwarded"], told["dropped_for_slow_client"])

    def cpu_s(self) -> float:
        """Return the seconds of both kinds it has used so far, to the microsecond."""
        return time.clock_gettime(self._clock)

    def memory_mib(self, field: str = "VmHWM") -> float:
        """Return what it holds (VmRSS), or the most it ever held."""
        return memory_mib(self.process.pid, field)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, its sender and its client."""
        self.sender.close()
        self._connection.close()
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.client is not None:
            self.client.close()
        self._log.close()


def free_port() -> int:
    """Return a port that is free, below those that outgoing connections take."""
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port


def cpu_clock(pid: int) -> int:
    """Return the clock of a process's CPU time, see clock_getcpuclockid(3).

    Raises:
        OSError: There is no such process.
    """
    clock = ctypes.c_int()
    number = _LIBC.clock_getcpuclockid(pid, ctypes.byref(clock))
    if number:
        raise OSError(number, f"no CPU clock of process {pid}")
    return clock.value
