"""Frames of a Resource and its Datum documents, for databroker and event-model.

databroker finds the handler by the entry point `databroker.handlers`; to event-model it
is handed in a `handler_registry`. Importing this module registers the HDF5 filters of
hdf5plugin, without which no HDF5 reader of the process could decompress a frame.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any, Self

import dask.array
import h5py
import hdf5plugin  # noqa: F401  registers the filters
import numpy as np

DATASET = "/entry/data/data"
"""A link to the frames that every file has, whatever its `dset_name`."""


class SrxHDF5Handler:
    """Opens the frames of one file again, also while it is being written.

    The file is open only for as long as a read takes, and nothing is locked in between:
    it may be live, shrink by a rewind, be closed or be replaced meanwhile.

    Args:
        path: Of the file, as this process sees it.
        frame_per_point: Frames of one event.
        dataset: Of the frames; a column with one value a row is read alike.
        others: What a Resource carries for other readers, such as `chunk_shape`.
    """

    specs = frozenset({"SRX_HDF5"})
    return_type: Mapping[str, bool] = {"delayed": True}

    def __init__(
        self,
        path: str | PathLike[str],
        frame_per_point: int = 1,
        dataset: str = DATASET,
        **others: object,
    ) -> None:
        self._path = fspath(path)
        self._n = frame_per_point
        self._dataset = dataset

    def __call__(
        self,
        point_number: int | None = None,
        *,
        start: int | None = None,
        stop: int | None = None,
    ) -> dask.array.Array:
        """Return frames as [n, y, x], read when they are computed.

        Args:
            point_number: Of the event, counted from 0 within the file.
            start: First row, where no event is named.
            stop: Row after the last.

        Raises:
            OSError: The file or the frames are not there (yet). event-model's Filler
                tries again for two seconds.
        """
        if point_number is not None:
            start, stop = point_number * self._n, (point_number + 1) * self._n
        if start is None or stop is None:
            raise TypeError(
                f"which frames of {self._path}? A Datum has point_number, "
                "or start and stop"
            )
        rows = _Rows.find(self._path, self._dataset, start, stop)
        # As many whole frames to one read as dask thinks right, aligned with HDF5's.
        chunks: Any = ("auto", *rows.shape[1:])
        # No name made from the content: the file may change between two calls.
        return dask.array.from_array(rows, chunks=chunks, name=False, asarray=False)

    def get_file_list(self, datum_kwarg_gen: Iterable[Mapping[str, Any]]) -> list[str]:
        """Return the files that hold these Datum documents."""
        return [self._path]

    def close(self) -> None:
        """Do nothing: no file is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass(frozen=True)
class _Rows:
    """Rows of a dataset as dask wants an array, by values that can be pickled."""

    path: str
    dataset: str
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...] | None
    """HDF5's."""

    @classmethod
    def find(cls, path: str, dataset: str, start: int, stop: int) -> Self:
        """Return rows that are known to be there."""
        with _opened(path, dataset) as found:
            _check(path, found, start, stop)
            shape = (stop - start, *found.shape[1:])
            return cls(path, dataset, start, shape, found.dtype, found.chunks)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, wanted: tuple[Any, ...]) -> np.ndarray:
        # dask asks by integers and by slices that run upwards.
        first, *pixels = wanted
        rows = range(self.start, self.start + self.shape[0])[first]
        if isinstance(rows, int):
            begin, stop, selection = rows, rows + 1, rows
        else:
            begin, stop = rows.start, rows.stop
            selection = slice(begin, stop, rows.step)
        with _opened(self.path, self.dataset) as found:
            # They may be gone again: HDF5 would return fewer without a word.
            _check(self.path, found, begin, stop)
            return found[selection, *pixels]


def _check(path: str, found: h5py.Dataset, start: int, stop: int) -> None:
    if not 0 <= start <= stop <= len(found):
        raise OSError(
            f"{path}: frames {start} to {stop} are not (yet) there; {found.name} "
            f"has {len(found)}"
        )


@contextlib.contextmanager
def _opened(path: str, dataset: str) -> Iterator[h5py.Dataset]:
    with _open_file(path) as file:
        found = file.get(dataset)
        if not isinstance(found, h5py.Dataset):
            raise OSError(f"{path}: no dataset {dataset} (yet)")
        yield found


def _open_file(path: str) -> h5py.File:
    try:
        return h5py.File(path, "r", swmr=True)
    except OSError:
        # Another reader of this process may hold it without SWMR, which HDF5 refuses
        # to mix: area-detector-handlers do, for as long as they live.
        with contextlib.suppress(OSError):
            return h5py.File(path, "r")
        raise
