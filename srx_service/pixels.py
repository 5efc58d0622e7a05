"""Blobs into the chunks of one dataset, as they came: nothing is decompressed.

One frame a chunk by default; small uncompressed frames may share one, which is then
written again at each flush until it is full.
"""

import math
from collections.abc import Sequence
from typing import Literal

import h5py
import hdf5plugin
import numpy as np

from srx_service import codecs
from srx_service.codecs import bslz4, lz4
from srx_service.messages import NO_PIXELS, Buffer, Image

AUTO_CHUNK_BYTES = 256 << 10
SMALLEST_SHARED = 2
FILTERS: dict[str, tuple[int, tuple[int, ...]]] = {
    "bslz4": (hdf5plugin.Bitshuffle.filter_id, (0, 2)),
    "bszstd": (hdf5plugin.Bitshuffle.filter_id, (0, 3)),
    "lz4": (hdf5plugin.LZ4.filter_id, ()),
}
"""HDF5's registered filters: https://github.com/HDFGroup/hdf5_plugins"""
NO_FILTER = 1
"""Filter mask of a chunk that the first filter did not touch."""


def fill_value_for(dtype: np.dtype) -> int | float:
    """Return what a missing frame reads as: masked, as detectors mark it."""
    if dtype.kind == "u":
        return int(np.iinfo(dtype).max)
    return -1 if dtype.kind == "i" else float("nan")


def frames_per_chunk(wanted: int | Literal["auto"], image: Image, nbytes: int) -> int:
    """Return how many frames share a chunk: only small uncompressed ones do."""
    if image.encoding != "none" or len(image.blobs) != 1:
        return 1
    if wanted == "auto":
        shared = AUTO_CHUNK_BYTES // max(1, nbytes)
        return shared if shared >= SMALLEST_SHARED else 1
    return wanted


def wrong_blobs(image: Image, nbytes: int, itemsize: int, parts: int) -> str | None:
    """Return what is wrong with the size of an image's blobs, or None."""
    count = len(image.blobs)
    if count not in (1, parts):
        return f"has {count} blobs, the dataset takes 1 or {parts}"
    size = nbytes // count
    try:
        for blob in image.blobs:
            _check_blob(blob, image.encoding, size, itemsize)
    except ValueError as error:
        return str(error)
    return None


def _check_blob(blob: Buffer, encoding: str, size: int, itemsize: int) -> None:
    match encoding:
        case "none":
            if len(blob) != size:
                raise ValueError(f"has {len(blob)} bytes, its shape wants {size}")
        case "bslz4" | "bszstd":
            bslz4.check(blob, size, itemsize)
        case "lz4":
            lz4.check(blob, size)
        case other:
            raise ValueError(f"has the encoding {other!r}, which is not known")


def unusable(image: Image) -> str | None:
    """Return why an image cannot decide dtype and shape of a dataset, or None."""
    if image.encoding == NO_PIXELS:
        return "could not be read"
    try:
        dtype = np.dtype(image.dtype)
    except TypeError:
        return f"has the dtype {image.dtype!r}, which numpy does not know"
    if dtype.kind not in "iuf" or not image.shape or min(image.shape) < 1:
        return f"is {image.dtype} {image.shape}: numbers and a size are needed"
    nbytes = math.prod(image.shape) * dtype.itemsize
    return wrong_blobs(image, nbytes, dtype.itemsize, len(image.blobs))


