"""One acquisition's HDF5 file, from its making to its closing.

Made at the arm or the Start, its datasets at the first image, then SWMR: from there on
no object is made, so that readers and a kill -9 find a file that is whole up to the
last flush. See docs/explanations/hdf5-layout.md.
"""

import errno
import json
import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal

import h5py
import msgspec
import numpy as np

from srx_service import layout
from srx_service.acquisitions import COUNTS, Acquisition
from srx_service.columns import ROW_WISE, Columns
from srx_service.errors import WriteError
from srx_service.messages import Image, Start
from srx_service.openfiles import OpenFiles
from srx_service.orders import LossReason
from srx_service.pixels import (
    FILTERS,
    Pixels,
    encoding_of,
    fill_value_for,
    frames_per_chunk,
    name_of,
    unusable,
)

logger = logging.getLogger(__name__)

SWMR_SUPERBLOCK = 3


class FileOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How files are made: see the keys of the same names in detectors.yaml."""

    file_mode: int | None = None
    dir_mode: int | None = None
    frames_per_chunk: int | Literal["auto"] = 1
    fill_value: float | None = None
    fsync: Literal["never", "close", "flush"] = "close"
    version: str = ""
    """Of the service, written beside the data."""


class AcquisitionFile:
    """The open file of one acquisition. Used by the writer's thread alone.

    Every method raises WriteError, with path and cause, where the storage fails.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        options: FileOptions,
        open_files: OpenFiles,
        *,
        append: bool,
    ) -> None:
        assert acquisition.file is not None
        self.path = Path(acquisition.file)
        self._acquisition = acquisition
        self._options = options
        self._pixels: Pixels | None = None
        self._columns: Columns | None = None
        self._losses: list[tuple[int, int]] = []
        self._log: list[bytes] = []
        self._early: list[tuple[int, LossReason]] = []
        """Rows lost before the first image made the dataset."""
        self._base = 0
        """Rows the file held before this acquisition."""
        self._count_row: int | None = None
        self._has_begun = False
        """True once the first image has been found to fit."""
        self._guard = ExitStack()
        self.is_dirty = False
        with self._told("cannot make"):
            self._file = self._open(open_files, append=append)

    @property
    def base(self) -> int:
        """Rows that earlier acquisitions left in the file."""
        return self._base

    @property
    def _group(self) -> h5py.Group:
        return layout.group_of(self._file, self._acquisition.dataset)

    # -- making -----------------------------------------------------------------------

    def _open(self, open_files: OpenFiles, *, append: bool) -> h5py.File:
        self._make_folders()
        with ExitStack() as guard:
            guard.enter_context(open_files.lock_file(self.path))
            open_files.add(self.path, self._acquisition.id)
            guard.callback(open_files.remove, self.path)
            if append and self.path.exists() and self.path.stat().st_size:
                # a reader of the closed file would block HDF5's lock; ours is taken
                file = h5py.File(self.path, "r+", libver="latest", locking=False)
                guard.callback(file.close)
                self._resume(file)
            else:
                file = h5py.File(self.path, "w" if append else "w-", libver="latest")
                guard.callback(file.close)
                self._make(file)
            self._guard = guard.pop_all()
        return file

    def _make_folders(self) -> None:
        missing = [p for p in self.path.parents if not p.exists()]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._options.dir_mode is not None:
            for folder in missing:
                folder.chmod(self._options.dir_mode)

    def _make(self, file: h5py.File) -> None:
        if self._options.file_mode is not None:
            self.path.chmod(self._options.file_mode)
        acquisition, dataset = self._acquisition, self._acquisition.dataset
        group = layout.make_groups(file, dataset)
        layout.make_entry(file, dataset)
        info = {
            "id": acquisition.id,
            "origin": acquisition.origin,
            "created_s": acquisition.created_s,
            "service": f"srx {self._options.version}",
            "metadata": dict(acquisition.request.metadata),
        }
        if isinstance(file.get("/entry"), h5py.Group):
            layout.make_acquisition(file, info)
        layout.make_logs(group, layout.split(dataset)[1])
        file.flush()

    def _resume(self, file: h5py.File) -> None:
        info = file.get("/entry/acquisition")
        if isinstance(info, h5py.Group) and info.attrs.get("origin") == "api":
            text = f"{self.path} was made for acquisition {info.attrs.get('id')}"
            raise WriteError(
                f"{text}; a stream's file name never appends to such a file"
            )
        found = file.get(self._acquisition.dataset)
        if found is None:
            return
        if not isinstance(found, h5py.Dataset) or (found.maxshape or ())[:1] != (None,):
            text = f"{self.path}: {self._acquisition.dataset} is not an extendable"
            raise WriteError(f"{text} dataset; it is left as it is")
        encoding = encoding_of(found)
        if encoding is None:
            text = f"{self.path}: {found.name} has filters this service does not write"
            raise WriteError(f"{text}; it is left as it is")
        self._use(file, found, encoding, first=None)

    # -- series -----------------------------------------------------------------------

    def header(self, start: Start, row: int) -> None:
        """Keep what the source says of a series that begins at `row`."""
        with self._told("cannot write the header to"):
            entry = {"row": self._base + row, "series": start.series}
            line = json.dumps(entry | {"header": start.metadata}, default=str)
            self._log.append(line.encode() + b"\n")
            _, name = layout.split(self._acquisition.dataset)
            group = self._group
            is_first = self._pixels is None and "header_json" not in group
            if is_first and "sequence_number" not in group:
                layout.save_header(group, start, name)
                self._file.flush()

    def _first_image(self, image: Image) -> None:
        """Make what the first image decides: dataset and columns; then SWMR."""
        self._must_be_as_armed(image)
        if self._pixels is None:
            with self._told("cannot make the dataset in"):
                self._make_datasets(image)
        self._has_begun = True
        early, self._early = self._early, []
        for count, reason in early:
            self.holes(count, reason)

    def _must_be_as_armed(self, image: Image) -> None:
        request = self._acquisition.request
        shape, dtype = request.shape, request.dtype
        is_other = shape is not None and tuple(shape) != image.shape
        if is_other or (dtype is not None and dtype != image.dtype):
            raise WriteError(
                f"the first frame is {image.dtype} {image.shape}, but the acquisition "
                f"was armed for {dtype or 'any dtype'} {shape or 'any shape'}"
            )

    def _make_datasets(self, image: Image) -> None:
        dtype = np.dtype(image.dtype)
        nbytes = int(np.prod(image.shape)) * dtype.itemsize
        wanted = self._options.frames_per_chunk
        parts = len(image.blobs)
        if len(image.shape) < 2 or image.shape[0] % parts:
            parts = 1
        chunk = (frames_per_chunk(wanted, image, nbytes), *image.shape)
        if parts > 1:
            chunk = (1, image.shape[0] // parts, *image.shape[1:])
        code, values = FILTERS.get(image.encoding, (None, None))
        fill = self._options.fill_value
        dataset = self._file.create_dataset(
            self._acquisition.dataset,
            shape=(0, *image.shape),
            maxshape=(None, *image.shape),
            chunks=chunk,
            dtype=dtype,
            compression=code,
            compression_opts=values,
            fillvalue=fill_value_for(dtype) if fill is None else fill,
        )
        dataset.attrs[ROW_WISE] = "one per frame"
        layout.link_data(self._file, self._acquisition.dataset)
        encoding = image.encoding if image.encoding in FILTERS else "none"
        self._use(self._file, dataset, encoding, first=image)

    def _use(
        self,
        file: h5py.File,
        dataset: h5py.Dataset,
        encoding: str,
        *,
        first: Image | None,
    ) -> None:
        group = layout.group_of(file, self._acquisition.dataset)
        _, name = layout.split(self._acquisition.dataset)
        self._pixels = Pixels(dataset, encoding)
        self._columns = Columns(group, first, {name} | layout.RESERVED)
        self._base = self._pixels.rows
        self._columns.truncate(self._base)
        self._add_count_row(file)
        self._tell(dataset, encoding)
        if superblock_of(file) >= SWMR_SUPERBLOCK:
            file.flush()
            file.swmr_mode = True
        else:
            self._acquisition.note = (
                f"{self.path} was made by an older HDF5 and cannot be read while it is "
                "written; it is flushed as usual"
            )

    def _tell(self, dataset: h5py.Dataset, encoding: str) -> None:
        acquisition = self._acquisition
        acquisition.shape = tuple(dataset.shape[1:])
        acquisition.dtype = name_of(dataset.dtype)
        acquisition.chunk = tuple(dataset.chunks or ())
        acquisition.encoding = encoding

    def _add_count_row(self, file: h5py.File) -> None:
        counts = layout.dataset_in(file, layout.COUNTS_PATH)
        if counts is not None and self._count_row is None:
            row: int = counts.shape[0]
            counts.resize(row + 1, axis=0)
            self._count_row = row

    # -- rows -------------------------------------------------------------------------

    def rows(self, images: Sequence[Image], arrival_s: float) -> list[tuple[int, str]]:
        """Write images to the next rows; return those that do not fit, and why."""
        if not self._has_begun:
            causes = [unusable(image) for image in images]
            if all(causes):
                self._early.append((len(images), "rejected"))
                return [(k, cause) for k, cause in enumerate(causes) if cause]
            self._first_image(images[causes.index(None)])
        pixels, columns = self._pixels, self._columns
        assert pixels is not None
        assert columns is not None
        with self._told("cannot write to"):
            row = pixels.rows
            rejected = pixels.write(images)
            columns.extend(images, arrival_s)
            for index, _ in rejected:
                self._losses.append((row + index, layout.REASONS["rejected"]))
            self.is_dirty = True
        return rejected

    def holes(self, count: int, reason: LossReason) -> None:
        """Leave rows empty."""
        pixels, columns = self._pixels, self._columns
        if not self._has_begun or pixels is None or columns is None:
            self._early.append((count, reason))
            return
        with self._told("cannot write to"):
            code = layout.REASONS[reason]
            rows = range(pixels.rows, pixels.rows + count)
            pixels.skip(count)
            columns.skip(count)
            self._losses.extend((row, code) for row in rows)
            self.is_dirty = True

    def rewind(self, row: int) -> None:
        """Take back this acquisition's rows from `row` on."""
        if self._pixels is None or self._columns is None:
            return
        with self._told("cannot take back rows in"):
            rows = self._base + row
            self._pixels.truncate(rows)
            self._columns.truncate(rows)
            self._write_losses()
            self._drop_losses(rows)
            self.flush()

    def _drop_losses(self, rows: int) -> None:
        listed = layout.dataset_in(self._group, "missing_frames")
        reasons = layout.dataset_in(self._group, "missing_reason")
        if listed is None or reasons is None:
            return
        kept = int(np.count_nonzero(listed[:] < rows))
        listed.resize(kept, axis=0)
        reasons.resize(kept, axis=0)

    # -- durable ----------------------------------------------------------------------

    def flush(self) -> None:
        """Make every row durable: it survives a kill -9 from here on."""
        with self._told("cannot flush"):
            if self._pixels is not None and self._columns is not None:
                self._pixels.settle()
                self._columns.write()
            self._write_losses()
            self._write_log()
            self._write_counts()
            self._file.flush()
            if self._options.fsync == "flush":
                self._sync()
            self.is_dirty = False

    def _write_losses(self) -> None:
        losses, self._losses = self._losses, []
        if losses:
            rows, reasons = zip(*losses, strict=True)
            self._append("missing_frames", np.array(rows, np.uint64))
            self._append("missing_reason", np.array(reasons, np.uint8))

    def _write_log(self) -> None:
        lines, self._log = self._log, []
        if lines:
            self._append("header_log", np.frombuffer(b"".join(lines), np.uint8))

    def _append(self, name: str, values: np.ndarray) -> None:
        dataset = layout.dataset_in(self._group, name)
        if dataset is not None:
            row = dataset.shape[0]
            dataset.resize(row + len(values), axis=0)
            dataset[row:] = values

    def _write_counts(self) -> None:
        dataset = layout.dataset_in(self._file, layout.COUNTS_PATH)
        if self._count_row is not None and dataset is not None:
            counts = self._acquisition.counts.as_dict()
            dataset[self._count_row] = [counts[name] for name in COUNTS]

    def _sync(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Flush and close; the file is whole afterwards, with or without frames."""
        try:
            with self._told("cannot close"):
                if self._pixels is None:
                    self._close_empty()
                self.flush()
        finally:
            # also after an error: a file left open would block its next user
            with self._told("cannot close"):
                self._guard.close()
        if self._options.fsync != "never":
            with self._told("cannot sync"):
                self._sync()

    def _close_empty(self) -> None:
        self._columns = Columns(self._group, None, set())
        self._columns.write()
        self._columns = None
        self._add_count_row(self._file)

    def _told(self, what: str) -> "_Told":
        return _Told(what, self.path)


class _Told:
    """Makes a WriteError with path and cause of what HDF5 and the system raise."""

    def __init__(self, what: str, path: Path) -> None:
        self._what = what
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(
            error, OSError | RuntimeError | ValueError | KeyError | TypeError
        ):
            raise WriteError(f"{self._what} {self._path}: {_cause(error)}") from error


def _cause(error: BaseException) -> str:
    number = getattr(error, "errno", None)
    if isinstance(error, FileExistsError):
        return "the file exists and is never overwritten; choose another name"
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{os.strerror(number)}: free space and start the next acquisition"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{os.strerror(number)}: the service's user may not write there"
    return " ".join(str(error).split()) or type(error).__name__


def superblock_of(file: h5py.File) -> int:
    """Return the version of the superblock: SWMR needs 3."""
    versions: tuple[int, ...] = file.id.get_create_plist().get_version()
    return versions[0]
