"""What is in a file of the acquisition that wrote it last, after its writer's end."""

import re
from pathlib import Path

import h5py
import msgspec
import numpy as np

from srx_service.errors import WriteError
from srx_service.filecounts import counts_in
from srx_service.holes import TOLD
from srx_service.layout import HEADER_LOG, MISSING, group_of, made_by
from srx_service.pixels import H5_ERRORS
from srx_service.rows import count_frames

_LINE = re.compile(
    rb'^\{"row": ?(\d+), ?"series": ?[^,]*, ?"acquisition": ?"(\w+)"', re.MULTILINE
)
"""The beginning of a line of the log of headers."""


class Remains(msgspec.Struct, frozen=True, kw_only=True):
    """Of the last acquisition that has rows in a file."""

    acquisition: str
    """Its id; of a file without a header: of the one that the file was made for."""
    rows: int
    holes: list[int]
    """The last of its rows without a frame."""
    counts: dict[str, int] | None
    """As the file tells them; None where it holds none, or no row of them."""


def remains_of(path: Path, dataset: str) -> Remains:
    """Look into a file that nobody writes.

    Raises:
        WriteError: It is not there, or cannot be read.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            return _remains(file, dataset)
    except (*H5_ERRORS, KeyError) as error:
        raise WriteError(f"{path}: {error}") from error


def _remains(file: h5py.File, dataset: str) -> Remains:
    group = group_of(file, dataset)
    begun = [(id.decode(), int(row)) for row, id in _LINE.findall(_bytes(group))]
    acquisition = begun[-1][0] if begun else made_by(file)[1]
    base = min((row for id, row in begun if id == acquisition), default=0)
    rows = max(0, (count_frames(file) or 0) - base)
    every = counts_in(file)
    return Remains(
        acquisition=acquisition,
        rows=rows,
        holes=[row - base for row in _listed(group) if row >= base],
        counts=every[-1] if every and rows else None,
    )


def _bytes(group: h5py.Group) -> bytes:
    found = group.get(HEADER_LOG)
    return np.asarray(found).tobytes() if isinstance(found, h5py.Dataset) else b""


def _listed(group: h5py.Group) -> list[int]:
    found = group.get(MISSING)
    return found[-TOLD:].tolist() if isinstance(found, h5py.Dataset) else []
