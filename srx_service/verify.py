"""Whether files are as they were written: `srx verify FILE…`.

Exit codes: 0 all are whole; 1 one is damaged; 2 one cannot be judged: it is not there,
is no HDF5 file, or is still being written.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import h5py
import msgspec

from srx_service.checksums import sums_of
from srx_service.errors import SrxError
from srx_service.inspection.chunks import inspect_chunks
from srx_service.inspection.findings import UNREADABLE, Findings, cause_of
from srx_service.inspection.objects import inspect_objects
from srx_service.inspection.rows import holes_in, inspect_counts, inspect_rows
from srx_service.rows import Rows, find_rows
from srx_service.superblock import SIGNATURE, SIZE, VERSION, Superblock

Verdict = Literal["whole", "damaged", "unreadable"]
EXIT_CODES: dict[Verdict, int] = {"whole": 0, "damaged": 1, "unreadable": 2}


class Unreadable(SrxError):
    """Nothing can be said of the file."""


class Report(msgspec.Struct, frozen=True):
    """What is said of one file."""

    file: str
    verdict: Verdict
    found: Findings

    def __str__(self) -> str:
        found = self.found
        parts = [f"{self.file}: {self.verdict}"]
        if found.rows is not None:
            parts.append(f"{found.rows} rows in {found.chunks} chunks")
            parts.append(f"{found.compared} checksums compared")
            parts.append(f"{found.decoded} chunks decoded")
        texts = found.problems + [f"remark: {text}" for text in found.remarks]
        return "".join(["; ".join(parts), *(f"\n  {text}" for text in texts)])


def verify(path: Path, *, decode: bool = False) -> Report:
    """Look at a file, which is left as it is.

    Args:
        path: Of the file.
        decode: True: decode all pixels, also where there are checksums to compare.
    """
    found = Findings()
    try:
        size_bytes = _look_at_head(path, found)
        if not found.problems:
            with h5py.File(path) as file:
                _inspect(file, size_bytes, found, decode=decode)
    except (Unreadable, BlockingIOError, PermissionError) as error:
        found.damage([cause_of(error)])
        return Report(str(path), "unreadable", found)
    except UNREADABLE as error:
        found.damage([f"cannot be read: {cause_of(error)}"])
    return Report(str(path), "damaged" if found.problems else "whole", found)


def main(argv: Sequence[str] | None = None) -> int:
    """Verify the files named; return the worst of their exit codes."""
    parser = argparse.ArgumentParser(
        prog="srx verify",
        description="Tell whether files are as they were written.",
        epilog="Exit codes: 0 whole, 1 damaged, 2 cannot be judged.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    text = "decode all pixels, not only those without checksums"
    parser.add_argument("--decode", action="store_true", help=text)
    parser.add_argument(
        "--json", action="store_true", help="answer with a JSON object a line"
    )
    arguments = parser.parse_args(argv)
    code = 0
    for path in arguments.files:
        report = verify(path, decode=arguments.decode)
        text = msgspec.json.encode(report).decode() if arguments.json else str(report)
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        code = max(code, EXIT_CODES[report.verdict])
    return code


def _look_at_head(path: Path, found: Findings) -> int:
    """Return the bytes of a file that can be opened.

    Raises:
        Unreadable: It cannot.
    """
    try:
        with path.open("rb") as file:
            head = file.read(SIZE)
        size_bytes = path.stat().st_size
    except OSError as error:
        raise Unreadable(f"cannot be opened: {error.strerror}") from error
    if not head.startswith(SIGNATURE):
        raise Unreadable("no HDF5 file")
    if len(head) < SIZE:
        found.damage([f"truncated: {size_bytes} bytes"])
    elif head[len(SIGNATURE)] >= VERSION:
        _look_at_superblock(head, size_bytes, found)
    return size_bytes


def _look_at_superblock(head: bytes, size_bytes: int, found: Findings) -> None:
    try:
        block = Superblock.from_bytes(head)
    except ValueError as error:
        found.damage([str(error)])
        return
    if block.flags:
        text = "is being written, or its writer was killed; then `srx repair` mends it"
        raise Unreadable(text)
    if block.end > size_bytes:
        found.damage([f"truncated: {size_bytes} of {block.end} bytes"])


def _inspect(
    file: h5py.File, size_bytes: int, found: Findings, *, decode: bool
) -> None:
    rows = next(iter(find_rows(file)), None)
    frames = None if rows is None or rows.frames.ndim < 2 else rows.frames
    if rows is not None and frames is not None:
        inspect_rows(rows, frames, found)
        _inspect_chunks(rows, frames, found, decode=decode)
    inspect_objects(file, size_bytes, frames, found)
    inspect_counts(file, rows, found)


def _inspect_chunks(
    rows: Rows, frames: h5py.Dataset, found: Findings, *, decode: bool
) -> None:
    sums = sums_of(rows.group, frames)
    values = None if sums is None else sums.read()
    inspect_chunks(frames, values, holes_in(rows.group), found, decode=decode)
