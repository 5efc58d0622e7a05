"""Where things stand in the file: groups, links, metadata; made before SWMR begins.

NeXus: https://manual.nexusformat.org (NXentry, NXinstrument, NXdetector, NXdata).
"""

import json
import logging
from typing import Any

import h5py
import numpy as np

from srx_service.acquisitions import COUNTS
from srx_service.messages import Start

logger = logging.getLogger(__name__)

COUNTS_PATH = "/entry/acquisition/counts"
RESERVED = frozenset(
    {
        "sequence_number",
        "timestamp",
        "missing_frames",
        "missing_reason",
        "header_json",
        "header_log",
    }
)
"""Names in the detector's group that metadata may not take."""
REASONS = {"missing": 1, "rejected": 2}
NX_CLASSES = {"entry": "NXentry", "instrument": "NXinstrument"}
LOG_CHUNK = 16384


def split(dataset: str) -> tuple[str, str]:
    """Return the detector's group and the name of the dataset in it."""
    group, _, name = dataset.rpartition("/")
    return group or "/", name


def make_groups(file: h5py.File, dataset: str) -> h5py.Group:
    """Make the detector's group and its parents, each with its NX_class."""
    path, _ = split(dataset)
    file.attrs["default"] = "entry"
    names = [name for name in path.split("/") if name]
    group = file.require_group("/")
    for depth, name in enumerate(names):
        group = group.require_group(name)
        is_detector = depth == len(names) - 1 and depth > 0
        default = "NXdetector" if is_detector else "NXcollection"
        group.attrs.setdefault("NX_class", NX_CLASSES.get(name, default))
    return group


def make_entry(file: h5py.File, dataset: str) -> None:
    """Make /entry/data, where readers look first, before the data is there."""
    entry = file.require_group("entry")
    entry.attrs["NX_class"] = "NXentry"
    entry.attrs["default"] = "data"
    if dataset in ("/entry", "/entry/data"):
        logger.warning("no NXdata: %s stands where /entry/data would be", dataset)
        return
    data = entry.require_group("data")
    data.attrs["NX_class"] = "NXdata"
    data.attrs["signal"] = "data"


def link_data(file: h5py.File, dataset: str) -> None:
    """Let /entry/data/data name the dataset too."""
    data = file.get("/entry/data")
    if isinstance(data, h5py.Group) and dataset != "/entry/data/data":
        data["data"] = file[dataset]


def make_acquisition(file: h5py.File, info: dict[str, Any]) -> None:
    """Make /entry/acquisition: what was asked for, and a row of counts to be filled."""
    group = file.require_group("/entry/acquisition")
    group.attrs["NX_class"] = "NXcollection"
    metadata = info.pop("metadata", {})
    for key, value in info.items():
        group.attrs[key] = "" if value is None else value
    if metadata:
        save_metadata(group.require_group("metadata"), metadata, frozenset())
        group["metadata_json"] = json.dumps(metadata, default=str)
    counts = group.create_dataset(
        "counts",
        shape=(0, len(COUNTS)),
        maxshape=(None, len(COUNTS)),
        chunks=(16, len(COUNTS)),
        dtype=np.int64,
    )
    counts.attrs["names"] = list(COUNTS)


def make_logs(group: h5py.Group, own_name: str) -> None:
    """Make what grows by series: the log of headers, the rows that are missing."""
    log = group.create_dataset(
        "header_log", shape=(0,), maxshape=(None,), chunks=(LOG_CHUNK,), dtype=np.uint8
    )
    log.attrs["content"] = "one JSON object a line for each series: row, series, header"
    rows = group.create_dataset(
        "missing_frames", shape=(0,), maxshape=(None,), chunks=(1024,), dtype=np.uint64
    )
    rows.attrs["content"] = f"rows of {own_name} that were never written"
    reason = group.create_dataset(
        "missing_reason", shape=(0,), maxshape=(None,), chunks=(1024,), dtype=np.uint8
    )
    reason.attrs["content"] = ", ".join(f"{n} {name}" for name, n in REASONS.items())


def save_header(group: h5py.Group, start: Start, own_name: str) -> None:
    """Write what the source says of the series, as datasets and once more as JSON."""
    taken = RESERVED | {own_name}
    if start.metadata:
        save_metadata(group, start.metadata, taken)
        group["header_json"] = json.dumps(start.metadata, default=str)
    for name, table in start.tables.items():
        group[free_name(group, name, taken)] = table
    if start.appendix:
        name = free_name(group, "header_appendix", taken)
        group[name] = np.frombuffer(bytes(start.appendix), np.uint8)


def group_of(file: h5py.File, dataset: str) -> h5py.Group:
    """Return the detector's group."""
    group = file[split(dataset)[0]]
    assert isinstance(group, h5py.Group)
    return group


def dataset_in(group: h5py.Group, name: str) -> h5py.Dataset | None:
    """Return a dataset, or None where another service's file lacks it."""
    found = group.get(name)
    return found if isinstance(found, h5py.Dataset) else None


def free_name(group: h5py.Group, key: str, taken: frozenset[str]) -> str:
    """Return the key as a name HDF5 can hold that nothing in the group has yet."""
    name = key.replace("/", "_").replace("\0", "_").strip(".") or "_"
    if name != key:
        name += "_"
    while name in taken or name in group:
        name += "_"
    return name


def save_metadata(
    group: h5py.Group, metadata: dict[str, Any], taken: frozenset[str]
) -> None:
    """Write nested metadata: a dict becomes a group, all else a dataset.

    What HDF5 cannot hold (null, ragged or mixed lists) is only in the JSON beside it.
    """
    for key, value in metadata.items():
        name = free_name(group, str(key), taken)
        if isinstance(value, dict):
            save_metadata(group.create_group(name), value, frozenset())
        elif (array := _as_array(value)) is not None:
            group[name] = array


def _as_array(value: object) -> str | np.ndarray | None:
    """Return the value as h5py takes it, or None where HDF5 cannot hold it."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if value is None:
        return None
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):  # ragged, or beyond 64 bits
        return None
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind == "U" and isinstance(value, list):
        return np.asarray(value, dtype=h5py.string_dtype())
    return None
