"""A checksum of every chunk, beside the frames: damage to them can be found later.

It is xxh3_64 of the bytes as they are stored, so that nothing need be decompressed to
compare them. CRC-32 would take a core at 2 GB/s, this takes a tenth of one.
"""

import logging
import math

import h5py
import numpy as np
import xxhash

from srx_service.extendable import Extendable
from srx_service.messages import Buffer

logger = logging.getLogger(__name__)

SUFFIX = "_checksum"
ALGORITHM = "xxh3_64"
NO_CHUNK = 0
"""Stands where no chunk is, because all rows in it are holes."""
KEPT_IN_CHUNK = 1024
"""Of our own dataset, as those of other columns: 8 KiB."""

digest = xxhash.xxh3_64_intdigest
"""Returns the checksum of a buffer."""


class Checksums:
    """Writes chunks, and the checksum of each at the next flush.

    Args:
        frames: Dataset that the chunks belong to.
        sums: Their checksums: one a chunk along the rows, or one for each part of a
            frame that takes several chunks.
    """

    def __init__(self, frames: h5py.Dataset, sums: Extendable) -> None:
        assert frames.chunks is not None
        self._write = frames.id.write_direct_chunk
        self._sums = sums
        self._frames, self._step = frames.chunks[:2]
        self._parts = math.prod(sums.row_shape)
        self.kept: dict[int, int] = {}
        """Those not yet written, by the place of their chunk: where a frame is one
        chunk, its row. The writer adds to it."""

    def put(self, offset: tuple[int, ...], blob: Buffer, filter_mask: int = 0) -> None:
        """Write a chunk and keep its checksum."""
        self._write(offset, blob, filter_mask)
        place = offset[0] // self._frames * self._parts + offset[1] // self._step
        # after the writing, whose copying leaves the blob in the cache: half the cost
        self.kept[place] = digest(blob)

    def write(self, rows: int) -> None:
        """Write what was kept; `rows` are all that the dataset has."""
        kept, parts, sums = self.kept, self._parts, self._sums
        sums.resize(chunks_of(rows, self._frames))
        if not kept:
            return
        # at most the last chunk of those before is written anew: between are holes
        first, stop = min(kept) // parts, max(kept) // parts + 1
        values = np.full((stop - first) * parts, NO_CHUNK, np.uint64)
        places = np.fromiter(kept, np.int64, len(kept)) - first * parts
        values[places] = np.fromiter(kept.values(), np.uint64, len(kept))
        sums.put(first, values.reshape(-1, *sums.row_shape))
        kept.clear()

    def truncate(self, rows: int) -> None:
        """Forget the chunks behind the last row that is left."""
        count = chunks_of(rows, self._frames)
        end = count * self._parts
        self.kept = {k: value for k, value in self.kept.items() if k < end}
        self._sums.resize(min(count, self._sums.rows))


def chunks_of(rows: int, frames: int) -> int:
    """Return how many chunks rows take along the first axis."""
    return -(-rows // frames)


def make_checksums(group: h5py.Group, frames: h5py.Dataset) -> None:
    """Make the dataset for the checksums of another one, in the same group."""
    assert frames.chunks is not None
    name = name_of(frames)
    if name + SUFFIX in group:
        text = "%s has no checksums: another %s is in the way"
        logger.warning(text, frames.name, name + SUFFIX)
        return
    count = frames.shape[1] // frames.chunks[1]
    parts = () if count == 1 else (count,)
    dataset = group.create_dataset(
        name + SUFFIX,
        shape=(0, *parts),
        maxshape=(None, *parts),
        chunks=(max(1, KEPT_IN_CHUNK // count), *parts),
        dtype=np.uint64,
        fillvalue=NO_CHUNK,
    )
    dataset.attrs["algorithm"] = ALGORITHM
    dataset.attrs["content"] = f"of each chunk of {name} as stored; 0: there is none"


def name_of(dataset: h5py.Dataset) -> str:
    """Return the name of a dataset within its group."""
    return (dataset.name or "").rpartition("/")[2]


def sums_of(group: h5py.Group, frames: h5py.Dataset) -> Extendable | None:
    """Return the checksums of a dataset of frames; None where it has none."""
    name = name_of(frames) + SUFFIX
    found = Extendable.find(group, name)
    if found is None or group[name].attrs.get("algorithm") != ALGORITHM:
        return None
    return found if frames.chunks is not None else None


def trim_checksums(group: h5py.Group, frames: h5py.Dataset) -> None:
    """Keep the checksums of the rows that are left, after the frames were cut.

    A chunk of several frames may hold what came after the last flush, or may have been
    written anew when it was cut: its checksum is that of what is there now.
    """
    sums, chunks = sums_of(group, frames), frames.chunks
    if sums is None or chunks is None:
        return
    sums.resize(chunks_of(len(frames), chunks[0]))
    if chunks[0] > 1 and sums.rows:
        frames.flush()
        last = sums.rows - 1
        offset = (last * chunks[0], *[0] * (frames.ndim - 1))
        sums.put(last, np.array([_digest_at(frames, offset)], np.uint64))


def _digest_at(frames: h5py.Dataset, offset: tuple[int, ...]) -> int:
    try:
        _, stored = frames.id.read_direct_chunk(offset)
    except (OSError, RuntimeError):  # nothing but holes
        return NO_CHUNK
    return digest(stored)
