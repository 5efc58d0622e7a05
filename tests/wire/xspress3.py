"""Xspress3, message by message: the parts and what they mean."""

import json
import pickle

import numpy as np

from srx_service.messages import End, Image, Start

SPECTRA = np.arange(24, dtype=np.uint32).reshape(4, 6).tobytes()


def text(**fields) -> bytes:
    """Return JSON as our own encoder writes it."""
    return json.dumps(fields, separators=(",", ":")).encode()


COUNTS = {
    "output_count_rate": np.array([0.5, 1.5, 2.5, 3.5]),
    "all_events": np.array([1, 2, 3, 4], np.uint32),
    "all_good": np.array([1, 2, 3, 3], np.uint32),
    "clock_ticks": np.array([80, 80, 80, 2**32 - 1], np.uint32),
    "total_ticks": np.array([80, 81, 82, 83], np.uint32),
    "reset_ticks": np.array([0, 1, 0, 1], np.uint32),
    "event_width": np.array([6, 6, -1, 6], np.int32),
    "dead_time_correction": np.array([1.0, 1.25, 1.5, 2.0]),
}
WINDOWS = {"window_counts": np.arange(8, dtype=np.uint32).reshape(2, 4)}
TAGS = [*COUNTS, *WINDOWS]
LIMITS = [[[0, 10]] * 4, [[20, 30]] * 4]


def pickled(*arrays: np.ndarray, protocol: int = 4) -> bytes:
    """Return arrays as numpy itself pickles them."""
    return pickle.dumps(list(arrays), protocol=protocol)


def image(frame: int, counts: dict[str, np.ndarray], /, **changes) -> list[bytes]:
    """Return the three parts of an image; None takes a field away."""
    fields = {
        "htype": "image",
        "exptime": 0.25,
        "frame": frame,
        "shape": [4, 6],
        "type": "uint32",
        "compression": "none",
    }
    kept = {k: v for k, v in {**fields, **changes}.items() if v is not None}
    return [text(**kept), SPECTRA, pickled(*counts.values())]


def decoded_image(frame: int, counts: dict[str, np.ndarray], **extras) -> Image:
    return Image(
        number=None,
        frame=frame,
        shape=(4, 6),
        dtype="uint32",
        encoding="none",
        blobs=(SPECTRA,),
        extras={"exposure_time": 0.25, **extras, **counts},
    )


HEADER = [text(htype="header", filename="/data/a.h5", overwritable=False)]
NEW_HEADER = [
    text(
        htype="header",
        filename="/data/a.h5",
        overwritable=True,
        limits=LIMITS,
        extra_tags=TAGS,
    )
]
END = [text(htype="series_end")]

CASES = {
    "header": (
        [HEADER],
        [Start(filename="/data/a.h5", metadata={"overwritable": False})],
    ),
    "newer header": (
        [NEW_HEADER],
        [
            Start(
                filename="/data/a.h5",
                metadata={"overwritable": True, "limits": LIMITS, "extra_tags": TAGS},
            )
        ],
    ),
    "header of the live view": (
        [[text(htype="header", filename="")]],
        [Start()],
    ),
    "image": ([image(3, COUNTS)], [decoded_image(3, COUNTS)]),
    "image with windows": (
        [image(4, COUNTS | WINDOWS)],
        [decoded_image(4, COUNTS | WINDOWS)],
    ),
    "image without counts": ([image(5, {})], [decoded_image(5, {})]),
    "image that says more": (
        [image(6, COUNTS, temperature=21.5)],
        [decoded_image(6, COUNTS, temperature=21.5)],
    ),
    "image in three messages": (
        [[part] for part in image(7, COUNTS | WINDOWS)],
        [decoded_image(7, COUNTS | WINDOWS)],
    ),
    "end": ([END], [End()]),
}
"""By name: (messages, what they mean)."""
