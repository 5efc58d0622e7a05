"""The counts that an Xspress3 has for each channel of a frame: names and types.

Source: github.com/maxiv-science/xspress3-streamer (Streamer.py, Receivers.py), and the
header of a newer one, which lists its names in `extra_tags`.
"""

from collections.abc import Sequence

import numpy as np

from srx_service.codecs.fields import masked_value

SCALARS = (
    "output_count_rate",
    "all_events",
    "all_good",
    "clock_ticks",
    "total_ticks",
    "reset_ticks",
    "event_width",
    "dead_time_correction",
    "window_counts",
)
"""In the order in which they come; the last one only where `extra_tags` names it."""
_TYPES = {
    **dict.fromkeys(SCALARS, np.dtype(np.uint32)),
    "output_count_rate": np.dtype(np.float64),
    "dead_time_correction": np.dtype(np.float64),
    "event_width": np.dtype(np.int32),
}


def absent(tags: Sequence[str] | None, channels: int) -> dict[str, np.ndarray]:
    """Return what stands for the counts of a frame that came without.

    Args:
        tags: Names that the header lists; None: it lists none.
        channels: Of the frame; window_counts has (2, channels), all else (channels,).
    """
    found: dict[str, np.ndarray] = {}
    for name in tags or SCALARS[:-1]:
        dtype = _TYPES.get(name, np.dtype(np.float64))
        shape = (2, channels) if name == "window_counts" else (channels,)
        found[name] = np.full(shape, masked_value(dtype), dtype)
    return found
