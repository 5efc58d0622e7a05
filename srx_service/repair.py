"""Files that a killed service left open are made readable again: `srx repair FILE…`.

Such a file says in its superblock that it is being written, so that HDF5 opens it with
swmr=True at most. Repairing writes 48 bytes (flags, end of file, checksum) and takes
off the rows that were not flushed. First the file is read as it would be with those
bytes: what cannot be read then is left as it is.
"""

import argparse
import contextlib
import dataclasses
import fcntl
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import msgspec

from srx_service.completing import complete_holes
from srx_service.errors import WriteError
from srx_service.filecounts import complete_counts
from srx_service.openfiles import NO_LOCKS, FileLock, OpenFiles
from srx_service.rows import count_frames, find_rows
from srx_service.superblock import (
    SIGNATURE,
    SIZE,
    Superblock,
    open_patched,
    write_head,
)

logger = logging.getLogger(__name__)

SWMR = 4
"""The flag of a file whose objects are all made and flushed."""
UNREADABLE = (OSError, RuntimeError, KeyError, ValueError)
"""What h5py raises at a damaged file, by the part that is damaged."""


class Unrepairable(WriteError):
    """The file is damaged, foreign or empty; it was left as it is."""


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What was found and done."""

    path: Path
    was_open: bool
    """False: the file was whole and was left as it is, byte for byte."""
    rows: int | None
    """Frames in it now; None where it has no dataset for frames."""
    taken_off: dict[str, int] = dataclasses.field(default_factory=dict)
    """Rows that were not durable, by dataset."""
    holes: int = 0
    """Empty rows that its writer had not told of yet."""

    def __str__(self) -> str:
        rows = "no frames" if self.rows is None else f"{self.rows} frames"
        if not self.was_open:
            return f"{self.path}: whole, left as it was; {rows}"
        text = f"{self.path}: left open by its writer, opens again; {rows}"
        if self.taken_off:
            cut = ", ".join(f"{n} of {name}" for name, n in self.taken_off.items())
            text += f"; rows taken off that were not durable yet: {cut}"
        if self.holes:
            text += f"; empty rows added to missing_frames: {self.holes}"
        return text


def repair(path: Path, *, durable_rows: int | None = None) -> Report:
    """Make a file that was left open readable by every reader.

    Args:
        path: The file; one that is whole is left as it is.
        durable_rows: How many rows count; None: as many as frames and their sequence
            numbers both have.

    Raises:
        Unrepairable: It is damaged, foreign or empty.
        WriteError: It is being written, or the storage refuses.
    """
    if not path.is_file():
        raise WriteError(f"{path}: no such file")
    try:
        block = _superblock(path)
        if not block.flags and (report := _whole(path, block)):
            return report
        with FileLock(path, f"srx repair (process {os.getpid()})") as lock:
            _must_be_alone(path, lock)
            return _repair(path, _superblock(path), durable_rows)
    except OSError as error:
        raise WriteError(f"{path}: {_text(error)}") from error


def repair_left_over(
    open_files: OpenFiles, repair: Callable[[Path], Report] = repair
) -> dict[Path, Report | WriteError]:
    """Repair what the last life left open; what cannot be for now stays listed."""
    reports: dict[Path, Report | WriteError] = {}
    for path in open_files.left_over():
        try:
            reports[path] = report = repair(path)
            logger.warning("%s", report)
        except Unrepairable as error:
            reports[path] = error
            logger.error("after a crash: %s", error)
        except WriteError as error:
            reports[path] = error
            if path.exists() or not path.parent.exists():
                logger.error("after a crash: %s; tried again at the next start", error)
                continue
            logger.warning("%s was left open by a crash, and is gone", path)
        open_files.remove(path)
    return reports


def main(argv: Sequence[str] | None = None) -> int:
    """Repair the files named; 0 when all of them can be read now, else 1."""
    parser = argparse.ArgumentParser(
        prog="srx repair", description="Make readable what a killed service left open."
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument(
        "--rows", type=int, metavar="N", help="rows to keep (default: all durable ones)"
    )
    arguments = parser.parse_args(argv)
    if arguments.rows is not None and arguments.rows < 0:
        parser.error("--rows: 0 or more")
    status = 0
    for path in arguments.files:
        try:
            print(repair(path, durable_rows=arguments.rows))
        except WriteError as error:
            print(f"srx repair: {error}", file=sys.stderr)
            status = 1
    return status


# -- what is there ---------------------------------------------------------------------


def _superblock(path: Path) -> Superblock:
    with path.open("rb") as file:
        head = file.read(SIZE)
    if len(head) < SIZE and SIGNATURE.startswith(head[: len(SIGNATURE)]):
        text = f"{len(head)} bytes: its writer ended before anything was flushed"
        raise Unrepairable(f"{path}: {text}; it holds nothing and can be deleted")
    try:
        return Superblock.from_bytes(head)
    except ValueError as error:
        if head.startswith(SIGNATURE) and head[len(SIGNATURE)] < 3:
            return Superblock(base=0, extension=0, end=0, root=0, flags=0)
        raise Unrepairable(f"{path}: {error}") from error


def _whole(path: Path, block: Superblock) -> Report | None:
    """Return the report of a file that can be read as it is."""
    try:
        with h5py.File(path) as file:
            rows = _survey(file, path.stat().st_size)
    except UNREADABLE as error:
        if isinstance(error, BlockingIOError | PermissionError):
            raise
        if 0 < block.end < path.stat().st_size:
            return None  # `h5clear -s` takes the flags off, but leaves a wrong end
        raise Unrepairable(f"{path}: damaged, left as it is: {_text(error)}") from error
    return Report(path, was_open=False, rows=rows)


def _must_be_alone(path: Path, lock: FileLock) -> None:
    if not lock.is_held:
        text = "its file system has no locks, so a living writer cannot be told"
        raise WriteError(f"{path}: {text}; repair a copy on another disk")
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = "another process has it open for writing"
            raise WriteError(f"{path}: {text}; close it there first") from error
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise


def _survey(file: h5py.File, size: int) -> int | None:
    """Open every object, find every chunk within the file; return the frames.

    Raises:
        OSError, RuntimeError, KeyError, ValueError: Something of it cannot be read.
    """

    def look(_: str, found: object) -> None:
        if isinstance(found, h5py.Group | h5py.Dataset):
            for name in found.attrs:
                found.attrs.get_id(name)
        if isinstance(found, h5py.Dataset) and (end := _end(found)) > size:
            text = f"{found.name} goes on to byte {end}, the file has {size}"
            raise ValueError(f"truncated: {text}")

    file.visititems(look)
    return count_frames(file)


def _end(dataset: h5py.Dataset) -> int:
    """Return the byte after the last one of a dataset's storage."""
    if dataset.chunks is None:
        offset = dataset.id.get_offset()
        return 0 if offset is None else offset + dataset.id.get_storage_size()
    last = 0

    def look(chunk: h5py.h5d.StoreInfo) -> None:
        nonlocal last
        last = max(last, chunk.byte_offset + chunk.size)

    dataset.id.chunk_iter(look)
    return last