class Pixels:
    """Writes frames to an open dataset, row after row.

    Args:
        dataset: Of shape (rows, *frame).
        encoding: What its filter decodes: "none", "bslz4", "bszstd", "lz4".
    """

    def __init__(self, dataset: h5py.Dataset, encoding: str) -> None:
        self._dataset = dataset
        self._id = dataset.id
        self.encoding = encoding
        self.shape: tuple[int, ...] = tuple(dataset.shape[1:])
        self.dtype = dataset.dtype
        self.dtype_name = name_of(dataset.dtype)
        self._nbytes = int(np.prod(self.shape)) * dataset.dtype.itemsize
        chunk: tuple[int, ...] = dataset.chunks or (1, *self.shape)
        self._per_chunk = chunk[0]
        self._parts = self.shape[0] // chunk[1] if len(chunk) > 1 else 1
        self._tail = (0,) * (len(self.shape) - 1)
        self._step = chunk[1] if len(chunk) > 1 else 1
        self._pending: list[Buffer] = []
        """The frames of the last chunk, where several share one."""
        self._is_dirty = False
        self._hole = b""
        self.rows: int = dataset.shape[0]
        self._load_pending()

    def check(self, image: Image) -> str | None:
        """Return why an image cannot go in, or None."""
        if image.encoding == NO_PIXELS:
            return "could not be read"
        if image.shape != self.shape or image.dtype != self.dtype_name:
            return (
                f"is {image.dtype} {image.shape}, the dataset {self.dtype_name} "
                f"{self.shape}"
            )
        return wrong_blobs(image, self._nbytes, self.dtype.itemsize, self._parts)

    def write(self, images: Sequence[Image]) -> list[tuple[int, str]]:
        """Write images to the next rows; return those that do not fit, with the cause.

        Those leave a hole. Raises OSError where the storage fails.
        """
        count = len(images)
        self._grow(count)
        if self._per_chunk > 1:
            return self._write_shared(images)
        rejected: list[tuple[int, str]] = []
        row = self.rows - count
        size, name, shape = self._nbytes, self.dtype_name, self.shape
        is_plain = self.encoding == "none" and self._parts == 1
        write_chunk = self._id.write_direct_chunk
        tail = (0, *self._tail)
        for index, image in enumerate(images):
            if (
                is_plain
                and image.shape == shape
                and image.dtype == name
                and image.encoding == "none"
                and len(image.blobs) == 1
                and len(image.blobs[0]) == size
            ):
                write_chunk((row + index, *tail), image.blobs[0])
                continue
            cause = self.check(image)
            if cause is None:
                cause = self._write_one(row + index, image)
            if cause is not None:
                rejected.append((index, cause))
        return rejected

    def _grow(self, count: int) -> None:
        self.rows += count
        self._id.set_extent((self.rows, *self.shape))

    def _write_one(self, row: int, image: Image) -> str | None:
        """Write an image that passed the check; decode one the filter does not know."""
        encoding, blobs = image.encoding, image.blobs
        if encoding not in (self.encoding, "none") or len(blobs) != self._parts:
            try:
                pixels = codecs.decode(image)
            except ValueError as error:
                return str(error)
            encoding, blobs = "none", self._in_parts(pixels.tobytes())
        mask = NO_FILTER if encoding == "none" and self.encoding != "none" else 0
        for part, blob in enumerate(blobs):
            offset = (row, part * self._step, *self._tail) if self.shape else (row,)
            self._id.write_direct_chunk(offset, blob, filter_mask=mask)
        return None

    def _in_parts(self, plain: bytes) -> tuple[bytes, ...]:
        size = len(plain) // self._parts
        return tuple(plain[k * size : (k + 1) * size] for k in range(self._parts))

    def _write_shared(self, images: Sequence[Image]) -> list[tuple[int, str]]:
        rejected: list[tuple[int, str]] = []
        size, name, shape = self._nbytes, self.dtype_name, self.shape
        blobs: list[Buffer] = []
        for index, image in enumerate(images):
            if (
                image.encoding == "none"
                and image.shape == shape
                and image.dtype == name
                and len(image.blobs) == 1
                and len(image.blobs[0]) == size
            ):
                blobs.append(image.blobs[0])
                continue
            blob = self._plain(image)
            if isinstance(blob, str):
                rejected.append((index, blob))
                blob = self._fill_blob()
            blobs.append(blob)
        self._append_shared(self.rows - len(images), blobs)
        return rejected

    def _plain(self, image: Image) -> bytes | str:
        """Return the decoded pixels of an image, or why it does not fit."""
        cause = self.check(image)
        if cause is not None:
            return cause
        try:
            return codecs.decode(image).tobytes()
        except ValueError as error:
            return str(error)

    def _append_shared(self, row: int, blobs: Sequence[Buffer]) -> None:
        pending, per_chunk = self._pending, self._per_chunk
        pending.extend(blobs)
        self._is_dirty = True
        first = row + len(blobs) - len(pending)
        done = 0
        while len(pending) - done >= per_chunk:
            chunk = b"".join(pending[done : done + per_chunk])
            self._id.write_direct_chunk((first + done, *(0 for _ in self.shape)), chunk)
            done += per_chunk
        del pending[:done]
        self._is_dirty = bool(pending)

    def _fill_blob(self) -> bytes:
        if not self._hole:
            value = self._dataset.fillvalue
            self._hole = np.full(self.shape, value, self.dtype).tobytes()
        return self._hole

    def skip(self, count: int) -> None:
        """Leave rows empty: they read as the fill value and take no space."""
        row = self.rows
        self._grow(count)
        if self._per_chunk == 1:
            return
        room = -row % self._per_chunk
        into_pending = min(count, room)
        if into_pending:
            self._append_shared(row, [self._fill_blob()] * into_pending)
        left = (count - into_pending) % self._per_chunk if count > into_pending else 0
        if left:
            self._append_shared(self.rows - left, [self._fill_blob()] * left)

    def settle(self) -> None:
        """Write the chunk that is not yet full."""
        if not self._is_dirty:
            return
        missing = self._per_chunk - len(self._pending)
        chunk = b"".join([*self._pending, *[self._fill_blob()] * missing])
        first = self.rows - len(self._pending)
        self._id.write_direct_chunk((first, *(0 for _ in self.shape)), chunk)
        self._is_dirty = False

    def truncate(self, rows: int) -> None:
        """Take back the rows from `rows` on."""
        if rows >= self.rows:
            return
        self.settle()
        self._pending.clear()
        self._id.set_extent((rows, *self.shape))
        self.rows = rows
        self._load_pending()

    def _load_pending(self) -> None:
        """Read back the frames of a last chunk that is not full."""
        count = self.rows % self._per_chunk
        for row in range(self.rows - count, self.rows):
            self._pending.append(self._dataset[row].tobytes())
        self._is_dirty = bool(count)


def name_of(dtype: np.dtype) -> str:
    """Return a dtype's name as messages give it: "uint16", ">u4"."""
    return dtype.str if dtype.byteorder == ">" else dtype.name


def encoding_of(dataset: h5py.Dataset) -> str | None:
    """Return what the dataset's filter decodes; None: filters that are not ours."""
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(k) for k in range(plist.get_nfilters())]
    if not filters:
        return "none"
    code, _, values = filters[0][:3]
    if len(filters) > 1:
        return None
    if code == hdf5plugin.LZ4.filter_id:
        return "lz4"
    if code != hdf5plugin.Bitshuffle.filter_id:
        return None
    method = values[4] if len(values) > 4 else 0
    return {2: "bslz4", 3: "bszstd"}.get(method)
