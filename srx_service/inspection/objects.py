"""Every object can be opened, every link leads somewhere, nothing overlaps."""

from collections.abc import Iterator

import h5py
import numpy as np

from srx_service.inspection.findings import UNREADABLE, Findings, cause_of
from srx_service.layout import ACQUISITION_PATH

SLAB_BYTES = 16 << 20
"""Of a dataset read at once."""
Extent = tuple[int, int, str]
"""Offset, bytes, and whose."""


def inspect_objects(
    file: h5py.File, size_bytes: int, frames: h5py.Dataset | None, found: Findings
) -> None:
    """Look at everything but the chunks of the frames.

    Args:
        file: Open for reading.
        size_bytes: Of the file.
        frames: The dataset that is not read here.
        found: Problems are added to it.
    """
    texts, extents = [], []
    for each in _objects(file, found):
        try:
            for name in each.attrs:
                _ = each.attrs[name]
            if isinstance(each, h5py.Dataset):
                extents += _extents(each)
                if frames is None or each != frames:
                    read_through(each)
        except UNREADABLE as error:
            texts.append(f"{each.name} cannot be read: {cause_of(error)}")
    found.damage(texts)
    found.damage([*_misplaced(extents, size_bytes)])
    found.damage([*_broken_defaults(file, frames)])


def read_through(dataset: h5py.Dataset) -> None:
    """Read all of a dataset, slab by slab."""
    if not dataset.shape or not dataset.size:
        _ = dataset[()]
        return
    step = max(1, SLAB_BYTES * len(dataset) // max(1, dataset.nbytes))
    for row in range(0, len(dataset), step):
        _ = dataset[row : row + step]


def _objects(file: h5py.File, found: Findings) -> Iterator[h5py.Group | h5py.Dataset]:
    """Yield every group and dataset once; note the links that lead nowhere."""
    seen: set[h5py.Group | h5py.Dataset] = set()
    waiting: list[h5py.Group | h5py.Dataset] = [file]
    while waiting:
        each = waiting.pop()
        if each in seen:  # by another link
            continue
        seen.add(each)
        yield each
        if isinstance(each, h5py.Group):
            waiting += _members(each, found)


def _members(group: h5py.Group, found: Findings) -> Iterator[h5py.Group | h5py.Dataset]:
    try:
        names = [*group]
    except UNREADABLE:  # told when the group itself is looked at
        return
    for name in names:
        path = f"{(group.name or '').rstrip('/')}/{name}"
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            found.remarks.append(
                f"{path} is in {link.filename}, which is not looked at"
            )
            continue
        try:
            each = group[name]
        except UNREADABLE as error:
            found.damage([f"{path} leads nowhere: {cause_of(error)}"])
            continue
        if isinstance(each, h5py.Group | h5py.Dataset):
            yield each


def _extents(dataset: h5py.Dataset) -> list[Extent]:
    """Return where in the file a dataset is stored."""
    name, extents = dataset.name or "", list[Extent]()
    if dataset.chunks is None:
        offset = dataset.id.get_offset()
        size = dataset.id.get_storage_size()
        return [] if offset is None else [(offset, size, name)]

    def look(chunk: h5py.h5d.StoreInfo) -> None:
        extents.append((chunk.byte_offset, chunk.size, name))

    dataset.id.chunk_iter(look)
    return extents


def _misplaced(extents: list[Extent], size_bytes: int) -> Iterator[str]:
    """Yield what lies outside of the file, or where something else is."""
    end, owner = 0, ""
    for offset, size, name in sorted(extents):
        if offset + size > size_bytes:
            last = offset + size
            yield f"{name}: goes on to byte {last}, the file has {size_bytes}"
        if offset < end:
            yield f"{name}: its bytes from {offset} on belong to {owner}, too"
        if offset + size > end:
            end, owner = offset + size, name


def _broken_defaults(file: h5py.File, frames: h5py.Dataset | None) -> Iterator[str]:
    """Yield the NeXus paths that do not lead to the frames."""
    if frames is None or ACQUISITION_PATH not in file:
        return
    entry, data = file.get("/entry"), file.get("/entry/data")
    if not isinstance(entry, h5py.Group) or not isinstance(data, h5py.Group):
        return
    if data.attrs.get("NX_class") != "NXdata":
        return
    for group in (file, entry):
        if str(group.attrs.get("default")) not in group:
            yield f"{group.name}: its attribute default names nothing"
    if data.get(str(data.attrs.get("signal"))) != frames:
        yield f"{data.name}: its signal is not {frames.name}"


def as_array(dataset: object) -> np.ndarray | None:
    """Return all of a dataset; None where it is none."""
    return np.asarray(dataset[()]) if isinstance(dataset, h5py.Dataset) else None
