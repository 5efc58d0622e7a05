"""One acquisition's HDF5 file, from its making to its closing.

Made at the arm or the Start, its datasets at the first image, then SWMR: from there on
no object is made, so that readers and a kill -9 find a file that is whole up to the
last flush. See docs/explanations/hdf5-layout.md.
"""

from collections.abc import Sequence
from pathlib import Path

import h5py

from srx_service import layout, making
from srx_service.acquisitions import Acquisition
from srx_service.causes import Refused, told
from srx_service.checksums import Checksums, sums_of
from srx_service.columns import Columns, columns_in, make_columns, own_paths
from srx_service.errors import WriteError
from srx_service.fitting import Layout, name_of, unusable
from srx_service.logs import Logs
from srx_service.messages import Image, Start
from srx_service.metadata import as_json
from srx_service.nexus import Nexus
from srx_service.openfiles import OpenFiles
from srx_service.orders import LossReason
from srx_service.pixels import Pixels, Rejected
from srx_service.storage import FileOptions, Storage

__all__ = ["AcquisitionFile", "FileOptions", "Interrupted", "Refused"]


class Interrupted(WriteError):
    """The storage refused in the midst of some images.

    Args:
        text: What and why.
        kept: How many of them are in the file all the same.
        rejected: Which of those did not fit.
    """

    def __init__(self, text: str, kept: int, rejected: Rejected) -> None:
        super().__init__(text)
        self.kept = kept
        self.rejected = rejected


