"""What is measured: a row for each kind of work, with the ratio it should reach."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of work for service and yardstick alike."""

    name: str
    shape: tuple[int, int]
    """In pixels: (rows, columns)."""
    dtype: str
    frames: int
    """Enough for a second or more."""
    least: float
    """The ratio to the yardstick that is asked for."""
    is_written: bool = True
    payload_bytes: int | None = None
    """Of a compressed image; None: uncompressed."""
    config: dict[str, Any] = field(default_factory=dict)
    """Keys of detectors.yaml beside the usual ones."""


ROWS = (
    Row("50x50, no file", (50, 50), "uint16", 200_000, 0.3, is_written=False),
    Row(
        "50x50, written, frames_per_chunk auto",
        (50, 50),
        "uint16",
        200_000,
        0.3,
        config={"frames_per_chunk": "auto"},
    ),
    Row("50x50, written", (50, 50), "uint16", 200_000, 0.3),
    Row("512x512, written", (512, 512), "uint16", 8_000, 0.8),
    Row(
        "1065x1030 bslz4, written",
        (1065, 1030),
        "uint32",
        10_000,
        0.8,
        payload_bytes=368_000,
    ),
    Row("2000x4000, written", (2000, 4000), "uint16", 300, 0.8),
)
