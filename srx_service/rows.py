"""The rows of a file: what has one per frame, and how many of them are durable."""

import re
from collections.abc import Iterator

import h5py
import numpy as np

from srx_service.checksums import sums_of, trim_checksums
from srx_service.columns import ROW_WISE

SEQUENCE = "sequence_number"
LISTS = ("missing_frames", "missing_reason")
"""Beside the rows, but not one per frame: the rows that are holes, and why."""
HEADER_LOG = "header_log"
HEAD_BYTES = 64
"""Of its first line, which begins with the row."""


class Rows:
    """The datasets of one group that have one row per frame.

    Args:
        group: Where they are.
        members: By name; at least one.
    """

    def __init__(self, group: h5py.Group, members: dict[str, h5py.Dataset]) -> None:
        self.group = group
        self.members = members

    @property
    def frames(self) -> h5py.Dataset:
        """The images, or what else is largest."""
        return max(self.members.values(), key=_weight)

    def durable(self) -> int:
        """Return how many rows both the frames and their sequence numbers have."""
        frames = self.frames
        rows = min(len(frames), len(self.members.get(SEQUENCE, frames)))
        return min(rows, self._summed(frames))

    def _summed(self, frames: h5py.Dataset) -> int:
        """Return how many of the rows their checksums reach, if they have some."""
        sums = sums_of(self.group, frames)
        if sums is None or frames.chunks is None:
            return len(frames)
        return sums.rows * frames.chunks[0]

    def images(self) -> int:
        """Return how many rows hold an image that is in the counts of the file."""
        holes = _dataset(self.group, LISTS[0])
        lost = 0 if holes is None else len(holes)
        return max(0, self.durable() - self.first_counted() - lost)

    def first_counted(self) -> int:
        """Return the first row that is: those before are of another program."""
        log = _dataset(self.group, HEADER_LOG)
        head = b"" if log is None else np.asarray(log[:HEAD_BYTES]).tobytes()
        found = re.match(rb'\{"row": *(\d+)', head)
        return int(found[1]) if found else 0

    def trim(self, rows: int) -> dict[str, int]:
        """Bring all to one length; return the rows taken off, by dataset."""
        taken_off = {}
        for name, member in self.members.items():
            if len(member) > rows:
                taken_off[f"{self.group.name}/{name}"] = len(member) - rows
            # a shorter one too: what is appended must stand beside its own frame
            if len(member) != rows:
                member.resize(rows, axis=0)
            trim_checksums(self.group, member)
        self._trim_lists(rows)
        return taken_off

    def _trim_lists(self, rows: int) -> None:
        lists = [_dataset(self.group, name) for name in LISTS]
        if lists[0] is None:
            return
        kept = int(np.count_nonzero(np.asarray(lists[0][:]) < rows))
        kept = min(kept, *(len(found) for found in lists if found is not None))
        for found in lists:
            if found is not None and len(found) != kept:
                found.resize(kept, axis=0)


def find_rows(file: h5py.File) -> list[Rows]:
    """Return all there are, by group.

    The frames are in /entry/data as well, by a link, but without sequence numbers:
    groups that have these go first.
    """
    found = [rows for group in _groups(file) if (rows := _rows(group)) is not None]
    return [rows for rows in found if SEQUENCE in rows.group] or found


def count_frames(file: h5py.File) -> int | None:
    """Return the frames in a file; None where nothing was made for frames."""
    return max((rows.durable() for rows in find_rows(file)), default=None)


def _groups(file: h5py.File) -> Iterator[h5py.Group]:
    found = [file["/"]]
    file.visititems(lambda _, each: found.append(each))
    return (each for each in found if isinstance(each, h5py.Group))


def _rows(group: h5py.Group) -> Rows | None:
    names: list[str] = list(group)
    datasets = ((name, _dataset(group, name)) for name in names)
    members = {
        name: found
        for name, found in datasets
        if found is not None and _is_row_wise(name, found, group)
    }
    if not members.keys() - {SEQUENCE}:
        return None
    return Rows(group, members)


def _dataset(group: h5py.Group, name: str) -> h5py.Dataset | None:
    link = group.get(name, getlink=True)
    found = group[name] if isinstance(link, h5py.HardLink) else None
    return found if isinstance(found, h5py.Dataset) else None


def _is_row_wise(name: str, found: h5py.Dataset, group: h5py.Group) -> bool:
    if (found.maxshape or ())[:1] != (None,):
        return False
    if ROW_WISE in found.attrs:
        return True
    # the predecessor's files, which may be appended to, have no such attribute
    is_known = name in (SEQUENCE, "timestamp") or found.ndim > 2
    return is_known and SEQUENCE in group


def _weight(dataset: h5py.Dataset) -> tuple[bool, int]:
    """Frames weigh more than what is told of them."""
    return dataset.ndim > 2, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:]))
