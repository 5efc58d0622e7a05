"""From a file's layout to what Bluesky's documents say of it; nothing here waits.

One staging writes into one file, and into another one when it turns from stepping to
flying: behind one StreamResource or Resource are the frames of one stream alone, from
row 0 on, because readers count rows and do not look at indices.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from event_model import (
    ComposeResource,
    ComposeResourceBundle,
    ComposeStreamResource,
    ComposeStreamResourceBundle,
)
from event_model.documents import DataKey

MIMETYPE = "application/x-hdf5"
AD_HDF5 = "AD_HDF5"
"""Its readers open /entry/data/data, which every file has."""
MAX_FETCHED_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """What a reader must know of the frames before the first one is there."""

    shape: tuple[int, ...]
    """Of one frame, slowest axis first: (2162, 2068) for an Eiger2 4M, (2, 2162, 2068)
    for an image of each of two thresholds."""
    dtype: str
    """numpy's name: "uint32", ">u4"."""
    frames_per_event: int = 1

    @property
    def dims(self) -> list[str]:
        """Names of its axes: of images behind one another those are channels."""
        above = len(self.shape) - 2
        names = ["channel"] if above == 1 else [f"channel_{k}" for k in range(above)]
        return [*names, "y", "x"][-len(self.shape) :]


@dataclass(frozen=True, slots=True)
class FrameKey:
    """What a frame has beside its pixels, published under a key of its own."""

    column: str
    """The service's word for it."""
    dtype: Literal["number", "integer"]
    dtype_numpy: str
    chunk: int
    """Rows of a chunk, as the service makes them; readers fetch so many at once."""


FRAME_KEYS = {
    "timestamp": FrameKey("timestamp", "number", "<f8", 1024),
    "frame_number": FrameKey("sequence_number", "integer", "<u4", 2048),
}
"""By the end of the key: `det_timestamp`."""


def known_frame_keys(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, each of FRAME_KEYS; raises ValueError for another."""
    if unknown := [name for name in names if name not in FRAME_KEYS]:
        raise ValueError(
            f"frame_keys {unknown[0]!r}: there are {', '.join(FRAME_KEYS)}"
        )
    return tuple(names)


def known_layout(shape: Sequence[int] | None, dtype: str | None) -> FrameLayout | None:
    """Return what a user knows of one frame; None for nothing."""
    if shape is None and dtype is None:
        return None
    if shape is None or dtype is None:
        raise ValueError("shape and dtype are given together, or neither")
    lengths = tuple(int(length) for length in shape)
    if not lengths or min(lengths) < 1:
        raise ValueError(f"shape {shape!r} is that of no frame: (y, x), all at least 1")
    return FrameLayout(lengths, np.dtype(dtype).name)


def data_key(layout: FrameLayout, source: str) -> DataKey:
    """Return what descriptors say of frames that a StreamResource tells of.

    One frame an event has shape [y, x]: with a leading 1 a live reader would try to
    reshape a file that is ahead of the documents.
    """
    n = layout.frames_per_event
    shape: list[int | None] = [*layout.shape] if n == 1 else [n, *layout.shape]
    return DataKey(
        source=source,
        dtype="array",
        shape=shape,
        dtype_numpy=np.dtype(layout.dtype).str,
        dims=layout.dims if n == 1 else ["frame", *layout.dims],
        external="STREAM:",
    )


def datum_data_key(layout: FrameLayout, source: str) -> DataKey:
    """Return what descriptors say of frames that a Resource tells of.

    Handlers of area detectors return [n, y, x] for one frame an event, too.
    """
    return DataKey(
        source=source,
        dtype="array",
        shape=[layout.frames_per_event, *layout.shape],
        dtype_numpy=np.dtype(layout.dtype).str,
        dims=["frame", *layout.dims],
        external="FILESTORE:",
    )


def column_data_key(key: FrameKey, frames_per_event: int, source: str) -> DataKey:
    """Return what descriptors say of one value a frame."""
    n = frames_per_event
    return DataKey(
        source=source,
        dtype=key.dtype if n == 1 else "array",
        shape=[] if n == 1 else [n],
        dtype_numpy=key.dtype_numpy,
        dims=[] if n == 1 else ["frame"],
        external="STREAM:",
    )


def stream_resource(
    layout: FrameLayout,
    key: str,
    uri: str,
    dataset: str,
    chunk: tuple[int, ...] | None = None,
) -> ComposeStreamResourceBundle:
    """Return the document that names file and dataset, and what makes its StreamDatum.

    `chunk` is HDF5's, (frames, y, x) or (frames,); None: one frame a chunk.
    """
    n = layout.frames_per_event
    chunk = chunk or (1, *layout.shape)
    parameters: dict[str, Any] = {
        "dataset": dataset,
        "chunk_shape": _chunk_shape(layout, chunk) if n > 1 else [*chunk],
        "swmr": True,
    }
    if n > 1:
        parameters["multiplier"] = n
    return ComposeStreamResource()(
        mimetype=MIMETYPE, data_key=key, uri=uri, parameters=parameters
    )


def resource(
    layout: FrameLayout,
    spec: str,
    path: tuple[str, str],
    dataset: str,
    chunk: tuple[int, ...] | None = None,
) -> ComposeResourceBundle:
    """Return the document that names file and handler, and what makes its Datum.

    Args:
        layout: Of the frames.
        spec: The handler's name. That of AD_HDF5 knows the dataset, and refuses to be
            told; all others are told.
        path: `root` and `resource_path`.
        dataset: Where the frames are in the file.
        chunk: HDF5's, (frames, y, x); None: one frame a chunk.
    """
    n = layout.frames_per_event
    told: dict[str, Any] = {"frame_per_point": n}
    if spec != AD_HDF5:
        told["dataset"] = dataset
        told["chunk_shape"] = _chunk_shape(layout, chunk or (1, *layout.shape))
    root, resource_path = path
    return ComposeResource(None)(spec, root, resource_path, told)


def _chunk_shape(layout: FrameLayout, chunk: Sequence[int]) -> list[int]:
    # With an axis for the frames of an event, readers count in events what they fetch.
    # So many events as HDF5's chunk has frames always end where one of its chunks ends,
    # and Tiled's validation counts alike; but Tiled sends no more than 300 MB at once.
    n, (frames, *pixels) = layout.frames_per_event, chunk
    nbytes = n * math.prod(chunk) * np.dtype(layout.dtype).itemsize
    events = frames if nbytes <= MAX_FETCHED_BYTES else max(1, frames // n)
    return [events, n, *pixels]
