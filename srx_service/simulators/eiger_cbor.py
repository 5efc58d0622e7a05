"""What a simulated control unit sends with `format` "cbor": its series in stream v2."""

import datetime
import functools
import time
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from msgspec.structs import replace

from srx_service.messages import Buffer, End, Image, Message, Start, extras_of
from srx_service.protocols import dectris_stream2
from srx_service.simulators.parameters import AXES

TICKS = 50_000_000
"""A second in the times of images, as recorded from an EIGER 1M."""
NS_PER_TICK = 1_000_000_000 // TICKS
LOOKUP_LENGTH = 65536

RENAMED = {
    "beam_center_x": "beam_center_x",
    "beam_center_y": "beam_center_y",
    "count_time": "count_time",
    "countrate_correction_applied": "countrate_correction_enabled",
    "countrate_correction_count_cutoff": "saturation_value",
    "data_collection_date": "arm_date",
    "description": "detector_description",
    "detector_number": "detector_serial_number",
    "detector_translation": "detector_translation",
    "flatfield_correction_applied": "flatfield_enabled",
    "frame_time": "frame_time",
    "photon_energy": "incident_energy",
    "pixel_mask_applied": "pixel_mask_enabled",
    "sensor_material": "sensor_material",
    "sensor_thickness": "sensor_thickness",
    "virtual_pixel_correction_applied": "virtual_pixel_interpolation_enabled",
    "wavelength": "incident_wavelength",
    "x_pixel_size": "pixel_size_x",
    "x_pixels_in_detector": "image_size_x",
    "y_pixel_size": "pixel_size_y",
    "y_pixels_in_detector": "image_size_y",
}
"""Keys of the configuration to those of a start."""


def parts(
    message: Message, channels: Mapping[str, float], *, with_tables: bool
) -> list[Buffer]:
    """Return what is sent for a message as stream v1 has it.

    Args:
        message: An image has one blob for each channel.
        channels: By name, with their energies.
        with_tables: Of a Start: header_detail is "all".
    """
    match message:
        case Start():
            message = _start(message, channels)
        case Image():
            extras = {**_times(extras_of(message)), "channels": [*channels]}
            message = replace(message, extras=extras)
        case End():
            pass
    return dectris_stream2.encode(message, with_tables=with_tables)


def _start(start: Start, channels: Mapping[str, float]) -> Start:
    config = start.metadata or {}
    metadata: dict[str, Any] = {RENAMED[k]: config[k] for k in RENAMED if k in config}
    metadata |= {
        "series_unique_id": f"SIMULATED{start.series:017d}",
        "channels": [*channels],
        "goniometer": {axis: _axis(config, axis) for axis in AXES},
        "image_dtype": f"uint{config['bit_depth_image']}",
        "number_of_images": start.announced,
        "threshold_energy": {
            name: energy for name, energy in channels.items() if name != "difference"
        },
    }
    return replace(start, metadata=metadata, tables=_tables(start.tables, channels))


def _axis(config: dict[str, Any], axis: str) -> dict[str, float]:
    return {key: config[f"{axis}_{key}"] for key in ("start", "increment")}


def _tables(
    tables: dict[str, np.ndarray], channels: Collection[str]
) -> dict[str, np.ndarray]:
    found = {"countrate_table": np.arange(LOOKUP_LENGTH, dtype=np.uint32)}
    for name in ("flatfield", "pixel_mask"):
        for channel in channels:
            label = name if len(channels) == 1 else f"{name}_{channel}"
            found[label] = tables[name]
    return found


def _times(extras: dict[str, Any]) -> dict[str, Any]:
    """Return the times of an image as fractions of a second; its appendix as it is."""
    names = ("start_time", "stop_time", "real_time")
    times = {name: [extras[name] // NS_PER_TICK, TICKS] for name in names}
    kept = {k: v for k, v in extras.items() if k == "image_appendix"}
    return {"series_date": _clock_start(), **times, **kept}


@functools.cache
def _clock_start() -> str:
    """Return the date from which images count their times."""
    now = datetime.datetime.now().astimezone()
    began = now - datetime.timedelta(microseconds=time.monotonic_ns() // 1000)
    return began.isoformat(timespec="milliseconds")
