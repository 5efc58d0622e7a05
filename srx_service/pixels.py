"""Blobs into the chunks of one dataset, as they came: nothing is decompressed.

One frame a chunk by default, or several chunks a frame where it comes in several blobs;
small uncompressed frames may share one chunk (`srx_service.shared`).
"""

from collections.abc import Callable, Sequence
from contextlib import suppress

import h5py
import numpy as np

from srx_service import codecs
from srx_service.checksums import Checksums, digest
from srx_service.codecs import bslz4
from srx_service.fitting import Layout, misfit, name_of
from srx_service.messages import Buffer, Image
from srx_service.shared import SharedChunk

H5_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError)
"""What h5py raises when the storage or HDF5 refuses, by the part that refuses."""
FRAME_BYTES = 12
"""What precedes the blocks of bitshuffle: the size of the pixels and of a block."""
NO_FILTER = 1
"""Filter mask of a chunk that the first filter did not touch."""

Rejected = list[tuple[int, str]]
"""Images that do not fit: which of those given, and why."""


class Pixels:
    """Writes frames to an open dataset, row after row.

    Args:
        dataset: Of shape (rows, *frame).
        layout: What it is like.
        checksums: Kept of each chunk, where the file has them.
    """

    def __init__(
        self,
        dataset: h5py.Dataset,
        layout: Layout,
        checksums: Checksums | None = None,
    ) -> None:
        self.layout = layout
        self.rows: int = dataset.shape[0]
        self._dataset = dataset
        self._id = dataset.id
        self._checksums = checksums
        self._write: Callable[..., None] = dataset.id.write_direct_chunk
        self._put = self._write if checksums is None else checksums.put
        """Writes a chunk, and keeps its checksum."""
        self._name = name_of(layout.dtype)
        self._nbytes = int(np.prod(layout.shape)) * layout.dtype.itemsize
        self._step = layout.chunk[1]
        self._parts = layout.shape[0] // self._step
        self._tail = (0,) * (len(layout.shape) - 1)
        self._hole = b""
        self._frame: bytes | None = None
        """What a compressed image begins with that passed every check."""
        self._shared: SharedChunk | None = None
        if layout.chunk[0] > 1:
            self._shared = SharedChunk(
                dataset,
                layout.chunk[0],
                put=self._put,
                fill=self._fill_blob(),
                mask=0 if layout.encoding == "none" else NO_FILTER,
            )

    @property
    def is_shared(self) -> bool:
        """True where several frames share a chunk."""
        return self._shared is not None

    def write(self, images: Sequence[Image], rejected: Rejected) -> None:
        """Write images to the next rows; one that does not fit leaves a hole.

        Args:
            images: One for each row.
            rejected: Those that do not fit are added to it, with the cause.

        Raises:
            OSError, RuntimeError, ...: The storage refuses; `rows` tells how many rows
                there are all the same.
        """
        if self._shared is not None:
            self._write_shared(self._shared, images, rejected)
            return
        first = row = self.rows
        self._resize(first + len(images))
        write, tail = self._write, self._tail
        sums = None if self._checksums is None else self._checksums.kept
        # looked at before the first is copied to the file: what checks is still cached
        blobs = self._as_they_are(images)
        try:
            for row, blob in enumerate(blobs, first):
                if blob is not None:
                    write((row, 0, *tail), blob)
                    if sums is not None:  # as Checksums.put does, a call less
                        sums[row] = digest(blob)
                    continue
                cause = self._write_other(row, images[row - first])
                if cause is not None:
                    rejected.append((row - first, cause))
        except H5_ERRORS:
            self._cut(row)
            raise

    def _resize(self, rows: int) -> None:
        self._id.set_extent((rows, *self.layout.shape))
        self.rows = rows

    def _cut(self, rows: int) -> None:
        """Take off what could not be written, as far as the storage allows."""
        with suppress(*H5_ERRORS):
            self._resize(rows)
            if self._checksums is not None:
                self._checksums.truncate(rows)

    def _as_they_are(self, images: Sequence[Image]) -> list[Buffer | None]:
        """Return what can go in as it is, as nearly all images can; None for others.

        A compressed one has shape, dtype and frame of one that passed every check.
        """
        shape, name, encoding = self.layout.shape, self._name, self.layout.encoding
        if self._parts != 1:
            return [None] * len(images)
        blobs = [
            image.blobs[0]
            if image.encoding == encoding
            and image.shape == shape
            and image.dtype == name
            and len(image.blobs) == 1
            else None
            for image in images
        ]
        size, frame = self._nbytes, self._frame
        if encoding == "none":
            return [blob if blob and len(blob) == size else None for blob in blobs]
        least = size / bslz4.LZ4_RATIO
        return [
            blob
            if blob and blob[:FRAME_BYTES] == frame and len(blob) >= least
            else None
            for blob in blobs
        ]

    def _write_other(self, row: int, image: Image) -> str | None:
        """Write an image, if it fits; decode one that the filter does not know."""
        layout, blobs = self.layout, image.blobs
        cause = misfit(image, layout)
        if cause is not None:
            return cause
        encoding = image.encoding
        if encoding not in (layout.encoding, "none") or len(blobs) != self._parts:
            try:
                blobs = self._in_parts(codecs.decode(image).tobytes())
            except ValueError as error:
                return f"cannot be read back: {error}"
            encoding = "none"
        mask = NO_FILTER if encoding != layout.encoding else 0
        for part, blob in enumerate(blobs):
            offset = (row, part * self._step, *self._tail)
            self._put(offset, blob, filter_mask=mask)
        if mask == 0 and encoding == "bslz4" and len(blobs) == self._parts == 1:
            self._frame = bytes(blobs[0][:FRAME_BYTES])
        return None

    def _in_parts(self, plain: bytes) -> tuple[bytes, ...]:
        size = len(plain) // self._parts
        return tuple(plain[k * size : (k + 1) * size] for k in range(self._parts))

    def _write_shared(
        self, shared: SharedChunk, images: Sequence[Image], rejected: Rejected
    ) -> None:
        blobs: list[Buffer] = []
        for index, blob in enumerate(self._as_they_are(images)):
            plain = blob or self._plain(images[index])
            if isinstance(plain, str):
                rejected.append((index, plain))
                plain = self._fill_blob()
            blobs.append(plain)
        self._extend(shared, blobs)

    def _plain(self, image: Image) -> bytes | str:
        """Return the decoded pixels of an image, or why it does not fit."""
        cause = misfit(image, self.layout)
        if cause is not None:
            return cause
        try:
            return codecs.decode(image).tobytes()
        except ValueError as error:
            return f"cannot be read back: {error}"

    def _extend(self, shared: SharedChunk, blobs: Sequence[Buffer]) -> None:
        self._resize(self.rows + len(blobs))
        try:
            shared.extend(blobs)
        except H5_ERRORS:
            self._cut(shared.rows)
            raise

    def _fill_blob(self) -> bytes:
        if not self._hole:
            value = self._dataset.fillvalue
            hole = np.full(self.layout.shape, value, self.layout.dtype)
            self._hole = hole.tobytes()
        return self._hole

    def skip(self, count: int) -> None:
        """Leave rows empty: they read as the fill value, and most take no space."""
        before = self.rows
        self._resize(before + count)
        if self._shared is not None:
            try:
                self._shared.skip(count)
            except H5_ERRORS:
                self._cut(before)
                raise

    def settle(self) -> None:
        """Write the chunk that is not yet full, and what is kept of checksums."""
        if self._shared is not None:
            self._shared.settle()
        if self._checksums is not None:
            self._checksums.write(self.rows)

    def truncate(self, rows: int) -> None:
        """Take back the rows from `rows` on."""
        if rows >= self.rows:
            return
        self.settle()
        self._resize(rows)
        if self._checksums is not None:
            self._checksums.truncate(rows)
        if self._shared is not None:
            self._shared.reload(is_cut=True)
