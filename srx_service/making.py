"""What a file gets before its first row, and what an existing one must be like."""

from collections.abc import Mapping
from contextlib import suppress

import h5py
import numpy as np

from srx_service import layout
from srx_service.acquisitions import Acquisition
from srx_service.causes import Refused
from srx_service.checksums import make_checksums
from srx_service.columns import ROW_WISE, make_columns
from srx_service.fitting import (
    FILTERS,
    Layout,
    disagreement,
    fill_value_for,
    is_same,
    layout_for,
    layout_of,
)
from srx_service.messages import Image
from srx_service.storage import FileOptions


def prepare(file: h5py.File, acquisition: Acquisition, version: str) -> bool:
    """Make what goes before the first header, as far as it is not there.

    Returns:
        True where a header is there already.
    """
    dataset = acquisition.dataset
    layout.make_entry(file, dataset)
    group = layout.make_groups(file, dataset)
    has_header = "header_json" in group or "sequence_number" in group
    if layout.HEADER_LOG not in group:
        layout.make_logs(group, layout.split(dataset)[1])
    if layout.COUNTS_PATH not in file:
        layout.make_acquisition(file, _info(acquisition, version), dataset)
    file.flush()
    return has_header


def _info(acquisition: Acquisition, version: str) -> dict[str, object]:
    return {
        "id": acquisition.id,
        "origin": acquisition.origin,
        "created_s": acquisition.created_s,
        "service": f"srx {version}",
        "metadata": dict(acquisition.request.metadata),
    }


def frames_in(file: h5py.File, dataset: str) -> tuple[h5py.Dataset, Layout] | None:
    """Return the dataset that frames may be appended to; None where there is none yet.

    Raises:
        Refused: The file is not one to append to.
    """
    origin, made_for = layout.made_by(file)
    if origin == "api":
        text = f"{file.filename} was made for acquisition {made_for}"
        raise Refused(f"{text}; a stream's file name never appends to such a file")
    found = file.get(dataset)
    if found is None:
        return None
    there = layout_of(found) if isinstance(found, h5py.Dataset) else "is a group"
    if isinstance(there, str) or not isinstance(found, h5py.Dataset):
        raise Refused(f"{file.filename}: {dataset} {there}; it is left as it is")
    return found, there


def must_be_as_armed(acquisition: Acquisition, image: Image) -> None:
    """Compare a first image with what the client was told to expect.

    Raises:
        Refused: It differs.
    """
    shape, dtype = acquisition.request.shape, acquisition.request.dtype
    is_other = shape is not None and tuple(shape) != image.shape
    if is_other or (dtype is not None and not _are_same(dtype, image.dtype)):
        raise Refused(
            f"the first frame is {image.dtype} {image.shape}, but the acquisition "
            f"was armed for {dtype or 'any dtype'} {shape or 'any shape'}"
        )


def _are_same(wanted: str, dtype: str) -> bool:
    with suppress(TypeError, ValueError, SyntaxError):
        return is_same(dtype, np.dtype(wanted))
    return False


def must_agree(path: str, image: Image, there: Layout) -> None:
    """Compare a first image with the dataset it is to be appended to.

    Raises:
        Refused: Shape, dtype or filter differ.
    """
    difference = disagreement(image, there)
    if difference is not None:
        text = f"{path}: the frames differ from those there: {difference}"
        raise Refused(f"{text}; nothing is appended")


def make_datasets(
    file: h5py.File, name: str, image: Image, options: FileOptions
) -> tuple[h5py.Dataset, Layout]:
    """Make what the first image decides: the dataset, its link, the columns."""
    there = layout_for(image, options.frames_per_chunk)
    dataset = file.create_dataset(
        name,
        shape=(0, *there.shape),
        maxshape=(None, *there.shape),
        chunks=there.chunk,
        dtype=there.dtype,
        fillvalue=fill_value_for(there.dtype, options.fill_value),
        **_filter(there.encoding),
    )
    dataset.attrs[ROW_WISE] = "one per frame"
    layout.link_data(file, name)
    _, own_name = layout.split(name)
    group = layout.group_of(file, name)
    if options.checksum:
        make_checksums(group, dataset)
    make_columns(group, image, layout.taken_beside(own_name))
    return dataset, there


def _filter(encoding: str) -> Mapping[str, object]:
    if encoding not in FILTERS:
        return {}
    code, values = FILTERS[encoding]
    return {"compression": code, "compression_opts": values}
