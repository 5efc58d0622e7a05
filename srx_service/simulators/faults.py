"""What goes wrong on purpose while a simulator sends: lost, doubled, late, dead."""

import dataclasses
import random
from collections.abc import Iterable, Iterator
from typing import Self

from srx_service.errors import ConfigError

ALLOWED = "drop=0.01,duplicate=0.01,reorder=0.02,lose_module=0.01,stall=5@100,die=50"


class Died(Exception):
    """The simulated detector is dead: nothing more is sent, no End either."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Faults of the images of a series; headers and Ends are always right.

    An image that is dropped, doubled or swapped keeps its numbers, as a real one would.
    """

    drop: float = 0.0
    """Probability that an image is never sent."""
    duplicate: float = 0.0
    """Probability that an image is sent twice."""
    reorder: float = 0.0
    """Probability that an image changes places with the next one of its trigger."""
    lose_module: float = 0.0
    """Probability that one module's messages of an image are never sent; where the
    detector has several modules."""
    stall_s: float = 0.0
    """Seconds of silence before frame `stall_at` of each series."""
    stall_at: int | None = None
    die_at: int | None = None
    """The frame at which the process dies: it and all later ones are never sent."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `drop=0.01,stall=5@100,die=50`; an empty text is no faults.

        Raises:
            ConfigError: A fault is not known, given twice or not in its range.
        """
        found: dict[str, float | int] = {}
        for item in filter(None, (part.strip() for part in text.split(","))):
            fields = _fields(item)
            if fields.keys() & found.keys():
                raise ConfigError(f"faults: {item.split('=')[0]!r} is given twice")
            found.update(fields)
        return cls(**found)  # pyright: ignore[reportArgumentType]

    def stall_before(self, frame: int) -> float:
        """Return for how many seconds the stream is silent before a frame."""
        return self.stall_s if frame == self.stall_at else 0.0

    def lost_module(self, modules: int, rng: random.Random) -> int | None:
        """Return which module's messages of the next image are not sent, if any."""
        if modules == 1 or not self.lose_module or rng.random() >= self.lose_module:
            return None
        return rng.randrange(modules)

    def order(self, frames: Iterable[int], rng: random.Random) -> Iterator[int]:
        """Yield the frames in the order in which they are sent.

        Raises:
            Died: It is the turn of the frame at which the detector dies.
        """
        held: int | None = None
        for frame in frames:
            if self.die_at is not None and frame >= self.die_at:
                raise Died(f"died before frame {frame}, as the faults asked for")
            if rng.random() < self.drop:
                continue
            if held is None and rng.random() < self.reorder:
                held = frame
                continue
            yield frame
            if rng.random() < self.duplicate:
                yield frame
            if held is not None:
                yield held
                held = None
        if held is not None:
            yield held


def _fields(item: str) -> dict[str, float | int]:
    name, _, value = item.partition("=")
    try:
        match name:
            case "drop" | "duplicate" | "reorder" | "lose_module":
                return {name: _within(float(value), 1.0)}
            case "stall":
                seconds, _, frame = value.partition("@")
                return {
                    "stall_s": _within(float(seconds), 86400.0),
                    "stall_at": _index(frame),
                }
            case "die":
                return {"die_at": _index(value)}
    except ValueError as error:
        raise ConfigError(f"faults: {item!r}: {error}; for example {ALLOWED}") from None
    raise ConfigError(f"faults: {name!r} is not one of them; for example {ALLOWED}")


def _within(number: float, most: float) -> float:
    if not 0 <= number <= most:
        raise ValueError(f"{number:g} is not between 0 and {most:g}")
    return number


def _index(text: str) -> int:
    frame = int(text)
    if frame < 0:
        raise ValueError(f"a frame is counted from 0, not {frame}")
    return frame
