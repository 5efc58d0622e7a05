"""One value per frame beside the data: kept, and written in blocks at each flush.

The first image decides which there are. Of a later one that has more, or other things
under the same name, what fits is kept: no dataset can be made once SWMR has begun.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import h5py
import msgspec
import numpy as np

from srx_service.codecs.geometry import GEOMETRY
from srx_service.extendable import Extendable
from srx_service.goniometer import Axis, axes_in, columns_of, note_axis
from srx_service.kinds import Convert, Kind, convert_for, kinds_of, numbers
from srx_service.messages import IMAGE_FIELDS, Image
from srx_service.metadata import free_name

logger = logging.getLogger(__name__)

ROW_WISE = "rows"
"""Attribute of datasets that have one row per frame."""
COLUMNS = "columns"
"""Attribute of their group: JSON, the place in the image header by column."""
SEQUENCE = "sequence_number"
TIMESTAMP = "timestamp"
NO_FRAME = 0xFFFFFFFF
"""The sequence number of a row that no frame came for."""
CHUNK_BYTES = 8192
"""A chunk is written anew at each flush: small ones keep that cheap."""
MAX_COLUMNS = 256
MAX_NAME = 100

OWN = {
    SEQUENCE: Kind(np.dtype(np.uint32), (), NO_FRAME, numbers(np.uint32, NO_FRAME)),
    TIMESTAMP: Kind(np.dtype(np.float64), (), math.nan, numbers(np.float64, math.nan)),
}
"""What every file has: the detector's index of each frame, and when it came."""
DEGREES = Kind(np.dtype(np.float64), (), math.nan, numbers(np.float64, math.nan))

Path = tuple[str, ...]
"""Where in an image header: ("timestamps", "dcu")."""


class Column:
    """A dataset with one value per frame, and those that are not yet written."""

    def __init__(self, dataset: Extendable, convert: Convert) -> None:
        self._dataset = dataset
        self._convert = convert
        self._values: list[object] = []
        self.extend = self._values.extend
        """Keep values for the rows that follow; None stands for a frame without."""

    def write(self) -> None:
        """Write what was kept since the last call."""
        if self._values:
            values = self._convert(self._values)
            self._values.clear()
            self._dataset.append(values)

    def truncate(self, rows: int) -> None:
        """Take back the rows from `rows` on; add what is missing before."""
        waiting = max(0, rows - self._dataset.rows)
        del self._values[waiting:]
        self._dataset.resize(rows - len(self._values))


class Field(NamedTuple):
    """A value of image headers, and the columns that keep it."""

    path: Path
    columns: list[Column]


class Columns:
    """All columns of one file.

    Args:
        sequence: Of frame numbers; None where the file has none.
        timestamp: Of arrival times; likewise.
        fields: Of what else the image headers say.
        axes: Of where a goniometer stands.
    """

    def __init__(
        self,
        sequence: Column | None,
        timestamp: Column | None,
        fields: list[Field],
        axes: list[tuple[Axis, Column]],
    ) -> None:
        self._sequence = sequence
        self._timestamp = timestamp
        self.fields = fields
        self._axes = axes

    def _all(self) -> list[Column]:
        own = [c for c in (self._sequence, self._timestamp) if c is not None]
        own += [column for _, column in self._axes]
        return own + [c for field in self.fields for c in field.columns]

    def begin(self, header: Mapping[str, Any] | None) -> None:
        """A series begins; its header tells how the goniometer moves."""
        for axis, column in self._axes:
            column.write()
            axis.begin(header)

    def extend(self, images: Sequence[Image], arrivals_s: Sequence[float]) -> None:
        """Keep the values of images that take the rows that follow."""
        frames = [image.frame for image in images]
        if self._sequence is not None:
            self._sequence.extend(frames)
        for _, column in self._axes:
            column.extend(frames)
        if self._timestamp is not None:
            self._timestamp.extend(arrivals_s)
        if not self.fields:
            return
        headers = [_header(image) for image in images]
        for (first, *rest), columns in self.fields:
            values = [header.get(first) for header in headers]
            for key in rest:
                values = [v.get(key) if type(v) is dict else None for v in values]
            for column in columns:
                column.extend(values)

    def skip(self, count: int) -> None:
        """Keep the values of rows that stay empty."""
        nothing = [None] * count
        for column in self._all():
            column.extend(nothing)

    def write(self) -> None:
        """Write what was kept."""
        for column in self._all():
            column.write()

    def truncate(self, rows: int) -> None:
        """Take back the rows from `rows` on; fill up where there are fewer."""
        for column in self._all():
            column.truncate(rows)


def make_columns(
    group: h5py.Group, first: Image | None, taken: frozenset[str] = frozenset()
) -> Columns:
    """Make the columns of a new dataset.

    Args:
        group: Where they are to be.
        first: Columns are made for what it says; None: for no field of an image.
        taken: Names that are none for a column.
    """
    for name, kind in OWN.items():
        if name not in group:
            _make(group, name, kind)
    columns = columns_in(group)
    if first is not None:
        columns.fields += _make_fields(group, first, taken)
    return columns