class AcquisitionFile:
    """The open file of one acquisition. Used by the writer's thread alone.

    Every method raises WriteError, with path and cause, where the storage fails, and
    Refused where the frames may not go into this file.
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
        self._dataset = acquisition.dataset
        self._pixels: Pixels | None = None
        self._columns: Columns | None = None
        """None until the first image that fits: before, no row is written."""
        self._early: list[tuple[int, LossReason]] = []
        """Rows lost before that."""
        self._has_header = True
        self._is_refused = False
        self.base = 0
        """Rows that earlier acquisitions left in the file."""
        self.is_dirty = False
        """True while something waits for a flush."""
        storage = Storage(self.path, acquisition.id, options, open_files, append=append)
        self._storage = storage
        self._logs = Logs(storage.file, self._dataset)
        self._nexus = Nexus(storage.file, acquisition, options.nexus)
        what = "cannot make" if storage.is_new else "cannot append to"
        try:
            with told(what, self.path, refused=not storage.is_new):
                self._prepare(storage)
        except BaseException:
            storage.discard()
            raise

    def _prepare(self, storage: Storage) -> None:
        file = storage.file
        found = None if storage.is_new else making.frames_in(file, self._dataset)
        if found is not None:
            self._use(*found)
            return
        acquisition, version = self._acquisition, self._options.version
        self._has_header = making.prepare(file, acquisition, version)
        _, own_name = layout.split(self._dataset)
        acquisition.columns = own_paths(self._group, own_name)

    @property
    def _group(self) -> h5py.Group:
        return layout.group_of(self._storage.file, self._dataset)

    def _use(self, dataset: h5py.Dataset, there: Layout) -> None:
        """Let frames go into a dataset, and readers see them."""
        sums = sums_of(self._group, dataset)
        checksums = None if sums is None else Checksums(dataset, sums)
        self._pixels = Pixels(dataset, there, checksums)
        self.base = self._pixels.rows
        acquisition = self._acquisition
        acquisition.shape = there.shape
        acquisition.dtype = name_of(there.dtype)
        acquisition.chunk = there.chunk
        acquisition.encoding = there.encoding
        acquisition.columns = own_paths(self._group)
        if not self._storage.begin_swmr():
            acquisition.note = (
                f"{self.path} was made by an older HDF5 and cannot be read while it is "
                "written; it is flushed as usual"
            )

    # -- series -----------------------------------------------------------------------

    def header(self, start: Start, row: int) -> None:
        """Keep what the source says of a series that begins at `row`."""
        entry = {"row": self.base + row, "series": start.series}
        entry |= {"acquisition": self._acquisition.id}
        self._logs.add_line(as_json(entry | {"header": start.metadata}))
        self._nexus.start = start
        if self._columns is not None:
            self._columns.begin(start.metadata)
            self.is_dirty = True
        if self._pixels is not None or self._has_header:
            return
        with told("cannot write the header to", self.path):
            self._has_header = self._nexus.save_header(start)

    def _first_image(self, image: Image, arrival_s: float) -> None:
        """Make what the first image decides, or see that it is there."""
        making.must_be_as_armed(self._acquisition, image)
        file, name = self._storage.file, self._dataset
        with told("cannot begin", self.path):
            if self._pixels is None:
                self._nexus.make(image, arrival_s)
                self._use(*making.make_datasets(file, name, image, self._options))
            else:
                self._must_agree(image, self._pixels.layout)
            self._logs.add_counts()
            columns = columns_in(self._group)
            columns.truncate(self.base)
            columns.begin(self._nexus.start.metadata)
        self._columns, self.is_dirty = columns, True
        early, self._early = self._early, []
        for count, reason in early:
            self.holes(count, reason)

    def _must_agree(self, image: Image, there: Layout) -> None:
        try:
            making.must_agree(str(self.path), image, there)
        except Refused:
            self._is_refused = True
            raise

    @property
    def takes_each_alone(self) -> bool:
        """True where each frame is a call of its own to HDF5."""
        return self._pixels is not None and not self._pixels.is_shared

    # -- rows -------------------------------------------------------------------------

    def rows(self, images: Sequence[Image], arrivals_s: Sequence[float]) -> Rejected:
        """Write images to the next rows; return those that do not fit, and why.

        Raises:
            Interrupted: The storage refuses; the first of them are in the file.
        """
        if self._columns is None:
            causes = [unusable(image) for image in images]
            if all(causes):
                self._early.append((len(images), "rejected"))
                return [(k, cause) for k, cause in enumerate(causes) if cause]
            first = causes.index(None)
            self._first_image(images[first], arrivals_s[first])
        pixels = self._pixels
        assert pixels is not None
        row = pixels.rows
        rejected: Rejected = []
        try:
            with told("cannot write to", self.path):
                pixels.write(images, rejected)
                self._storage.wrote()
        except WriteError as error:
            kept = max(0, pixels.rows - row)
            rejected = [(index, cause) for index, cause in rejected if index < kept]
            self._note(row, images[:kept], rejected, arrivals_s[:kept])
            raise Interrupted(str(error), kept, rejected) from error
        self._note(row, images, rejected, arrivals_s)
        return rejected

    def _note(
        self,
        row: int,
        images: Sequence[Image],
        rejected: Rejected,
        arrivals_s: Sequence[float],
    ) -> None:
        """Keep what belongs to rows that are in the file."""
        assert self._columns is not None
        self._columns.extend(images, arrivals_s)
        self._nexus.wrote(arrivals_s)
        if rejected:
            self._logs.add_losses([row + index for index, _ in rejected], "rejected")
        self.is_dirty = True

    def holes(self, count: int, reason: LossReason) -> None:
        """Leave rows empty."""
        pixels, columns = self._pixels, self._columns
        if pixels is None or columns is None:
            self._early.append((count, reason))
            return
        with told("cannot write to", self.path):
            row = pixels.rows
            pixels.skip(count)
            columns.skip(count)
            self._logs.add_losses(range(row, row + count), reason)
            self.is_dirty = True

    def rewind(self, row: int) -> None:
        """Take back this acquisition's rows from `row` on."""
        pixels, columns = self._pixels, self._columns
        if pixels is None or columns is None:
            self._forget_early(row)
            return
        with told("cannot take back rows in", self.path):
            rows = self.base + row
            pixels.truncate(rows)
            columns.truncate(rows)
            self._logs.truncate(rows)
            self.is_dirty = True

    def _forget_early(self, row: int) -> None:
        early, self._early = self._early, []
        for count, reason in early:
            kept = min(count, row)
            row -= kept
            if kept:
                self._early.append((kept, reason))

    # -- durable ----------------------------------------------------------------------

    def flush(self, counts: list[int]) -> None:
        """Make every row durable: it survives a kill -9 from here on.

        Args:
            counts: Of the acquisition, as they are once it is.
        """
        with told("cannot flush", self.path):
            self._write_rest(counts)
            self._storage.flush()
            self.is_dirty = False

    def _write_rest(self, counts: list[int]) -> None:
        """Write what is kept in memory."""
        if self._pixels is not None and self._columns is not None:
            self._pixels.settle()
            self._columns.write()
            self._nexus.write()
        self._logs.write(counts)

    def close(self, counts: list[int]) -> None:
        """Close; the file is whole afterwards, with or without frames."""
        try:
            with told("cannot close", self.path):
                if self._columns is None:
                    self._finish_empty()
                if not self._is_refused:
                    self._write_rest(counts)
            self._storage.close()
        except WriteError:
            self.give_up()
            raise

    def _finish_empty(self) -> None:
        if self._pixels is None:
            make_columns(self._group, None)
        if not self._is_refused:
            self._logs.add_counts()

    def give_up(self) -> None:
        """Let go of a file that cannot be written: what was flushed is in it."""
        if self.is_empty:
            self._storage.discard()
        else:
            self._storage.give_up(self)

    @property
    def is_empty(self) -> bool:
        """True while it holds nothing to be kept: given up, it is removed."""
        return self._storage.is_new and self._columns is None
