"""Every chunk of the frames is there, and is what was stored."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import h5py
import numpy as np

from srx_service.checksums import NO_CHUNK, digest
from srx_service.inspection.findings import UNREADABLE, Findings, cause_of


class Grid(NamedTuple):
    """How chunks divide a dataset: along its rows, and along the lines of a frame."""

    frames: int
    """Rows in a chunk."""
    step: int
    """Lines of a frame in a chunk."""
    parts: int
    """Chunks that a frame takes."""
    rank: int

    @classmethod
    def of(cls, dataset: h5py.Dataset) -> "Grid | None":
        """Return that of a dataset; None where chunks are not whole lines."""
        chunks, shape = dataset.chunks, dataset.shape
        if chunks is None or len(shape) < 2 or chunks[2:] != shape[2:]:
            return None
        return cls(chunks[0], chunks[1], -(-shape[1] // chunks[1]), len(shape))

    def offset(self, place: int) -> tuple[int, ...]:
        """Return where in the dataset a chunk begins."""
        row, part = divmod(place, self.parts)
        return (row * self.frames, part * self.step, *[0] * (self.rank - 2))

    def place(self, offset: tuple[int, ...]) -> int:
        """Return which chunk begins there."""
        return offset[0] // self.frames * self.parts + offset[1] // self.step


def inspect_chunks(
    dataset: h5py.Dataset,
    sums: np.ndarray | None,
    holes: np.ndarray | None,
    found: Findings,
    *,
    decode: bool,
) -> None:
    """Compare each chunk with its checksum; decode it where there is none.

    Args:
        dataset: Of the frames.
        sums: The checksums.
        holes: The rows that hold no frame; None where the file does not list them.
        found: What is wrong is added to it.
        decode: True: decode also what has a checksum.
    """
    grid = Grid.of(dataset)
    if grid is None:
        _decode_all(dataset, found)
        return
    there = _chunks_of(dataset, grid)
    found.chunks, found.size_bytes = len(there), sum(there.values())
    if holes is not None:
        found.damage([*_misfits(there, grid, len(dataset), holes)])
    if sums is not None:
        found.damage([*_changed(dataset, there, grid, sums.ravel(), found)])
    if sums is None or decode:
        found.damage([*_undecodable(dataset, there, grid, found)])


def _chunks_of(dataset: h5py.Dataset, grid: Grid) -> dict[int, int]:
    """Return the bytes of each chunk that is there, by its place."""
    there: dict[int, int] = {}

    def look(chunk: h5py.h5d.StoreInfo) -> None:
        there[grid.place(chunk.chunk_offset)] = chunk.size

    dataset.id.chunk_iter(look)
    return dict(sorted(there.items()))


def _misfits(
    there: dict[int, int], grid: Grid, rows: int, holes: np.ndarray
) -> Iterator[str]:
    """Yield the chunks that are gone, and those that should not be."""
    has_frame = np.ones(rows + -rows % grid.frames, bool)
    has_frame[rows:] = False
    has_frame[holes[holes < rows].astype(int)] = False
    wanted = np.repeat(has_frame.reshape(-1, grid.frames).any(axis=1), grid.parts)
    is_there = np.zeros(len(wanted), bool)
    is_there[[place for place in there if place < len(wanted)]] = True
    for place in np.flatnonzero(wanted & ~is_there).tolist():
        yield f"{_named(grid, place)} is gone, and not in missing_frames"
    if grid.frames == 1:
        for place in np.flatnonzero(is_there & ~wanted).tolist():
            yield f"{_named(grid, place)} is there, but in missing_frames"


def _changed(
    dataset: h5py.Dataset,
    there: dict[int, int],
    grid: Grid,
    sums: np.ndarray,
    found: Findings,
) -> Iterator[str]:
    """Yield the chunks that are not what their checksums tell of."""
    for place in np.flatnonzero(sums != NO_CHUNK).tolist():
        if place not in there:
            yield f"{_named(grid, place)} is gone, its checksum is there"
    for place in there:
        kept = int(sums[place]) if place < len(sums) else NO_CHUNK
        if kept == NO_CHUNK:
            yield f"{_named(grid, place)} has no checksum"
            continue
        try:
            _, stored = dataset.id.read_direct_chunk(grid.offset(place))
        except UNREADABLE as error:
            yield f"{_named(grid, place)} cannot be read: {cause_of(error)}"
            continue
        found.compared += 1
        if digest(stored) != kept:
            yield f"{_named(grid, place)} has changed since it was written"


def _undecodable(
    dataset: h5py.Dataset, there: dict[int, int], grid: Grid, found: Findings
) -> Iterator[str]:
    """Yield the chunks that HDF5 cannot read."""
    for row, places in itertools.groupby(there, lambda place: place // grid.parts):
        first = row * grid.frames
        try:
            _ = dataset[first : first + grid.frames]
        except UNREADABLE as error:
            name = _named(grid, row * grid.parts)
            yield f"{name} cannot be decoded: {cause_of(error)}"
        else:
            found.decoded += sum(1 for _ in places)


def _decode_all(dataset: h5py.Dataset, found: Findings) -> None:
    try:
        for row in range(len(dataset)):
            _ = dataset[row]
    except UNREADABLE as error:
        found.damage([f"{dataset.name} cannot be read: {cause_of(error)}"])


def _named(grid: Grid, place: int) -> str:
    """Return a chunk in words."""
    row, line, *_ = grid.offset(place)
    rows = f"row {row}" if grid.frames == 1 else f"rows from {row} on"
    return f"the chunk of {rows}" + (f", lines from {line} on" if line else "")
