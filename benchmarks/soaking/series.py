"""Series of frames that can be told apart, and what goes wrong with each on its way."""

import dataclasses
import functools
import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from srx_service import codecs
from srx_service.messages import Image

Fate = Literal[
    "sent",
    "repacked",  # without the compression of the others
    "twice",
    "swapped",  # overtaken by the next
    "discarded",
    "broken",  # its number can still be read
    "garbled",  # not even that
    "unfit",  # too few bytes
    "odd",  # of another shape
    "lost",
    "after the end",
]
Received = Literal["sent", "twice", "lost"]
"""What becomes of a header, and of an end."""
GOOD: frozenset[Fate] = frozenset({"sent", "repacked", "twice", "swapped"})
"""These frames get their row."""
UNSEEN: frozenset[Fate] = frozenset({"garbled", "lost", "after the end"})
"""The number of these never comes, or too late."""
LATER: frozenset[Fate] = frozenset({"repacked", "odd"})
"""A file's first frame decides what it is like: these come after a good one."""
FAULTS: tuple[Fate, ...] = (
    *("lost", "twice", "swapped", "broken", "garbled", "unfit"),
    *("odd", "discarded", "repacked", "after the end"),
)
SMALL = ((1, 16), (16, 16), (50, 50), (3, 20, 30), (100, 90))
LARGE = ((195, 487), (256, 256), (514, 515))
SHAPES = (*SMALL, *SMALL, *LARGE)
DTYPES = ("uint8", "uint16", "uint32", "int32", "float32", ">u2", "uint64")
ENCODINGS = ("none", "none", "bslz4", "bslz4", "lz4", "bszstd")
ENDS: tuple[Received, ...] = ("sent", "sent", "sent", "twice", "lost")
PERIOD = 251
"""Of the values of the pixels: a prime, and less than any type holds."""

_tokens = itertools.count(1)


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """What the frames of a series are like."""

    shape: tuple[int, ...]
    dtype: str
    encoding: str

    def pixels(self, token: int) -> np.ndarray:
        """Return the pixels that carry a token: no two frames are alike."""
        pixels = _pattern(self.shape, self.dtype).copy()
        pixels.reshape(-1).view("u1")[:8] = np.frombuffer(token.to_bytes(8), "u1")
        return pixels

    def image(self, frame: "Frame") -> Image:
        """Return what is sent of a frame."""
        shape, encoding = self.shape, self.encoding
        if frame.fate == "odd":
            shape = (*shape[:-1], shape[-1] + 8)
        if frame.fate == "repacked":
            encoding = "none"
        pixels = dataclasses.replace(self, shape=shape).pixels(frame.token)
        blob = codecs.encode(pixels, encoding)
        return Image(
            number=None,
            frame=frame.index,
            shape=shape,
            dtype=self.dtype,
            encoding=encoding,
            blobs=(blob[:5] if frame.fate == "unfit" else blob,),
            discard=frame.fate == "discarded",
        )


@functools.lru_cache(maxsize=64)
def _pattern(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    size = int(np.prod(shape))
    return (np.arange(size) % PERIOD).astype(dtype).reshape(shape)


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a series: its index, what tells it apart, what becomes of it."""

    index: int
    token: int
    fate: Fate


@dataclasses.dataclass(frozen=True, slots=True)
class Series:
    """Frames of one kind, and whether header and end of their series arrive."""

    kind: Kind
    frames: tuple[Frame, ...]
    start: Received = "sent"
    end: Received = "sent"

    @property
    def known(self) -> int:
        """How many places there are: of a tail without an end nobody knows."""
        if self.end != "lost":
            return len(self.frames)
        seen = [frame.index + 1 for frame in self.frames if frame.fate not in UNSEEN]
        return max(seen, default=0)

    @property
    def is_faulty(self) -> bool:
        """Whether anything goes wrong with it."""
        fates = {frame.fate for frame in self.frames}
        return fates != {"sent"} or (self.start, self.end) != ("sent", "sent")

    def in_wire_order(self) -> Iterator[Frame]:
        """Yield the frames in the order in which they are sent before the end."""
        frames = [frame for frame in self.frames if frame.fate != "after the end"]
        while frames:
            if frames[0].fate == "swapped" and len(frames) > 1:
                yield frames.pop(1)
            yield frames.pop(0)


def numbered(fates: Sequence[Fate]) -> tuple[Frame, ...]:
    """Return frames with these fates, each with a token of its own."""
    return tuple(Frame(k, next(_tokens), fate) for k, fate in enumerate(fates))


def any_kind(rng: random.Random) -> Kind:
    """Return what the frames of a series may be like."""
    return Kind(rng.choice(SHAPES), rng.choice(DTYPES), rng.choice(ENCODINGS))


def clean(kind: Kind, count: int) -> Series:
    """Return a series that nothing goes wrong with."""
    fates: list[Fate] = ["sent"] * count
    return Series(kind, numbered(fates))


def faulty(rng: random.Random, kind: Kind, most: int, *, begins: bool = True) -> Series:
    """Return a series that something goes wrong with; its header arrives.

    Args:
        rng: Decides.
        kind: Of its frames.
        most: Frames.
        begins: Its first frame is a good one, so that what follows may be odd.
    """
    share = rng.choice([0.05, 0.2, 0.5])
    fates: list[Fate] = ["sent"] if begins else []
    for _ in range(rng.randrange(most)):
        fate = rng.choice(FAULTS) if rng.random() < share else "sent"
        is_early = fate in LATER and GOOD.isdisjoint(fates)
        fates.append("unfit" if is_early else fate)
    if not GOOD.isdisjoint(fates) and rng.random() < 0.5:
        fates.append(rng.choice(FAULTS))  # what goes wrong at the end is another matter
    end = rng.choice(ENDS)
    if end == "lost":  # without an end nothing comes after it
        fates = [fate if fate != "after the end" else "lost" for fate in fates]
    return Series(kind, numbered(fates), end=end)
