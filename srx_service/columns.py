"""One value per frame beside the data: kept, and written in blocks at each flush."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from srx_service.messages import Image, extras_of

logger = logging.getLogger(__name__)

ROW_WISE = "rows"
"""Attribute of datasets that have one row per frame."""
KEY = "key"
"""Attribute of such a dataset: the field of the image header it holds."""
CHUNK_ROWS = 2048
TEXT_BYTES = 64
"""Least room for a text; a first one that is longer doubles its own length."""
BYTES_ROOM = 256
"""Least room for bytes of a frame, such as an image appendix."""


class Column:
    """A dataset with one value per frame.

    Args:
        dataset: Extendable along its first axis. convert: Values of a batch to an
        array; None stands for a frame that has no value.
    """

    def __init__(
        self, dataset: h5py.Dataset, convert: Callable[[Sequence[object]], np.ndarray]
    ) -> None:
        self.dataset = dataset
        self._convert = convert
        self._values: list[object] = []
        self._row = int(dataset.shape[0])

    def extend(self, values: Sequence[object]) -> None:
        """Keep values for the rows that follow."""
        self._values.extend(values)

    def write(self) -> None:
        """Write what was kept since the last call."""
        values, self._values = self._values, []
        if not values:
            return
        stop = self._row + len(values)
        self.dataset.resize(stop, axis=0)
        self.dataset[self._row : stop] = self._convert(values)
        self._row = stop

    def truncate(self, rows: int) -> None:
        """Take back the rows from `rows` on."""
        self.write()
        self.dataset.resize(rows, axis=0)
        self._row = rows


def make_dataset(
    group: h5py.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    fill: float | None,
) -> h5py.Dataset:
    """Make an extendable dataset with one row per frame."""
    dataset = group.create_dataset(
        name,
        shape=(0, *shape),
        maxshape=(None, *shape),
        chunks=(max(1, CHUNK_ROWS // max(1, int(np.prod(shape)))), *shape),
        dtype=dtype,
        fillvalue=fill,
    )
    dataset.attrs[ROW_WISE] = "one per frame"
    return dataset


def flatten(extras: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values under names joined by a dot: {"timestamps.dcu": …}."""
    flat: dict[str, Any] = {}
    for key, value in extras.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = value
    return flat


def _numbers(dtype: np.dtype, fill: float) -> Callable[[Sequence[object]], np.ndarray]:
    def convert(values: Sequence[object]) -> np.ndarray:
        try:
            return np.array([fill if v is None else v for v in values], dtype)
        except (ValueError, TypeError, OverflowError):
            return np.array([_number(v, dtype, fill) for v in values], dtype)

    return convert


def _number(value: object, dtype: np.dtype, fill: float) -> object:
    try:
        return np.array(value, dtype)[()]
    except (ValueError, TypeError, OverflowError):
        return fill


def _vectors(shape: tuple[int, ...]) -> Callable[[Sequence[object]], np.ndarray]:
    def convert(values: Sequence[object]) -> np.ndarray:
        out = np.full((len(values), *shape), np.nan)
        for row, value in enumerate(values):
            try:
                out[row] = value
            except (ValueError, TypeError):
                continue
        return out

    return convert


def _texts(size: int) -> Callable[[Sequence[object]], np.ndarray]:
    def convert(values: Sequence[object]) -> np.ndarray:
        texts = ["" if v is None else str(v) for v in values]
        return np.array([t.encode()[:size] for t in texts], f"S{size}")

    return convert


def _bytes(size: int) -> Callable[[Sequence[object]], np.ndarray]:
    def convert(values: Sequence[object]) -> np.ndarray:
        out = np.zeros((len(values), size), np.uint8)
        for row, value in enumerate(values):
            if isinstance(value, bytes):
                part = np.frombuffer(value[:size], np.uint8)
                out[row, : len(part)] = part
        return out

    return convert


def _lengths(values: Sequence[object]) -> np.ndarray:
    sizes = [len(v) if isinstance(v, bytes) else 0 for v in values]
    return np.array(sizes, np.uint32)


