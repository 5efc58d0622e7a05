"""Child processes of the demo: started, waited for, and never left behind."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

PATIENCE_S = 60.0
"""To start: Tiled imports a good deal."""
GRACE_S = 10.0


class ProcessError(RuntimeError):
    """A process did not start, or ended too early; the text holds its last words."""


class Process:
    """A child in a session of its own, so that Ctrl-C reaches us and not it.

    Args:
        what: Its name, for messages.
        command: Program and arguments.
        log: Where its output goes; the first line may be read by `ready_line`.
    """

    def __init__(self, what: str, command: Sequence[str], log: Path) -> None:
        self.what = what
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def wait_for(self, is_there: Callable[[], bool]) -> None:
        """Wait until it is there.

        Raises:
            ProcessError: The process ended, or it took too long.
        """
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_there():
            code = self._process.poll()
            if code is not None or time.monotonic() > deadline_s:
                how = f"ended with {code}" if code is not None else "does not answer"
                words = self._log.read_text(errors="replace")[-2000:]
                raise ProcessError(f"{self.what} {how}; it said:\n{words}")
            time.sleep(0.05)

    def wait_for_url(self, url: str) -> None:
        """Wait until a GET of the URL is answered with success."""
        self.wait_for(lambda: _answers(url))

    def ready_line(self) -> dict[str, Any]:
        """Wait for the line of JSON that a simulator prints, and return it."""
        self.wait_for(lambda: self._json_line() is not None)
        return self._json_line() or {}

    def _json_line(self) -> dict[str, Any] | None:
        for line in self._log.read_text(errors="replace").splitlines():
            if line.startswith("{") and line.endswith("}"):
                return json.loads(line)
        return None

    def close(self) -> None:
        """End it: asked first, then made to, with all it started itself."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def running(what: str, command: Sequence[str], log: Path) -> Iterator[Process]:
    """Run a process for as long as the block lasts."""
    process = Process(what, command, log)
    try:
        yield process
    finally:
        process.close()


def python_module(*words: str) -> list[str]:
    """Return the command that runs a module with this very Python."""
    return [sys.executable, "-m", *words]


def free_port() -> int:
    """Return a port of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0).is_success
    except httpx.HTTPError:
        return False
