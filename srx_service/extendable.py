"""Datasets that grow at their end, opened and written by HDF5's own calls.

Those of h5py cost several times as much: a flush writes one for each column, and a step
scan opens all of them again at each point.
"""

from typing import Self

import h5py
import numpy as np
from h5py import h5s, h5t


class Extendable:
    """A dataset that rows are appended to.

    Args:
        dataset: Extendable along its first axis.
    """

    def __init__(self, dataset: h5py.h5d.DatasetID) -> None:
        self.dtype: np.dtype = dataset.dtype
        shape: tuple[int, ...] = dataset.shape
        self.rows = shape[0]
        self.row_shape = shape[1:]
        self._id = dataset
        self._rest = (0,) * len(self.row_shape)
        is_text = self.dtype.kind == "S"
        # for text the type in the file, which tells UTF-8: numpy's does not
        self._type = dataset.get_type() if is_text else h5t.py_create(self.dtype)

    @classmethod
    def find(cls, group: h5py.Group, name: str) -> Self | None:
        """Return the dataset of that name, or None where there is no such one."""
        try:
            found = h5py.h5d.open(group.id, name.encode())
        except (KeyError, ValueError, TypeError):
            return None
        limits = found.get_space().get_simple_extent_dims(True)
        return cls(found) if limits[:1] == (h5s.UNLIMITED,) else None

    def append(self, values: np.ndarray) -> None:
        """Write rows behind the last one; `values` has the dtype of the dataset."""
        row = self.rows
        self.resize(row + len(values))
        self.put(row, values)

    def put(self, row: int, values: np.ndarray) -> None:
        """Write over the rows from `row` on."""
        target = h5s.create_simple((self.rows, *self.row_shape))
        target.select_hyperslab((row, *self._rest), values.shape)
        self._id.write(h5s.create_simple(values.shape), target, values, self._type)

    def resize(self, rows: int) -> None:
        """Take rows off, or add some that read as the fill value."""
        if rows != self.rows:
            self._id.set_extent((rows, *self.row_shape))
            self.rows = rows

    def read(self) -> np.ndarray:
        """Return all rows."""
        values = np.empty((self.rows, *self.row_shape), self.dtype)
        if values.size:
            self._id.read(h5s.ALL, h5s.ALL, values, self._type)
        return values