# -- what is done ----------------------------------------------------------------------


def _repair(path: Path, block: Superblock, durable_rows: int | None) -> Report:
    size = path.stat().st_size
    patched = msgspec.structs.replace(block, flags=0, end=size).as_bytes()
    try:
        with open_patched(path, patched) as raw, h5py.File(raw, "r") as file:
            _survey(file, size)
    except UNREADABLE as error:
        if block.flags & SWMR:
            text = f"damaged, left as it is: {_text(error)}"
        else:
            text = "its writer ended before anything was flushed: it holds nothing "
            text += f"that can be read, and can be deleted ({_text(error)})"
        raise Unrepairable(f"{path}: {text}") from error
    side = path.with_name(f"{path.name}.superblock")
    _save_head(path, side)
    write_head(path, patched)
    try:
        taken_off, holes = _trim(path, durable_rows)
        with h5py.File(path) as file:
            rows = _survey(file, path.stat().st_size)
    except UNREADABLE as error:
        text = f"{_text(error)}; its first {SIZE} bytes as they were are in {side}"
        raise WriteError(f"{path}: {text}") from error
    side.unlink()
    return Report(path, was_open=True, rows=rows, taken_off=taken_off, holes=holes)


def _trim(path: Path, durable_rows: int | None) -> tuple[dict[str, int], int]:
    """Return the rows taken off, and how many holes were not told of yet."""
    taken_off: dict[str, int] = {}
    count_holes = 0
    # without HDF5's own lock, which a reader that has the file open would hold up
    with h5py.File(path, "r+", libver=("v110", "v110"), locking=False) as file:
        for rows in find_rows(file):
            count = rows.durable()
            if durable_rows is not None:
                count = min(count, durable_rows)
            taken_off |= rows.trim(count)
            holes = complete_holes(rows)
            complete_counts(file, rows.images(), holes)
            count_holes += sum(holes.values())
    return taken_off, count_holes


def _save_head(path: Path, side: Path) -> None:
    # one that exists is of a repair that was broken off: it has the true original
    with contextlib.suppress(FileExistsError), side.open("xb") as copy:
        with path.open("rb") as file:
            copy.write(file.read(SIZE))
        copy.flush()
        os.fsync(copy.fileno())


def _text(error: BaseException) -> str:
    cause = error.strerror if isinstance(error, OSError) else None
    return cause or " ".join(str(error).split()) or type(error).__name__
