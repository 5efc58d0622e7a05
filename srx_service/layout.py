"""Where things stand in the file: groups, links, logs; made before SWMR begins.

NeXus: https://manual.nexusformat.org (NXentry, NXinstrument, NXdetector, NXdata).
"""

import logging
from contextlib import suppress
from typing import Any

import h5py
import numpy as np

from srx_service.checksums import SUFFIX
from srx_service.counts import COUNT_NAMES
from srx_service.messages import Start
from srx_service.metadata import as_json, free_name, save_metadata

logger = logging.getLogger(__name__)

ACQUISITION_PATH = "/entry/acquisition"
COUNTS_PATH = f"{ACQUISITION_PATH}/counts"
HEADER_LOG, MISSING, REASON = "header_log", "missing_frames", "missing_reason"
RESERVED = frozenset(
    {"sequence_number", "timestamp", "header_json", HEADER_LOG, MISSING, REASON}
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
    if dataset in ("/entry", "/entry/data"):
        logger.warning("no NXdata: %s stands where /entry/data would be", dataset)
        return
    entry = file.require_group("entry")
    entry.attrs["NX_class"] = "NXentry"
    entry.attrs["default"] = "data"
    data = entry.require_group("data")
    data.attrs["NX_class"] = "NXdata"
    data.attrs["signal"] = "data"


def link_data(file: h5py.File, dataset: str) -> None:
    """Let /entry/data/data name the dataset too."""
    data = file.get("/entry/data")
    if isinstance(data, h5py.Group) and "data" not in data:
        data["data"] = file[dataset]


def make_acquisition(file: h5py.File, info: dict[str, Any], dataset: str) -> None:
    """Make /entry/acquisition: what was asked for, and rows of counts to be filled.

    Where the dataset itself has that place, what was asked for is at the root.
    """
    if f"{ACQUISITION_PATH}/".startswith(f"{dataset}/") or dataset == COUNTS_PATH:
        _save_info(file, info)
        return
    group = file.require_group(ACQUISITION_PATH)
    group.attrs.setdefault("NX_class", "NXcollection")
    metadata = info.pop("metadata", {})
    _save_info(group, info)
    if metadata:
        save_metadata(group.require_group("metadata"), metadata)
        group["metadata_json"] = as_json(metadata)
    counts = group.create_dataset(
        "counts",
        shape=(0, len(COUNT_NAMES)),
        maxshape=(None, len(COUNT_NAMES)),
        chunks=(16, len(COUNT_NAMES)),
        dtype=np.int64,
    )
    counts.attrs["names"] = list(COUNT_NAMES)


def _save_info(group: h5py.Group, info: dict[str, Any]) -> None:
    for key, value in info.items():
        group.attrs[key] = as_json(value) if isinstance(value, dict) else value


def made_by(file: h5py.File) -> tuple[str, str]:
    """Return origin and id of the acquisition that a file was made for."""
    for path in (ACQUISITION_PATH, "/"):
        with suppress(KeyError):
            attributes = file[path].attrs
            return str(attributes["origin"]), str(attributes["id"])
    return "", ""


def make_logs(group: h5py.Group, own_name: str) -> None:
    """Make what grows by series: the log of headers, the rows that are missing."""
    log = _make_log(group, HEADER_LOG, np.uint8, LOG_CHUNK)
    log.attrs["content"] = "one JSON object a line for each series: row, series, header"
    rows = _make_log(group, MISSING, np.uint64, 1024)
    rows.attrs["content"] = f"rows of {own_name} that were never written"
    reason = _make_log(group, REASON, np.uint8, 1024)
    reason.attrs["content"] = ", ".join(f"{n} {name}" for name, n in REASONS.items())


def _make_log(group: h5py.Group, name: str, dtype: type, chunk: int) -> h5py.Dataset:
    return group.create_dataset(
        name, shape=(0,), maxshape=(None,), chunks=(chunk,), dtype=dtype
    )


def taken_beside(own_name: str) -> frozenset[str]:
    """Return the names beside the frames that nothing else may take."""
    return RESERVED | {own_name, own_name + SUFFIX}


def save_header(
    group: h5py.Group, start: Start, own_name: str, inside: str | None = None
) -> None:
    """Write what the source says of the series, as datasets and once more as JSON.

    Args:
        group: Of the detector.
        start: The series' header.
        own_name: That of the dataset of frames.
        inside: A collection of the group for the datasets; None: the group itself.
    """
    taken = taken_beside(own_name)
    if start.metadata and inside is not None:
        save_metadata(group.create_group(inside), start.metadata)
        group["header_json"] = as_json(start.metadata)
    elif start.metadata:
        save_metadata(group, start.metadata, taken)
        group["header_json"] = as_json(start.metadata)
    for name, table in start.tables.items():
        group[free_name(group, name, taken)] = table
    if start.appendix:
        name = free_name(group, "header_appendix", taken)
        group[name] = np.frombuffer(bytes(start.appendix), np.uint8)


def group_of(file: h5py.File, dataset: str) -> h5py.Group:
    """Return the detector's group.

    Raises:
        KeyError: There is none.
    """
    path, _ = split(dataset)
    group = file[path]
    if not isinstance(group, h5py.Group):
        raise KeyError(f"{path} is no group")
    return group
