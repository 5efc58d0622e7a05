"""The HDF5 file itself: locked, listed, made or opened, flushed, closed or given up.

HDF5 cannot close a file whose storage refuses: it would write what is left first, and
what it could not close is used again when it is already free (HDF5 2.0, H5D_close).
Such a file is given up: HDF5 writes the rest to nowhere, the disk keeps what a kill
would have left, and that is repaired as after a kill.
"""

import errno
import logging
import os
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Literal

import h5py
import msgspec

from srx_service.causes import told
from srx_service.errors import WriteError
from srx_service.nxmx import NxmxOptions
from srx_service.openfiles import OpenFiles
from srx_service.pixels import H5_ERRORS
from srx_service.space import Space
from srx_service.writebehind import WriteBehind

logger = logging.getLogger(__name__)

FORMAT = ("v110", "v110")
"""The first with SWMR. The latest of HDF5 2.0 gives a dataset with a filter a layout
message that HDF5 1.12.2 was seen to refuse."""
SWMR_SUPERBLOCK = 3
LOOKED_INTO_S = 2.0
"""So long readers may hold HDF5's lock on a file that is empty yet."""
CLOSE_ATTEMPTS = 5
"""The first ones fail: nowhere has no length, and a failed flush leaves traces."""
IN_FILES = h5py.h5f.OBJ_DATASET | h5py.h5f.OBJ_GROUP | h5py.h5f.OBJ_ATTR
_KEPT_OPEN: dict[Path, object] = {}
"""Files that HDF5 could not even give up, and their objects: they must not be freed."""
_FREED: list[object] = []
"""Files that HDF5 freed but keeps an id of, and their objects: not to be touched."""


class FileOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How files are made: see the keys of the same names in detectors.yaml."""

    file_mode: int | None = None
    dir_mode: int | None = None
    frames_per_chunk: int | Literal["auto"] = 1
    fill_value: float | None = None
    fsync: Literal["never", "close", "flush"] = "close"
    version: str = ""
    """Of the service, written beside the data."""
    checksum: bool = False
    nexus: NxmxOptions | None = None
    """What a file of NXmx has besides; None: the plain layout."""
    write_behind: WriteBehind | None = None
    """Told how files grow; None: when they go to the disk is left to the kernel."""
    space: Space | None = None
    """Told how files grow, and refuses where the disk is full; None: nothing does."""


class Storage:
    """One HDF5 file, open for writing.

    Args:
        path: Where; missing folders are made.
        owner: Id of the acquisition, for the list of open files.
        options: How files are made.
        open_files: The list.
        append: An existing file is opened; else it must not exist.

    Raises:
        WriteError: It cannot be made or opened, or another process is writing it.
    """

    def __init__(
        self,
        path: Path,
        owner: str,
        options: FileOptions,
        open_files: OpenFiles,
        *,
        append: bool,
    ) -> None:
        if path in _KEPT_OPEN:
            raise WriteError(f"{path} could not be closed: restart the service first")
        self.path = path
        self._options = options
        self._open_files = open_files
        with told("cannot make", path), ExitStack() as guard:
            if options.space is not None:
                options.space.must_have_room(path)
            self._make_folders()
            self._lock = guard.enter_context(open_files.lock_file(path))
            self.is_new = not (append and path.exists())
            if self.is_new:
                self._create()
                guard.callback(path.unlink, missing_ok=True)
            self._put_on_list(owner)
            guard.callback(self._take_off_list)
            self.file = self._open()
            self._descriptor: int = self.file.id.get_vfd_handle()
            self._found = os.fstat(self._descriptor)
            guard.pop_all()

    def _make_folders(self) -> None:
        missing = [folder for folder in self.path.parents if not folder.exists()]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            text = "is a file where a folder should be"
            raise NotADirectoryError(errno.ENOTDIR, text, error.filename) from error
        if self._options.dir_mode is not None:
            for folder in missing:
                folder.chmod(self._options.dir_mode)

    def _create(self) -> None:
        # not left to HDF5, whose own exclusive create cannot be told from another's
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            if self._options.file_mode is not None:
                os.fchmod(descriptor, self._options.file_mode)
        finally:
            os.close(descriptor)

    def _open(self) -> h5py.File:
        if self.path.stat().st_size == 0:
            self.is_new = True  # another program may have made it, and left it empty
            return self._make()
        with told("cannot append to", self.path, refused=True):
            # a reader of the closed file would block HDF5's lock; ours is taken
            return h5py.File(self.path, "r+", libver=FORMAT, locking=False)

    def _make(self) -> h5py.File:
        deadline_s = time.monotonic() + LOOKED_INTO_S
        while True:
            try:
                return h5py.File(self.path, "w", libver=FORMAT)
            except BlockingIOError:
                # a reader that waits for the file looks into it at this moment
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.002)

    def _put_on_list(self, owner: str) -> None:
        try:
            self._open_files.add(self.path, owner)
        except OSError as error:  # frames are worth more than to be found by a crash
            text = "%s is not listed, after a crash only `srx repair` helps: %s"
            logger.warning(text, self.path, error)

    def _take_off_list(self) -> None:
        try:
            self._open_files.remove(self.path)
        except OSError as error:  # one too many is listed: the next start looks at it
            logger.warning("the list of open files cannot be written: %s", error)

    def begin_swmr(self) -> bool:
        """Let readers in; False where the file is too old for that."""
        if self.file.id.get_create_plist().get_version()[0] < SWMR_SUPERBLOCK:
            return False
        self.file.flush()
        self.file.swmr_mode = True
        return True

    def wrote(self) -> None:
        """Have what was written so far go to the disk; waits for nothing.

        Raises:
            WriteError: There is no room for more.
        """
        write_behind, space = self._options.write_behind, self._options.space
        # not stat's: on NFS that waits until all is with the server
        size_bytes = self.file.id.get_filesize()
        if write_behind is not None:
            write_behind.grown(self.path, size_bytes)
        if space is not None:
            space.grown(size_bytes)

    def flush(self) -> None:
        """Give all that was written to the operating system."""
        self.file.flush()
        if self._options.fsync == "flush":
            self._sync()

    def _sync(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close it.

        Raises:
            WriteError: It could not be, and was given up; or it cannot be synced.
        """
        try:
            with told("cannot close", self.path):
                self.file.flush()  # when nothing is left to write, closing works
                self.file.close()
        except WriteError:
            self.give_up()
            raise
        self._take_off_list()
        self._lock.release()
        if self._options.fsync != "never":
            with told("cannot sync", self.path):
                self._sync()

    def give_up(self, *objects: object) -> None:
        """Let go of it as it is on the disk now; it stays on the list of open files.

        Args:
            objects: Those that use its datasets.
        """
        if self._is_freed:
            _FREED.append((self, objects))
            self._lock.release()
            return
        self._cut_off()
        for _ in range(CLOSE_ATTEMPTS):
            with suppress(*H5_ERRORS):
                self.file.close()
            # a dataset that is still open HDF5 may have freed by half
            if not self.file or h5py.h5f.get_obj_count(self.file.id, IN_FILES):
                break
        if self.file:
            logger.error("%s: HDF5 keeps it open", self.path)
            _KEPT_OPEN[self.path] = (self, objects)
        self._lock.release()

    @property
    def _is_freed(self) -> bool:
        """True where HDF5 let go of it, but not of its id: that leads to freed memory.

        So it is where the last write of all fails, that of the superblock (HDF5 1.14,
        H5F__dest).
        """
        if not self.file:
            return False
        try:
            return not os.path.samestat(os.fstat(self._descriptor), self._found)
        except OSError:
            return True

    def _cut_off(self) -> None:
        """Let HDF5 write to nowhere what it still wants to write."""
        if self.file:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, self._descriptor)
            os.close(nowhere)
            self._found = os.fstat(self._descriptor)

    def discard(self) -> None:
        """Undo the making of a file that holds nothing yet; leave one that exists."""
        if self.is_new:
            self.give_up()
            self.path.unlink(missing_ok=True)
            self._take_off_list()
            return
        with suppress(WriteError):
            self.close()
