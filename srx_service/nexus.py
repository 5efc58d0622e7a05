"""What makes a file one of NXmx: made at the first image, before SWMR begins.

The plain layout is all there. Beside it stand the groups and fields of the definition,
manual.nexusformat.org/classes/applications/NXmx.html; what the header said under names
of its own is in a collection `header`. Channels are told as in
github.com/dectris/documentation, filewriter_v2.
"""

import datetime
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
from h5py import h5s
from msgspec.structs import replace

from srx_service import layout, nxmx
from srx_service.acquisitions import Acquisition
from srx_service.codecs import pixel_type
from srx_service.goniometer import scan_of
from srx_service.messages import Image, Start, extras_of
from srx_service.nexusgeometry import (
    TWO_THETA,
    make_detector_chain,
    make_module,
    make_sample_chain,
)
from srx_service.nexusgroups import class_all, group_in, put
from srx_service.nxmx import NxmxOptions, Told
from srx_service.panel import Panel, panel_of

logger = logging.getLogger(__name__)

HEADER = "header"
END_TIME = "/entry/end_time"
TIME = h5py.string_dtype("utf-8", len("2026-01-02T03:04:05.678Z"))
YEAR_S = 366 * 86400.0
"""No series is estimated to take longer."""
PLACES = {
    "instrument": ("instrument", "NXinstrument"),
    "beam": ("instrument/beam", "NXbeam"),
    "attenuator": ("instrument/attenuator", "NXattenuator"),
    "sample": ("sample", "NXsample"),
    "source": ("source", "NXsource"),
}
"""Groups of the entry, by the first word of a field's path; `detector` is the plain
layout's."""
TURNED = ("pixel_mask", "flatfield")
"""Tables of the header that are images, too."""


class Nexus:
    """What one file has of NXmx. Used by the writer's thread alone.

    Args:
        file: Open for writing.
        acquisition: That goes into it.
        options: None: new files get the plain layout. One of NXmx that is appended to
            stays one.
    """

    def __init__(
        self, file: h5py.File, acquisition: Acquisition, options: NxmxOptions | None
    ) -> None:
        self._file = file
        self._acquisition = acquisition
        self._options = options
        self.start = Start()
        """Of the series that is written."""
        self._last_s: float | None = None
        """When the last frame arrived, POSIX seconds; None once that is written."""
        self._end = _end_time(file)

    def save_header(self, start: Start) -> bool:
        """Write what the source says of the first series; True if it says anything."""
        group = layout.group_of(self._file, self._acquisition.dataset)
        own_name = layout.split(self._acquisition.dataset)[1]
        if self._options is None:
            layout.save_header(group, start, own_name)
        else:
            turned = {k: _turned(k, t, start) for k, t in start.tables.items()}
            layout.save_header(group, replace(start, tables=turned), own_name, HEADER)
        self._file.flush()
        return bool(start.metadata or start.tables or start.appendix)

    def make(self, image: Image, arrival_s: float) -> None:
        """Make what NXmx asks for, as far as it is known; note what is not."""
        if self._options is None:
            return
        unknown = _make(
            self._file, self._acquisition, self.start, image, arrival_s, self._options
        )
        self._end = _end_time(self._file)
        if unknown:
            text = f"this file lacks what NXmx needs: {', '.join(unknown)}"
            logger.warning("%s: %s", self._acquisition.file, text)
            self._acquisition.note = text

    def wrote(self, arrivals_s: Sequence[float]) -> None:
        """Keep when the last frame of the file came."""
        if arrivals_s:
            self._last_s = arrivals_s[-1]

    def write(self) -> None:
        """Let the end of the file be the last frame that came."""
        if self._end is not None and self._last_s is not None:
            text = np.array(iso(self._last_s).encode(), TIME)
            self._end.write(h5s.ALL, h5s.ALL, text, self._end.get_type())
        self._last_s = None


