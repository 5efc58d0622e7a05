"""A service to be killed, and a source that notes what it sent, and when."""

import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
import zmq

from benchmarks.clients import Connection, Refused
from benchmarks.processes import wait_until
from benchmarks.service import DATASET, free_port
from srx_service.messages import End, Image, Message, Start
from srx_service.protocols import stins

SHAPE = (32, 32)
FLUSH_INTERVAL_S = 0.5
SHARE_LEFT_OUT = 0.02


def pixels(frame: int) -> np.ndarray:
    """Return a frame; no two that follow one another are alike."""
    whole = np.arange(SHAPE[0] * SHAPE[1], dtype="<u4").reshape(SHAPE)
    return ((whole + 7 * frame) % 60_000).astype("<u2")


@dataclass
class Sent:
    """A series, and when each of its frames was given to the network."""

    path: Path
    times_s: list[float | None] = field(default_factory=list)
    """By frame, on the monotonic clock; None: it was left out."""
    is_complete: bool = False
    """True once its End was sent."""


class Source:
    """Sends until it is closed; one for each life of the service."""

    def __init__(self, port: int, folder: Path, life: int, seed: int) -> None:
        self.series: list[Sent] = []
        self._port, self._folder, self._life = port, folder, life
        self._random = random.Random(seed)
        self._is_over = threading.Event()
        self._number = 0
        self._thread = threading.Thread(target=self._run, name="source")
        self._thread.start()

    def close(self) -> None:
        """Stop sending; what is still in its queue is gone."""
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
            socket.linger, socket.sndhwm = 0, 10
            socket.bind(f"tcp://127.0.0.1:{self._port}")
            while not self._is_over.is_set():
                self._send_series(socket)

    def _send_series(self, socket: zmq.Socket[bytes]) -> None:
        name = f"life_{self._life}_{len(self.series)}.h5"
        sent = Sent(self._folder / name)
        count = self._random.choice((20, 200, 2000))
        rate = self._random.choice((100, 500, 1000))
        if not self._send(socket, Start(filename=str(sent.path))):
            return
        self.series.append(sent)
        next_s = time.monotonic()
        for frame in range(count):
            if frame and self._random.random() < SHARE_LEFT_OUT:
                sent.times_s.append(None)
                self._number += 1
                continue
            next_s = max(next_s + 1 / rate, time.monotonic())
            self._is_over.wait(next_s - time.monotonic())
            if not self._send(socket, _image(frame)):
                return
            sent.times_s.append(time.monotonic())
        sent.is_complete = self._send(socket, End())

    def _send(self, socket: zmq.Socket[bytes], message: Message) -> bool:
        while not socket.poll(20, zmq.POLLOUT):
            if self._is_over.is_set():
                return False
        socket.send_multipart(stins.encode(message, self._number))
        self._number += 1
        return not self._is_over.is_set()


def _image(frame: int) -> Image:
    blob = pixels(frame).tobytes()
    return Image(
        number=None,
        frame=frame,
        shape=SHAPE,
        dtype="uint16",
        encoding="none",
        blobs=(blob,),
    )


class Mortal:
    """The service, to be killed."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.source_port, self._api_port = free_port(), free_port()
        self._folder, self._log = folder, log
        self._connection = Connection(self._api_port)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, more: dict[str, Any]) -> None:
        """Begin its next life."""
        entry = {
            "class": "Detector",
            "dcu_host_purple": "127.0.0.1",
            "dcu_port_purple": self.source_port,
            "api_host": "127.0.0.1",
            "api_port": self._api_port,
            "data_port": 0,
            "dset_name": DATASET,
            "state_dir": str(self._folder / "state"),
            "flush_interval": FLUSH_INTERVAL_S,
            "gap_timeout": 0,
            **more,
        }
        config = self._folder / "kills.yaml"
        config.write_text(yaml.safe_dump({"kills": entry}))
        with self._log.open("ab") as log:
            words = [sys.executable, "-m", "srx_service", "run", str(config), "kills"]
            self._process = subprocess.Popen(words, stdout=log, stderr=log)

    def wait_until_ready(self) -> None:
        """Return once it can take data.

        Raises:
            RuntimeError: It never can; with the end of its log.
        """
        assert self._process is not None
        wait_until(self._is_ready, self._process, self._log)

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError, Refused):
            self._connection.get("/readyz")
            return True
        return False

    def told(self, limit: int = 200) -> dict[str, dict[str, Any]]:
        """Return what it tells of its acquisitions, by file."""
        answer = self._connection.get(f"/api/v1/acquisitions?limit={limit}")
        return {each["file"]: each for each in json.loads(answer)["acquisitions"]}

    def kill(self) -> float:
        """End it with SIGKILL; return when, by the monotonic clock."""
        assert self._process is not None
        killed_s = time.monotonic()
        self._process.kill()
        self._process.wait()
        self._connection.close()
        return killed_s