def columns_in(group: h5py.Group) -> Columns:
    """Return the columns that are there; none are added."""
    sequence, timestamp = (_own_in(group, name) for name in OWN)
    fields: dict[Path, list[Column]] = {}
    for name, path in _read_columns(group).items():
        dataset = Extendable.find(group, name)
        if dataset is not None:
            column = Column(dataset, convert_for(dataset.dtype, dataset.row_shape))
            fields.setdefault(tuple(path), []).append(column)
    known, axes = [Field(*field) for field in fields.items()], [*_axes_in(group)]
    return Columns(sequence, timestamp, known, axes)


def make_axis(group: h5py.Group, name: str) -> dict[str, h5py.Dataset]:
    """Make the columns of an axis, by what ends their names."""
    note_axis(group, name)
    columns = columns_of(name)
    for column in columns.values():
        if column not in group:
            _make(group, column, DEGREES)
    return {suffix: group[column] for suffix, column in columns.items()}  # pyright: ignore[reportReturnType]


def _axes_in(group: h5py.Group) -> Iterator[tuple[Axis, Column]]:
    for name in axes_in(group):
        for suffix, column in columns_of(name).items():
            dataset = Extendable.find(group, column)
            if dataset is not None:
                axis = Axis(name, at_end=bool(suffix))
                yield axis, Column(dataset, axis.convert)


def own_paths(group: h5py.Group, taken: str | None = None) -> dict[str, str]:
    """Return where in the file the columns are that every file has.

    Args:
        group: Of the detector.
        taken: Given, those still to be made are told, too: all but one of that name.
    """
    path = (group.name or "").rstrip("/")
    to_come = set() if taken is None else OWN.keys() - group.keys() - {taken}
    return {
        name: f"{path}/{name}"
        for name in OWN
        if name in to_come or _own_in(group, name) is not None
    }


def _own_in(group: h5py.Group, name: str) -> Column | None:
    dataset = Extendable.find(group, name)
    if dataset is None or dataset.row_shape or dataset.dtype.kind not in "iuf":
        return None
    missing = OWN[name].fill
    assert missing is not None
    return Column(dataset, numbers(dataset.dtype, missing))


def _make_fields(group: h5py.Group, first: Image, taken: frozenset[str]) -> list[Field]:
    names: dict[str, Path] = {}
    fields: list[Field] = []
    for path, value in flatten(_header(first)).items():
        label = ".".join(path)
        kinds = kinds_of(value)
        if path[0] in IMAGE_FIELDS or len(label) > MAX_NAME or not kinds:
            continue
        if path[0] in GEOMETRY and _is_told(group, path[0], value):
            continue
        if len(names) + len(kinds) > MAX_COLUMNS:
            logger.warning("only %d columns are kept of image headers", MAX_COLUMNS)
            break
        columns: list[Column] = []
        for kind in kinds:
            wanted = label.replace(".", "_") + kind.suffix
            name = free_name(group, wanted, taken)
            columns.append(Column(_make(group, name, kind), kind.convert))
            names[name] = path
        fields.append(Field(path, columns))
    if names:
        group.attrs[COLUMNS] = msgspec.json.encode(names).decode()
    return fields


def _is_told(group: h5py.Group, name: str, value: object) -> bool:
    """True where the header has it already: modules do not move within a series."""
    there = group.get(name)
    return isinstance(there, h5py.Dataset) and np.array_equal(there[()], value)  # pyright: ignore[reportArgumentType]


def _make(group: h5py.Group, name: str, kind: Kind) -> Extendable:
    row_bytes = max(1, kind.dtype.itemsize * int(np.prod(kind.shape)))
    dataset = group.create_dataset(
        name,
        shape=(0, *kind.shape),
        maxshape=(None, *kind.shape),
        chunks=(max(1, CHUNK_BYTES // row_bytes), *kind.shape),
        dtype=kind.dtype,
        fillvalue=kind.fill,
    )
    dataset.attrs[ROW_WISE] = "one per frame"
    return Extendable(dataset.id)


def _read_columns(group: h5py.Group) -> dict[str, list[str]]:
    try:
        text = str(group.attrs[COLUMNS])
        return msgspec.json.decode(text, type=dict[str, list[str]])
    except (KeyError, msgspec.DecodeError):  # none, or another program's attribute
        return {}


def flatten(header: dict[str, Any], prefix: Path = ()) -> dict[Path, Any]:
    """Return nested values by the path that leads to each."""
    flat: dict[Path, Any] = {}
    for key, value in header.items():
        path = (*prefix, key)
        if isinstance(value, dict):
            flat.update(flatten(value, path))
        else:
            flat[path] = value
    return flat


def _header(image: Image) -> dict[str, Any]:
    extras = image.extras
    if isinstance(extras, dict):
        return extras
    if not extras:
        return {}
    try:
        header = msgspec.json.decode(extras)
    except msgspec.DecodeError:  # of an image that is rejected, say
        return {}
    return header if isinstance(header, dict) else {}
