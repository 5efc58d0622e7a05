"""Services and simulators that start in a moment: forked from one that is there."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.blocks import ROOT

READ_AT_START = ("LD_", "PYTHON")
"""Variables of the environment that a process cannot take on later begin so."""


class Forked:
    """A process that was forked, to be used as a `subprocess.Popen`."""

    def __init__(self, pid: int, folder: Path, log: Path) -> None:
        self.pid, self.log = pid, log
        self._exit = folder / f"{pid}.exit"

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        with contextlib.suppress(FileNotFoundError):
            return int(self._exit.read_text())
        return None

    def wait_for(self, timeout_s: float) -> int | None:
        """Return the exit code; None where it runs that long."""
        deadline_s = time.monotonic() + timeout_s
        while (code := self.poll()) is None and time.monotonic() < deadline_s:
            time.sleep(0.005)
        return code

    def wait(self, timeout: float = 100.0) -> int:
        """Return the exit code, once it has ended."""
        code = self.wait_for(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("a forked service", timeout)
        return code

    def send_signal(self, number: int) -> None:
        """As Popen's: a process that has ended gets none."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """A process that has imported the service, of which others are forked.

    To import it takes more than a second of a core, to fork it some hundredths.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read_at_start = _read_at_start()
        self._lock = threading.Lock()
        """Programs are started by several threads."""
        self._mother = subprocess.Popen(
            [sys.executable, "-m", "tests.system.forking", str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def can_start(self, words: Sequence[str]) -> bool:
        """True for `srx_service` and its words, in an environment as at our start."""
        return words[0] == "srx_service" and self._read_at_start == _read_at_start()

    def start(
        self,
        words: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        *,
        is_mortal: bool,
    ) -> Forked:
        """Fork it.

        Args:
            words: Those of `srx`, after the module's name.
            log: Gets what it prints.
            environment: Added to ours.
            is_mortal: Its threads can be let die, see `dying`.
        """
        order = {
            "words": words[1:],
            "log": str(log),
            "folder": os.getcwd(),  # noqa: PTH109 - a text is sent
            "environment": os.environ | environment,
            "is_mortal": is_mortal,
        }
        log.touch()
        assert self._mother.stdin is not None
        assert self._mother.stdout is not None
        with self._lock:
            self._mother.stdin.write(json.dumps(order) + "\n")
            self._mother.stdin.flush()
            pid = int(self._mother.stdout.readline())
        return Forked(pid, self._folder, log)

    def close(self) -> None:
        """End it; what was forked goes on."""
        with self._mother as mother:
            assert mother.stdin is not None
            mother.stdin.close()
            mother.wait(100.0)


def _read_at_start() -> Mapping[str, str]:
    return {k: v for k, v in os.environ.items() if k.startswith(READ_AT_START)}
