"""Those who use the service while it is measured: live processing, and a viewer."""

import contextlib
import http.client
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PULL = Path(__file__).with_name("pull.py")
PATIENCE_S = 60.0
VIEWED_EVERY_S = 0.1
PICTURE = "/api/v1/frame/latest.jpg"


class Client:
    """Live processing on the secondary port: a process that takes every image."""

    def __init__(self, port: int) -> None:
        self.images = 0
        """Those it has told of."""
        self._told: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, PULL, str(port)], stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, name="client", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._told.put(int(line))
        self._told.put(None)

    def wait_until_connected(self) -> None:
        """Return once the service, or the yardstick, knows it."""
        self.wait_for(0)

    def wait_for(self, images: int) -> int:
        """Return how many it has got, once they are so many.

        Raises:
            RuntimeError: They never were.
        """
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                told = self._told.get(timeout=max(0.0, deadline_s - time.monotonic()))
            except queue.Empty:
                told = None
            if told is None:
                raise RuntimeError(f"the client got {self.images} of {images} images")
            self.images = told
            if told >= images:
                return told

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._reader.join()
        self._process.communicate()


class Connection:
    """To the HTTP interface, kept open as clients do."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)

    def get(self, path: str) -> bytes:
        """Return what is answered.

        Raises:
            Refused: It is a refusal.
        """
        try:
            try:
                answer = self._ask(path)
            except (http.client.RemoteDisconnected, ConnectionResetError):
                self._http.close()  # the service lets go of those that are idle
                answer = self._ask(path)
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._http.close()  # the next request opens it again
            raise
        if answer.status != 200:
            raise Refused(f"GET {path}: {answer.status} {content.decode()}")
        return content

    def _ask(self, path: str) -> http.client.HTTPResponse:
        self._http.request("GET", path)
        return self._http.getresponse()

    def close(self) -> None:
        """Close it."""
        self._http.close()


class Refused(Exception):
    """An answer that is not 200."""


class Asker:
    """A thread that does something again and again, until it is closed."""

    def __init__(self, do: Callable[[], object], every_s: float) -> None:
        self._is_over = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        self._asking = self._thread.submit(self._run, do, every_s)

    def _run(self, do: Callable[[], object], every_s: float) -> None:
        next_s = time.monotonic()
        while not self._is_over.wait(next_s - time.monotonic()):
            do()
            # by the clock, so that it is as often however long each takes
            next_s = max(next_s + every_s, time.monotonic())

    def close(self) -> None:
        """End it; raises what has ended it before."""
        self._is_over.set()
        self._thread.shutdown()
        self._asking.result()


class Viewer:
    """Somebody who looks at the last frame ten times a second, until it is closed."""

    def __init__(self, port: int) -> None:
        self.pictures = 0
        """Those it has got."""
        self._connection = Connection(port)
        self._asker = Asker(self._look, VIEWED_EVERY_S)

    def _look(self) -> None:
        with contextlib.suppress(Refused):  # no frame has come yet
            self.pictures += len(self._connection.get(PICTURE)) > 0

    def close(self) -> None:
        """Look no more."""
        self._asker.close()
        self._connection.close()
