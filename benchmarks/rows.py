"""What is compared: a row for each kind of work, with the ratio it should reach."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np

MIB = 1 << 20
BUFFER_LIMIT = 256 * MIB
FORWARD_LIMIT = 256 * MIB
BASE_MIB = 250.0
"""What a service may take beside its buffers."""
CHEAP_BYTES = 4_000_000
"""Of pixels, where a series is only to show that everything works."""


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of work, and what its rate is compared with."""

    name: str
    shape: tuple[int, int]
    """In pixels: (rows, columns)."""
    dtype: str
    frames: int
    """In a series; its file stays below 7 GB. A run repeats it until it is long."""
    least: float
    """The ratio that is asked for."""
    against: Self | None = None
    """The row whose rate is one; None: the yardstick doing the same work."""
    stream: Literal["Detector", "Eiger", "DectrisStream2"] = "Detector"
    """The `class` of detectors.yaml, and what the sender speaks."""
    compression: str = "none"
    payload_bytes: int | None = None
    """Of a compressed image; None: uncompressed."""
    is_written: bool = True
    has_client: bool = False
    """One on the secondary port, that takes every image."""
    has_viewer: bool = False
    """Someone looks at the last frame ten times a second."""
    config: dict[str, Any] = field(default_factory=dict)
    """Keys of detectors.yaml beside the usual ones."""

    @property
    def frame_bytes(self) -> int:
        """Of one frame on the wire."""
        pixels = self.shape[0] * self.shape[1]
        return self.payload_bytes or pixels * np.dtype(self.dtype).itemsize

    @property
    def most_mib(self) -> float:
        """What the service may take with all its buffers full."""
        forwarded = FORWARD_LIMIT if self.has_client else 0
        return BASE_MIB + (BUFFER_LIMIT + forwarded) / MIB

    def cheap(self) -> Self:
        """Return the same work with a few frames, to see that it can be done."""
        against = self.against and self.against.cheap()
        frames = min(self.frames, max(4, CHEAP_BYTES // self.frame_bytes))
        return dataclasses.replace(self, frames=frames, against=against)


SMALL = Row(
    "50x50, written, frames_per_chunk auto",
    (50, 50),
    "uint16",
    700_000,
    0.6,
    config={"frames_per_chunk": "auto"},
)
BLOBS = Row(
    "1065x1030 bslz4 (368 kB), written",
    (1065, 1030),
    "uint32",
    16_000,
    0.95,
    compression="bslz4",
    payload_bytes=368_000,
)
ROWS = (
    dataclasses.replace(
        SMALL, name="50x50, no file", least=0.7, is_written=False, config={}
    ),
    SMALL,
    dataclasses.replace(
        SMALL, name="50x50, written, one frame a chunk", least=0.35, config={}
    ),
    Row("512x512, written", (512, 512), "uint16", 12_000, 0.85),
    BLOBS,
    Row("2000x4000 (16 MB), written", (2000, 4000), "uint16", 400, 0.9),
    dataclasses.replace(
        BLOBS,
        name="368 kB, written, with a client, wait",
        least=0.85,
        has_client=True,
        config={"on_slow_client": "wait"},
    ),
    dataclasses.replace(
        BLOBS,
        name="368 kB, written, with a client, drop",
        least=0.8,
        against=BLOBS,
        has_client=True,
        config={"on_slow_client": "drop"},
    ),
    dataclasses.replace(
        BLOBS,
        name="368 kB, written, from DECTRIS stream v1",
        least=0.85,
        against=BLOBS,
        stream="Eiger",
    ),
    dataclasses.replace(
        BLOBS,
        name="368 kB, written, from DECTRIS stream v2",
        least=0.85,
        against=BLOBS,
        stream="DectrisStream2",
    ),
    dataclasses.replace(
        BLOBS,
        name="368 kB, written, live view at 10 Hz",
        least=0.95,
        against=BLOBS,
        has_viewer=True,
    ),
)
