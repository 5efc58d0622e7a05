"""The load generators: processes in C that push series as fast as they are taken."""

import json
import struct
import subprocess
from pathlib import Path

import numpy as np

from benchmarks.rows import Row
from srx_service.codecs import bslz4
from srx_service.messages import Buffer, End, Image, Message, Start
from srx_service.protocols import dectris_stream1, dectris_stream2

HERE = Path(__file__).parent
HIGH_WATER_MARK = 500
INDEX = 1_234_567_890
"""Stands where the sender puts the index of each frame: ten digits, or four bytes."""
NEEDS = "a C compiler, pkg-config, libzmq3-dev and libhdf5-dev"


class CannotBuild(Exception):
    """What compiling needs is not there."""


def build(folder: Path) -> None:
    """Compile senders and yardstick.

    Raises:
        CannotBuild: Something is missing.
    """
    try:
        hdf5 = _run(["pkg-config", "--cflags", "--libs", "hdf5"]).split()
        for name, more in {"blast": [], "prebuilt": [], "yardstick": hdf5}.items():
            source = str(HERE / f"{name}.c")
            _run(["cc", "-O2", "-o", str(folder / name), source, *more, "-lzmq"])
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        told = getattr(error, "stderr", None) or error
        raise CannotBuild(f"compiling needs {NEEDS}: {told}") from error


def _run(words: list[str]) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def payload(row: Row, folder: Path) -> Path:
    """Return a file of one image: noise, of the size asked for when compressed."""
    rows, columns = row.shape
    path = folder / f"payload_{rows}x{columns}_{row.dtype}_{row.payload_bytes}"
    if path.exists():
        return path
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
    """The generic stream: one process, a series for each call."""

    program = "blast"

    def __init__(self, row: Row, folder: Path, port: int, image: Path) -> None:
        self._row, self._image = row, image
        self._process = subprocess.Popen(
            [folder / self.program, str(port), str(HIGH_WATER_MARK)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )

    def push(self, frames: int, file: str) -> None:
        """Begin to send a series that names a file, or none."""
        row = self._row
        words = [frames, *row.shape, row.dtype, row.compression, self._image]
        self._say([*words, file or "-"])

    def _say(self, words: list[object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End it, whatever it still holds."""
        self._process.kill()
        self._process.communicate()


class DectrisSender(Sender):
    """A control unit's stream: messages of our encoders, built once for a series."""

    program = "prebuilt"

    def __init__(self, row: Row, folder: Path, port: int, image: Path) -> None:
        super().__init__(row, folder, port, image)
        self._folder = folder
        self._series = 0

    def push(self, frames: int, file: str) -> None:
        """Begin to send a series that names a file, or none."""
        self._series += 1
        names: list[object] = []
        place: tuple[object, ...] = ()
        for message in _series(self._row, self._series, frames, file, self._image):
            parts = ENCODE[self._row.stream](message)
            name = self._folder / f"{type(message).__name__}.parts"
            name.write_bytes(joined(parts))
            names.append(name)
            if isinstance(message, Image):
                place = place_of_index(bytes(parts[0]))
        self._say([frames, *names, *place])


ENCODE = {"Eiger": dectris_stream1.encode, "DectrisStream2": dectris_stream2.encode}
SENDERS = {"Detector": Sender, "Eiger": DectrisSender, "DectrisStream2": DectrisSender}
"""By the `stream` of a row."""
_EXTRAS = {
    "Eiger": {"hash": "0" * 32, "start_time": 1, "stop_time": 2, "real_time": 1},
    "DectrisStream2": {
        "start_time": [1, 10**8],
        "stop_time": [2, 10**8],
        "real_time": [1, 10**8],
    },
}
"""What a control unit says of each image."""


def _series(
    row: Row, series: int, frames: int, file: str, image: Path
) -> tuple[Message, ...]:
    metadata = {"nimages": frames, "ntrigger": 1, "number_of_images": frames}
    appendix = json.dumps({"filename": file}).encode()
    return (
        Start(series=series, metadata=metadata, appendix=appendix),
        Image(
            series=series,
            number=INDEX,
            frame=INDEX,
            shape=row.shape,
            dtype=row.dtype,
            encoding=row.compression,
            blobs=(image.read_bytes(),),
            extras=_EXTRAS[row.stream],
        ),
        End(series=series),
    )


def joined(parts: list[Buffer]) -> bytes:
    """Return a message as prebuilt.c reads it: the size of each part before it."""
    return b"".join(struct.pack("=Q", len(part)) + bytes(part) for part in parts)


def place_of_index(part: bytes) -> tuple[int, str]:
    """Return where INDEX stands in part 0 of an image, and how it is written.

    Raises:
        ValueError: It is not there, or more than once.
    """
    for text, kind in ((b"%d" % INDEX, "text"), (struct.pack(">I", INDEX), "cbor")):
        if text in part:
            if part.count(text) > 1:
                raise ValueError("the index stands there more than once")
            return part.index(text), kind
    raise ValueError("the index is not there")