def iso(time_s: float) -> str:
    """Return a time as NXmx wants it: UTC, with a Z."""
    when = datetime.datetime.fromtimestamp(time_s, datetime.UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _end_time(file: h5py.File) -> h5py.h5d.DatasetID | None:
    found = file.get(END_TIME)
    if not isinstance(found, h5py.Dataset) or found.dtype != TIME or found.shape:
        return None
    return found.id


def _turned(name: str, table: np.ndarray, start: Start) -> np.ndarray:
    """Return a mask or a flatfield turned as the images are."""
    if not name.startswith(TURNED) or table.ndim != 2:
        return table
    return np.rot90(table, start.rotate)


def _make(
    file: h5py.File,
    acquisition: Acquisition,
    start: Start,
    image: Image,
    arrival_s: float,
    options: NxmxOptions,
) -> list[str]:
    """Make all; return what is not known, in words."""
    header, said = start.metadata or {}, _said(acquisition, start, options)
    found = nxmx.fields_of(header, said)
    entry, detector = file["entry"], layout.group_of(file, acquisition.dataset)
    assert isinstance(entry, h5py.Group)
    _make_entry(entry, found, arrival_s, acquisition.expected or start.announced or 1)
    for path, told in found.items():
        place, name = path.split("/")
        group = detector if place == "detector" else _place(entry, place)
        put(group, name, told.value, told.units)
    _make_names(entry, said)
    _make_detector(detector, header, image)
    axes = nxmx.goniometer(options, said)
    on = make_detector_chain(detector, header, found, axes)
    panel = _panel(found, image, start.rotate)
    make_module(detector, _size(image), panel, on)
    if panel is not None and start.rotate:
        _set_turned(detector, panel)
    _make_data(group_in(entry, "data", "NXdata"), image)
    make_sample_chain(_place(entry, "sample"), detector, header, axes)
    class_all(entry)
    unknown = nxmx.missing(found)
    scan = scan_of(header, TWO_THETA)
    if scan is not None and any(scan) and TWO_THETA not in axes:
        unknown.append(f"the direction of {TWO_THETA} (goniometer)")
    return unknown


def _said(
    acquisition: Acquisition, start: Start, options: NxmxOptions
) -> Mapping[str, Any]:
    """Return what users say: who armed goes before the header, that before the file."""
    site = {
        "instrument_name": options.instrument_name,
        "source_name": options.source_name,
    }
    return site | nxmx.said_by(start.appendix) | acquisition.request.metadata


def _place(entry: h5py.Group, place: str) -> h5py.Group:
    """Return the group of some fields."""
    return group_in(entry, *PLACES[place])


def _make_entry(
    entry: h5py.Group, found: Mapping[str, Told], arrival_s: float, images: int
) -> None:
    """Make definition and times; these are of our clock, as `timestamp` is."""
    exposure_s, frame_s = (
        min(YEAR_S, nxmx.amount(found, path)) if path in found else 0.0
        for path in ("detector/count_time", "detector/frame_time")
    )
    begun_s = max(0.0, arrival_s - exposure_s)
    entry.attrs["version"] = "1.0"
    entry.file.attrs["file_name"] = entry.file.filename
    entry.file.attrs["file_time"] = iso(arrival_s)
    put(entry, "definition", "NXmx")
    put(entry, "start_time", iso(begun_s))
    put(entry, "end_time_estimated", iso(begun_s + min(YEAR_S, images * frame_s)))
    put(entry, "end_time", np.array(iso(arrival_s).encode(), TIME))
    zone = datetime.datetime.now().astimezone().isoformat()[-6:]
    put(_place(entry, "instrument"), "time_zone", zone)
    _place(entry, "beam")
    _place(entry, "source")


def _make_names(entry: h5py.Group, said: Mapping[str, Any]) -> None:
    """Add the short names to those of instrument and source."""
    for place in ("instrument", "source"):
        short = nxmx.text(said.get(f"{place}_name_short"))
        group = _place(entry, place)
        if short is not None and "name" in group:
            group["name"].attrs["short_name"] = short


def _make_detector(
    detector: h5py.Group, header: Mapping[str, Any], image: Image
) -> None:
    """Make what depends on the pixels: limits, thresholds, channels."""
    dtype = pixel_type(image.dtype)
    put(detector, "type", "Pixel")
    put(detector, "bit_depth_image", dtype.itemsize * 8)
    if dtype.kind != "f":
        put(detector, "underload_value", 0)
        _limit(detector, int(np.iinfo(dtype).max) - (dtype.kind == "u"))
    channels = _channels(image)
    thresholds = nxmx.thresholds(header, channels)
    if len(channels) == 1:
        for told in thresholds.values():
            put(detector, "threshold_energy", *told)
    else:
        _make_channels(detector, channels, thresholds)
    table = detector.get("countrate_table")
    if isinstance(table, h5py.Dataset) and table.ndim == 1:
        put(detector, "countrate_correction_lookup_table", table)


def _limit(detector: h5py.Group, largest: int) -> None:
    """Bring down a saturation that pixels of fewer bits cannot have."""
    found = detector.get("saturation_value")
    if isinstance(found, h5py.Dataset) and found[()] > largest:
        found[...] = largest


def _channels(image: Image) -> list[str]:
    told = extras_of(image).get("channels")
    found = map(nxmx.text, told) if isinstance(told, list) else ()
    return [name.replace("/", "_") for name in found if name] or ["threshold_1"]


def _make_channels(
    detector: h5py.Group, channels: list[str], thresholds: Mapping[str, Told]
) -> None:
    for channel in channels:
        group = group_in(detector, f"{channel}_channel", "NXdetector_channel")
        if channel in thresholds:
            put(group, "threshold_energy", *thresholds[channel])
        for name in TURNED:
            table = detector.get(f"{name}_{channel}")
            if isinstance(table, h5py.Dataset):
                put(group, name, table)


def _make_data(data: h5py.Group, image: Image) -> None:
    """Say what the axes of the frames are: nothing but channels has a name."""
    names = ["."] * (1 + len(image.shape))
    if len(channels := _channels(image)) > 1:
        names[1] = "channel"
        put(data, "channel", channels)
        data.attrs["channel_indices"] = 1
    data.attrs["axes"] = names


def _size(image: Image) -> tuple[int, ...]:
    """Return the size of an image; channels are none of its axes."""
    return image.shape if len(_channels(image)) == 1 else image.shape[-2:]


def _panel(found: Mapping[str, Told], image: Image, turns: int) -> Panel | None:
    match image.shape:
        case [*_, rows, columns]:
            return panel_of(found, (rows, columns), turns)
    return None


def _set_turned(detector: h5py.Group, panel: Panel) -> None:
    """Let sizes and beam center be those of the image as it is written."""
    for k, axis in enumerate("xy"):
        put(detector, f"{axis}_pixel_size", 0.0)[()] = panel.sizes[k]
        if f"beam_center_{axis}" in detector:
            put(detector, f"beam_center_{axis}", 0.0)[()] = panel.center[k]
