"""The last image: kept as it came, decoded only when somebody looks."""

import copy
import io
import math
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np

from srx_service import codecs, picture
from srx_service.errors import ProtocolError
from srx_service.exposure import exposure_of
from srx_service.messages import NO_PIXELS, Buffer, Image, Start
from srx_service.picture import Scale
from srx_service.protocols.stins import encode

SHARE = 1 / 30
"""Of a core, that views may take while the line needs it."""
SPARE_CORES = 1.0
"""Of those that are idle, left alone: a line that is busy leaves some idle, too."""
IDLE_SHARE = 1 / 4
"""Of the other idle cores, that views may take instead where that is more."""
MOST_SHARE = 1 / 3
"""Of a core, whatever is idle: memory and the interpreter are shared all the same."""
CACHED = 8
"""Views of one image that are kept, until the next image comes."""
_View = TypeVar("_View")


class _Shown(NamedTuple):
    """An image and what belongs to it."""

    serial: int
    start: Start | None
    image: Image
    row: tuple[str, int] | None


class Latest:
    """The last image.

    The line puts, any number of HTTP threads look. What is kept is one image and, once
    somebody has looked, a few views of it.

    Args:
        idle_cores: Tells how many cores nobody needs.
    """

    def __init__(self, idle_cores: Callable[[], float] = lambda: 0.0) -> None:
        self._idle_cores = idle_cores
        self.downsample = 1
        """Pixels along each axis that become one for those who do not ask otherwise."""
        self.rests_until_s = 0.0
        """By time.monotonic(): until then views have had their share of a core."""
        self._shown: _Shown | None = None
        self._views: dict[Any, Any] = {}
        self._lock = threading.Lock()

    # -- the line's side ---------------------------------------------------------------

    def put(
        self,
        start: Start | None,
        image: Image,
        row: tuple[str, int] | None = None,
    ) -> None:
        """Show an image from now on; one without pixels changes nothing.

        Args:
            start: The header in force.
            image: As it came.
            row: The acquisition and the row of it that it is to be written to.
        """
        if image.encoding != NO_PIXELS:
            self._shown = _Shown(self.serial + 1, start, image, row)
            self._views = {}

    def rest_after(self, took_s: float) -> None:
        """Let views rest for what this one took: seconds of a core."""
        begun_s = max(self.rests_until_s, time.monotonic())
        self.rests_until_s = begun_s + self._rest_s(took_s)

    def _rest_s(self, took_s: float) -> float:
        spare = self._idle_cores() - SPARE_CORES
        share = min(MOST_SHARE, max(SHARE, spare * IDLE_SHARE))
        return took_s * (1 / share - 1)

    # -- who looks ---------------------------------------------------------------------

    @property
    def serial(self) -> int:
        """Images shown so far."""
        return self._shown.serial if self._shown else 0

    def header(self) -> dict[str, Any]:
        """Return what is known of the image; {} before the first.

        Of one that takes a row, `acquisition` and `row` tell which.
        """
        if self._shown is None:
            return {}
        _, start, image, row = self._shown
        header = {"series": image.series, **_header(start, image)}
        if row is not None:
            header["acquisition"], header["row"] = row
        return header

    def total(self) -> dict[str, Any]:
        """Return the header, and the sum of the pixels; raises as `array` does."""
        still = copy.copy(self)  # keeps its image, whatever comes
        serial, image, _ = still._look(1)  # noqa: SLF001
        counts = still._view(  # noqa: SLF001
            (serial, "total"), lambda: picture.total(_array(image, 1))
        )
        is_number = math.isfinite(counts)
        return still.header() | {"total_counts": counts if is_number else None}

    def parts(self) -> list[Any]:
        """Return what the predecessor's GET /last_frame has in its pickle."""
        if self._shown is None:
            return [{}, b""]
        _, start, image, _ = self._shown
        header = _header(start, image)
        if self.downsample > 1 and _is_plain(image):
            plain = picture.block_mean(codecs.decode(image), self.downsample)
            return [header | {"shape": plain.shape}, plain]
        return [header, *map(bytes, image.blobs)]

    def array(self, downsample: int | None = None) -> np.ndarray:
        """Return the pixels, read-only, as means of blocks where they are reduced.

        Raises:
            LookupError: There is no image yet.
            ProtocolError: Its blobs are not what its header says.
        """
        serial, image, step = self._look(downsample)
        return self._view((serial, step), lambda: _array(image, step))

    def npy(self, downsample: int | None = None) -> bytes:
        """Return the pixels as a NumPy file; raises as `array` does."""
        stream = io.BytesIO()
        np.save(stream, self.array(downsample), allow_pickle=False)
        return stream.getvalue()

    def png(
        self,
        scale: Scale = "linear",
        downsample: int | None = None,
        *,
        low: float | None = None,
        high: float | None = None,
    ) -> bytes:
        """Return a picture, at most MAX_PIXELS large; raises as `array` does.

        Args:
            scale: Of the grey.
            downsample: As in `array`.
            low: What is black; None: the first percentile.
            high: What is white; None: nearly the largest.
        """
        return self._picture(picture.as_png, scale, downsample, low, high)

    def jpg(
        self,
        scale: Scale = "linear",
        downsample: int | None = None,
        *,
        low: float | None = None,
        high: float | None = None,
    ) -> bytes:
        """Return a small picture; see `png`."""
        return self._picture(picture.as_jpg, scale, downsample, low, high)

    def _picture(
        self,
        write: Callable[[picture.Pillow.Image], bytes],
        scale: Scale,
        downsample: int | None,
        low: float | None,
        high: float | None,
    ) -> bytes:
        serial, image, step = self._look(downsample)
        key = (serial, step, write.__name__, scale, low, high)
        return self._view(
            key,
            lambda: write(picture.render(_array(image, step), scale, low, high)),
        )

    def _look(self, downsample: int | None) -> tuple[int, Image, int]:
        if self._shown is None:
            raise LookupError("no image has come yet")
        step = self.downsample if downsample is None else downsample
        return self._shown.serial, self._shown.image, step

    def _view(self, key: Any, make: Callable[[], _View]) -> _View:  # noqa: ANN401
        """Return a view, made once however many look; one is made at a time."""
        with self._lock:
            views = self._views
            if key not in views:
                if len(views) >= CACHED:
                    views.clear()
                begun_s = time.thread_time()
                views[key] = make()
                took_s = time.thread_time() - begun_s
                rested_s = time.monotonic() + self._rest_s(took_s)
                self.rests_until_s = max(self.rests_until_s, rested_s)
            return views[key]


def _array(image: Image, step: int) -> np.ndarray:
    try:
        pixels = codecs.decode(image)
    except ValueError as error:
        number, series = image.number, image.series
        kind = "undecodable pixels"
        raise ProtocolError(kind, str(error), series=series, number=number) from error
    if step > 1:
        pixels = picture.block_mean(pixels, step, picture.masked(pixels))
    pixels.flags.writeable = False
    return pixels


def _is_plain(image: Image) -> bool:
    """True for what the predecessor reduced; it trusted the size, and crashed."""
    rows, columns = image.shape if len(image.shape) == 2 else (0, 0)
    is_uint16 = (image.dtype, image.encoding) == ("uint16", "none")
    sizes: list[int] = [len(blob) for blob in image.blobs]
    return is_uint16 and rows > 0 and sizes == [rows * columns * 2]


def _header(start: Start | None, image: Image) -> dict[str, Any]:
    number = image.frame if image.number is None else image.number
    text: Buffer = encode(image, number, exposure_of(start))[0]
    return msgspec.json.decode(text)