def make_column(group: h5py.Group, name: str, value: object) -> list[Column]:
    """Make what holds values like this one; nothing where HDF5 has no type."""
    match value:
        case bytes():
            size = max(BYTES_ROOM, 2 * len(value))
            data = make_dataset(group, name, (size,), np.uint8, 0)
            length = make_dataset(group, f"{name}_length", (), np.uint32, 0)
            return [Column(data, _bytes(size)), Column(length, _lengths)]
        case str():
            size = max(TEXT_BYTES, 2 * len(value.encode()))
            data = make_dataset(group, name, (), f"S{size}", None)
            return [Column(data, _texts(size))]
        case bool() | int() | float():
            is_integer = isinstance(value, int) and abs(value) < 1 << 62
            dtype = np.dtype(np.int64 if is_integer else np.float64)
            fill = -1 if is_integer else np.nan
            data = make_dataset(group, name, (), dtype, fill)
            return [Column(data, _numbers(dtype, fill))]
        case list():
            return _make_vector(group, name, value)
    return []


def _make_vector(group: h5py.Group, name: str, value: list[object]) -> list[Column]:
    try:
        array = np.asarray(value, np.float64)
    except (ValueError, TypeError):
        return []
    if not 0 < array.size <= CHUNK_ROWS:
        return []
    data = make_dataset(group, name, array.shape, np.float64, np.nan)
    return [Column(data, _vectors(array.shape))]


def _columns_in(group: h5py.Group) -> dict[str, list[Column]]:
    """Return the columns that an earlier acquisition made for image header fields."""
    found: dict[str, list[Column]] = {}
    for dataset in group.values():
        if isinstance(dataset, h5py.Dataset) and KEY in dataset.attrs:
            columns = found.setdefault(str(dataset.attrs[KEY]), [])
            columns.append(Column(dataset, _convert_for(dataset)))
    return found


def _convert_for(
    dataset: h5py.Dataset,
) -> Callable[[Sequence[object]], np.ndarray]:
    shape, kind = tuple(dataset.shape[1:]), dataset.dtype
    if kind.kind == "S":
        return _texts(kind.itemsize)
    if kind == np.uint8 and shape:
        return _bytes(shape[0])
    if kind == np.uint32:
        return _lengths
    if shape:
        return _vectors(shape)
    return _numbers(kind, -1 if kind.kind == "i" else np.nan)


class Columns:
    """All columns of one file."""

    def __init__(self, group: h5py.Group, first: Image | None, names: set[str]) -> None:
        """Make the columns a first image calls for; `names` are taken in the group."""
        self._sequence = self._have(group, "sequence_number", np.uint32, 0)
        self._timestamp = self._have(group, "timestamp", np.float64, np.nan)
        self._extras = _columns_in(group)
        if first is None:
            return
        for key, value in flatten(extras_of(first)).items():
            if key in self._extras:
                continue
            name = key.replace("/", "_").replace(".", "_") or "_"
            while name in names or name in group:
                name += "_"
            made = make_column(group, name, value)
            for column in made:
                column.dataset.attrs[KEY] = key
            if made:
                self._extras[key] = made

    @staticmethod
    def _have(
        group: h5py.Group, name: str, dtype: npt.DTypeLike, fill: float
    ) -> Column | None:
        kind = np.dtype(dtype)
        found = group.get(name)
        if found is None:
            found = make_dataset(group, name, (), kind, fill)
        if not isinstance(found, h5py.Dataset) or found.maxshape != (None,):
            return None
        return Column(found, _numbers(kind, fill))

    def _all(self) -> list[Column]:
        own = [c for c in (self._sequence, self._timestamp) if c is not None]
        return own + [c for columns in self._extras.values() for c in columns]

    def extend(self, images: Sequence[Image], arrival_s: float) -> None:
        """Keep the values of images that take the rows that follow."""
        if self._sequence is not None:
            self._sequence.extend([image.frame for image in images])
        if self._timestamp is not None:
            self._timestamp.extend([arrival_s] * len(images))
        if not self._extras:
            return
        flat = [flatten(extras_of(image)) for image in images]
        for key, columns in self._extras.items():
            values = [extras.get(key) for extras in flat]
            for column in columns:
                column.extend(values)

    def skip(self, count: int) -> None:
        """Keep fill values for rows that stay empty."""
        nothing = [None] * count
        for column in self._all():
            column.extend(nothing)

    def write(self) -> None:
        """Write what was kept."""
        for column in self._all():
            column.write()

    def truncate(self, rows: int) -> None:
        """Take back the rows from `rows` on."""
        for column in self._all():
            column.truncate(rows)
