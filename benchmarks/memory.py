"""Memory that is there: what a run writes to is touched shortly before.

A virtual machine may give free memory back to its host (free page reporting). The first
one to write to it again then waits for the host: 6.3 GB took 4.2 to 5.3 s after 20 s of
rest and 2.0 to 3.3 s at once after. Files in /dev/shm are made of such memory, so
without this a run measures what happened before it.
"""

from pathlib import Path

PIECE = bytes(1 << 20)
MARGIN_BYTES = 512 << 20
"""For buffers, and what else a run takes."""


def touch(folder: Path, size_bytes: int) -> None:
    """Write a file of this size and a margin, and remove it.

    Args:
        folder: On the file system that will be written to.
        size_bytes: How much that will be.
    """
    file = folder / "touched"
    try:
        with file.open("wb", buffering=0) as opened:
            for _ in range((size_bytes + MARGIN_BYTES) // len(PIECE)):
                opened.write(PIECE)
    finally:
        file.unlink(missing_ok=True)
