"""How long the room on a disk lasts: what frames take, how fast it shrinks."""

import logging
import math
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from srx_service.acquisitions import Acquisition
from srx_service.mounts import Room

logger = logging.getLogger(__name__)

LOOKS = 20
"""The rate is that of the time between so many looks."""
AHEAD_S = 600.0
"""Who is warned so early can still do something."""
SIZES_KEPT = 64
UNITS = ("KiB", "MiB", "GiB", "TiB")


class FrameSize(msgspec.Struct, frozen=True):
    """What a frame takes in the file."""

    nbytes: float
    is_measured: bool
    """False: of its pixels as they are, which compressed ones do not take."""


def amount(nbytes: float) -> str:
    """Return a size for people: "1.5 GiB"."""
    power = 0
    while nbytes / 1024**power >= 1023.95 and power < len(UNITS):
        power += 1
    if power == 0:
        return f"{nbytes:.0f} bytes"
    return f"{nbytes / 1024**power:.1f} {UNITS[power - 1]}"


class Forecast:
    """Learns from files and looks. The disk's thread changes it, others ask."""

    def __init__(self) -> None:
        self._sizes: dict[tuple[tuple[int, ...], str], float] = {}
        """Bytes that a frame took, by shape and dtype, the latest last."""
        self._mount = Path()
        self._seen: deque[tuple[float, int, int]] = deque(maxlen=LOOKS)
        self._warned: str | None = None
        """The acquisition of which a warning was logged."""

    # -- what frames take -------------------------------------------------------------

    def learn(self, acquisition: Acquisition, grown_bytes: int) -> None:
        """Keep what the frames of a file took."""
        shape, dtype = acquisition.shape, acquisition.dtype
        size = _measured(acquisition, grown_bytes)
        if shape is None or dtype is None or size is None:
            return
        key = (tuple(shape), dtype)
        self._sizes.pop(key, None)
        self._sizes[key] = size
        if len(self._sizes) > SIZES_KEPT:
            del self._sizes[next(iter(self._sizes))]

    def size_of(
        self, shape: Sequence[int] | None, dtype: str | None
    ) -> FrameSize | None:
        """Return what a frame will take: as last time, or as it is; None: unknown."""
        if shape is None or dtype is None:
            return None
        known = self._sizes.get((tuple(shape), dtype))
        if known is not None:
            return FrameSize(known, is_measured=True)
        plain = plain_bytes(shape, dtype)
        return None if plain is None else FrameSize(plain, is_measured=False)

    # -- how fast it goes -------------------------------------------------------------

    def saw(self, now_s: float, room: Room, written_bytes: int) -> None:
        """Take note of a look, and of all bytes that we have written until then."""
        if room.mount != self._mount:  # another disk
            self._mount = room.mount
            self._seen.clear()
        self._seen.append((now_s, room.free_bytes, written_bytes))

    @property
    def rate(self) -> float:
        """Bytes a second by which the room shrinks, whoever writes."""
        if len(self._seen) < 2:
            return 0.0
        first, last = self._seen[0], self._seen[-1]
        # our own apart: a file system may tell late what it has taken
        gone = max(first[1] - last[1], last[2] - first[2])
        return max(0.0, gone / max(last[0] - first[0], 1e-3))

    # -- what is due ------------------------------------------------------------------

    def warning(
        self, folder: Path, left_bytes: int, acquisition: Acquisition | None
    ) -> str | None:
        """Return what a person should know; logged once for each acquisition.

        Args:
            folder: Where.
            left_bytes: What may still be written there.
            acquisition: The one that is being written, if any.
        """
        text = self._text(left_bytes, acquisition)
        if text is None:
            return None
        text = f"{folder}: {text}"
        owner = "" if acquisition is None else acquisition.id
        if owner != self._warned:
            self._warned = owner
            logger.warning("%s", text)
        return text

    def _text(self, left_bytes: int, acquisition: Acquisition | None) -> str | None:
        if left_bytes <= 0:
            return "the disk is full (keep_free stays free): nothing more is written"
        left = amount(left_bytes)
        if acquisition is None:
            return None
        due = self._due(acquisition)
        if due is not None:
            frames, nbytes = due
            if frames * nbytes <= left_bytes:
                return None
            fit = math.floor(left_bytes / nbytes)
            return f"{frames} more frames are expected, {fit} fit in the {left} left"
        rate = self.rate
        if left_bytes < rate * AHEAD_S:
            seconds = left_bytes / rate
            return f"{left} left, full in {seconds:.0f} s at {amount(rate)} a second"
        return None

    def _due(self, acquisition: Acquisition) -> tuple[int, float] | None:
        """Return the frames that are still expected, and what each takes, if known."""
        size = self.size_of(acquisition.shape, acquisition.dtype)
        if acquisition.expected is None or size is None:
            return None
        return max(0, acquisition.expected - acquisition.places_given), size.nbytes


def plain_bytes(shape: Sequence[int], dtype: str) -> int | None:
    """Return the size of a frame as it is; None where the dtype is not known."""
    try:
        return math.prod(shape) * np.dtype(dtype).itemsize
    except (TypeError, ValueError, SyntaxError):
        return None


def _measured(acquisition: Acquisition, grown_bytes: int) -> float | None:
    """Return what a frame took; what a file has besides frames is small, or spread."""
    counts = acquisition.counts
    # not yet durable ones have grown it, too; a hole has not
    frames = acquisition.rows_written - counts.missing - counts.rejected
    frames = max(frames, counts.written)
    if frames <= 0 or grown_bytes <= 0:
        return None
    size = grown_bytes / frames
    plain = None
    if acquisition.shape is not None and acquisition.dtype is not None:
        plain = plain_bytes(acquisition.shape, acquisition.dtype)
    return size if plain is None else min(size, float(plain))
