"""One run of the yardstick, and of the whole service, under the same sender."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import yaml

from benchmarks.rows import Row
from srx_service.codecs import bslz4

HERE = Path(__file__).parent
BUFFER_LIMIT = 256 << 20
PATIENCE_S = 120.0
POLLED_EVERY_S = 0.03
"""Each look takes some of the two cores from what is measured."""


class Result(NamedTuple):
    """What one run showed."""

    frames_per_s: float
    cpu_s: float
    """Of the receiver; the sender's is not in it."""
    peak_mib: float = 0.0


def build(folder: Path) -> None:
    """Compile sender and yardstick; needs libzmq3-dev and libhdf5-dev."""
    hdf5 = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "hdf5"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    for name, flags in (("blast", []), ("yardstick", hdf5)):
        source = str(HERE / f"{name}.c")
        command = ["cc", "-O2", "-o", str(folder / name), source, *flags, "-lzmq"]
        subprocess.run(command, check=True)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def payload(row: Row, folder: Path) -> Path:
    """Write the bytes of one image: noise, of the size asked for when compressed."""
    path = folder / "payload"
    rng = np.random.default_rng(1)
    if row.payload_bytes is None:
        path.write_bytes(rng.poisson(1.0, row.shape).astype(row.dtype).tobytes())
        return path
    low, high = 0, 1 << 24
    while high - low > 1:  # the wider the noise, the larger the compressed image
        middle = (low + high) // 2
        blob = bslz4.compress(rng.integers(0, middle, row.shape, row.dtype))
        low, high = (middle, high) if len(blob) < row.payload_bytes else (low, middle)
    path.write_bytes(bslz4.compress(rng.integers(0, max(1, low), row.shape, row.dtype)))
    return path


class Sender:
    """The load generator: one process, a series for each call."""

    def __init__(self, folder: Path, port: int) -> None:
        self._process = subprocess.Popen(
            [str(folder / "blast"), str(port), "500"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def push(
        self, row: Row, frames: int, image: Path, name: str, compression: str = ""
    ) -> None:
        """Begin to send a series."""
        compression = compression or ("none" if row.payload_bytes is None else "bslz4")
        rows, columns = row.shape
        words = [frames, rows, columns, row.dtype, compression, image, name or "-"]
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End it, whatever it still holds."""
        self._process.kill()
        self._process.communicate()


def run_yardstick(row: Row, folder: Path, target: Path) -> Result:
    """Run the receiver in C once."""
    port, itemsize = free_port(), np.dtype(row.dtype).itemsize
    file = target / "yardstick.h5"
    words = [folder / "yardstick", port, *row.shape, itemsize, row.frames]
    words += [file if row.is_written else "-", int(row.payload_bytes is not None)]
    image = payload(row, folder)
    receiver = subprocess.Popen(
        [str(word) for word in words], stdout=subprocess.PIPE, text=True
    )
    sender = Sender(folder, port)
    try:
        sender.push(row, row.frames, image, "")
        output, _ = receiver.communicate(timeout=PATIENCE_S)
    finally:
        receiver.kill()
        sender.close()
        file.unlink(missing_ok=True)
    told = json.loads(output)
    return Result(told["frames"] / told["total_s"], told["cpu_s"])


class Service:
    """A running service, and the sender it is connected to."""

    def __init__(self, row: Row, folder: Path) -> None:
        source, self._api = free_port(), free_port()
        entry = {
            "class": "Detector",
            "dcu_host_purple": "127.0.0.1",
            "dcu_port_purple": source,
            "api_port": self._api,
            "data_port": 0,
            "dset_name": "/entry/instrument/bench/data",
            "buffer_limit": BUFFER_LIMIT,
            "state_dir": str(folder / "state"),
            **row.config,
        }
        config = folder / "detectors.yaml"
        config.write_text(yaml.safe_dump({"bench": entry}))
        self._log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "srx_service", "run", str(config), "bench"],
            stdout=self._log,
            stderr=self._log,
        )
        self.sender = Sender(folder, source)
        self._wait(lambda: self._get("/readyz") is not None)

    def _get(self, path: str) -> dict[str, Any] | None:
        try:
            url = f"http://127.0.0.1:{self._api}{path}"
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.loads(answer.read())
        except OSError:
            return None

    def _wait(self, is_there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not is_there():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(Path(self._log.name).read_text()[-2000:])
            time.sleep(POLLED_EVERY_S)

    def series(
        self,
        row: Row,
        frames: int,
        image: Path,
        file: Path | None,
        compression: str = "",
    ) -> float:
        """Send a series and wait until its file is closed; return the seconds."""
        before = len(self._acquisitions())
        begun = time.monotonic()
        self.sender.push(row, frames, image, str(file or ""), compression)
        self._wait(lambda: self._is_done(before))
        return time.monotonic() - begun

    def _acquisitions(self) -> list[dict[str, Any]]:
        told = self._get("/api/v1/acquisitions")
        return told["acquisitions"] if told else []

    def _is_done(self, before: int) -> bool:
        listed = self._acquisitions()
        if len(listed) <= before:
            return False
        if listed[0]["state"] == "failed":
            raise RuntimeError(listed[0]["error"])
        return listed[0]["state"] == "done"

    def cpu_s(self) -> float:
        """Seconds of both kinds it has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1]
        ticks = sum(int(value) for value in fields.split()[11:13])
        return ticks / os.sysconf("SC_CLK_TCK")

    def peak_mib(self) -> float:
        """Most memory it ever held."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        return 0.0

    def close(self) -> None:
        """End service and sender."""
        self.sender.close()
        self.process.terminate()
        self.process.wait(15)
        self._log.close()


def run_service(row: Row, folder: Path, target: Path) -> Result:
    """Run the whole service once, a short series first, and check the file."""
    work = folder / "service"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    (work / "blast").symlink_to(folder / "blast")
    image = payload(row, work)
    service = Service(row, work)
    file = target / "service.h5" if row.is_written else None
    warm = target / "warm.h5" if row.is_written else None
    try:
        service.series(row, 50, image, warm)
        cpu_s = service.cpu_s()
        seconds = service.series(row, row.frames, image, file)
        result = Result(
            row.frames / seconds, service.cpu_s() - cpu_s, service.peak_mib()
        )
        if file is not None:
            _check(file, row, image)
    finally:
        service.close()
        for path in (file, warm):
            if path is not None:
                path.unlink(missing_ok=True)
    return result


def _check(file: Path, row: Row, image: Path) -> None:
    with h5py.File(file) as opened:
        dataset = opened["/entry/data/data"]
        assert isinstance(dataset, h5py.Dataset)
        if dataset.shape != (row.frames, *row.shape):
            raise RuntimeError(f"{file} holds {dataset.shape}")
        blob = image.read_bytes()
        pixels = (
            np.frombuffer(blob, row.dtype).reshape(row.shape)
            if row.payload_bytes is None
            else bslz4.decompress(blob, row.shape, row.dtype)
        )
        for index in (0, row.frames - 1):
            if not np.array_equal(dataset[index], pixels):
                raise RuntimeError(f"{file}: frame {index} is not what was sent")
