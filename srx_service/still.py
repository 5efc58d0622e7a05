"""One frame, unpacked once, and what its viewers want to know of it.

Each part of that is made once, however many want the same.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np

from srx_service import picture, regions
from srx_service.histogram import histogram
from srx_service.reduction import reduced
from srx_service.regions import Region
from srx_service.wish import Wish

PARTS_KEPT = 64
"""Pictures, sums and histograms of one frame."""
ALIGNED = 8
"""Bytes: a picture begins at a multiple of it, for readers in C."""
_Part = TypeVar("_Part")


class Levels(NamedTuple):
    """A picture: levels of grey, and which pixels of the frame they stand for."""

    levels: np.ndarray
    region: Region
    step: int
    low: float
    high: float

    def told(self) -> dict[str, Any]:
        """Return what goes before the levels."""
        return {
            "region": self.region,
            "step": self.step,
            "rows": self.levels.shape[0],
            "columns": self.levels.shape[1],
            "low": self.low,
            "high": self.high,
        }


class Still:
    """A frame that is looked at.

    Args:
        serial: Of the frame: no other has it.
        header: What is known of it.
        pixels: As the detector counted them; with more than two axes they are stacked
            vertically. None: they cannot be unpacked.
        error: Why not.
    """

    def __init__(
        self,
        serial: int,
        header: dict[str, Any],
        pixels: np.ndarray | None,
        error: str | None = None,
    ) -> None:
        self.serial = serial
        shape = header.get("shape", []) if pixels is None else pixels.shape
        self._told: dict[str, Any] = {
            "serial": serial,
            "header": header,
            "shape": list(shape),
            "dtype": header.get("type") if pixels is None else pixels.dtype.name,
        }
        self._pixels = None if pixels is None else _stacked(pixels)
        self._error = error
        self._parts: dict[Any, Any] = {}

    def message(self, wish: Wish) -> bytes:
        """Return what a viewer is sent, see docs/reference/http-api.md."""
        if self._pixels is None:
            return _framed({**self._told, **_NOTHING, "error": self._error})
        shown = self._part(("levels", *wish.picture), lambda: self._levels(wish))
        told = {
            **self._told,
            **shown.told(),
            "cursor": self._under(wish.cursor),
            "sums": [self._sum(region) for region in wish.sums],
            "histogram": self._histogram(wish, shown.region),
        }
        return _framed(told, shown.levels)

    def is_ready(self, wish: Wish) -> bool:
        """True where nothing has to be made for this message."""
        wanted = [("levels", *wish.picture), *(("sum", box) for box in wish.sums)]
        if self._pixels is None:
            return True
        if not all(key in self._parts for key in wanted):
            return False
        shown: Levels = self._parts[wanted[0]]
        bins = ("histogram", wish.histogram, shown.region)
        return not wish.histogram or bins in self._parts

    def _levels(self, wish: Wish) -> Levels:
        pixels = self._pixels
        assert pixels is not None
        region, step = _shown(wish, pixels.shape)
        small = reduced(regions.cut(pixels, region), step)
        mask = picture.masked(small)
        low, high = picture.limits(small, ~mask, wish.low, wish.high, wish.percentiles)
        levels = picture.levels_of(small, mask, wish.scale, low, high)
        return Levels(levels, region, step, low, high)

    def _under(self, cursor: tuple[int, int] | None) -> dict[str, Any] | None:
        if cursor is None:
            return None
        (y, x), pixels = cursor, self._pixels
        assert pixels is not None
        told = {"y": y, "x": x, "value": None}
        if y < pixels.shape[0] and x < pixels.shape[1]:
            pixel = pixels[y : y + 1, x : x + 1]
            if not picture.masked(pixel).any():
                told["value"] = pixel.item() + 0  # a bool is told as a number
        return told

    def _sum(self, region: Region) -> dict[str, Any]:
        pixels = self._pixels
        assert pixels is not None
        return self._part(("sum", region), lambda: regions.summed(pixels, region))

    def _histogram(self, wish: Wish, region: Region) -> dict[str, Any] | None:
        pixels, bins = self._pixels, wish.histogram
        assert pixels is not None
        if not bins:
            return None
        key = ("histogram", bins, region)
        return self._part(key, lambda: histogram(regions.cut(pixels, region), bins))

    def _part(self, key: Any, make: Callable[[], _Part]) -> _Part:  # noqa: ANN401
        if key not in self._parts:
            if len(self._parts) >= PARTS_KEPT:
                self._parts.clear()
            self._parts[key] = make()
        return self._parts[key]


_NOTHING: dict[str, Any] = {
    "region": (0, 0, 0, 0),
    "step": 1,
    "rows": 0,
    "columns": 0,
    "low": 0,
    "high": 0,
    "cursor": None,
    "sums": [],
    "histogram": None,
}


def _stacked(pixels: np.ndarray) -> np.ndarray:
    if not pixels.size:
        return np.full((1, 1), math.nan)
    return pixels.reshape(-1, pixels.shape[-1]) if pixels.ndim else pixels.reshape(1, 1)


def _shown(wish: Wish, shape: tuple[int, ...]) -> tuple[Region, int]:
    """Return what is shown, and how many pixels become one along each axis.

    Blocks of pixels are the same wherever the region begins: a picture that is moved
    does not flicker.
    """
    asked = regions.whole(shape) if wish.region is None else wish.region
    y0, x0, y1, x1 = regions.within(asked, shape)
    if y1 <= y0 or x1 <= x0:  # of another detector's frame
        y0, x0, y1, x1 = regions.whole(shape)
    step = max(math.ceil((y1 - y0) / wish.max_rows), 1)
    step = max(math.ceil((x1 - x0) / wish.max_columns), step)
    while True:
        top, left = y0 - y0 % step, x0 - x0 % step
        rows, columns = math.ceil((y1 - top) / step), math.ceil((x1 - left) / step)
        if rows <= wish.max_rows and columns <= wish.max_columns:
            return (top, left, y1, x1), step
        step += 1


def _framed(told: dict[str, Any], levels: np.ndarray | None = None) -> bytes:
    text = msgspec.json.encode(told)
    length = -(-(len(text) + 4) // ALIGNED) * ALIGNED - 4
    pixels = b"" if levels is None else levels.tobytes()
    return b"".join((length.to_bytes(4, "little"), text.ljust(length), pixels))
