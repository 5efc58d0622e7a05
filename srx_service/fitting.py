"""Whether an image fits a dataset, and the dataset that a first image calls for."""

import logging
import math
from typing import Literal, NamedTuple

import h5py
import hdf5plugin
import numpy as np

from srx_service.codecs import CODECS, pixel_type
from srx_service.codecs.fields import masked_value
from srx_service.messages import NO_PIXELS, Image

logger = logging.getLogger(__name__)

AUTO_CHUNK_BYTES = 256 << 10
MAX_SHARED_BYTES = 64 << 20
"""Frames share a chunk up to this size: it is kept in memory until it is full."""
MAX_CHUNK_BYTES = (1 << 32) - 1
"""What a chunk of HDF5 may have: its size is a number of 32 bits in most readers."""
PIPELINES = {"cbf": "PilatusPipeline", "mono12p": "OrcaPipeline"}
"""What decodes dtypes and encodings that no dataset has."""
UNREAD = "could not be read"
"""Of a place whose message was no image."""
FILTERS: dict[str, tuple[int, tuple[int, ...]]] = {
    "bslz4": (hdf5plugin.Bitshuffle.filter_id, (0, 2)),
    "bszstd": (hdf5plugin.Bitshuffle.filter_id, (0, 3)),
    "lz4": (hdf5plugin.LZ4.filter_id, ()),
}
"""HDF5's registered filters: https://github.com/HDFGroup/hdf5_plugins"""


class Layout(NamedTuple):
    """What a dataset of frames is like."""

    shape: tuple[int, ...]
    """Of one frame."""
    dtype: np.dtype
    encoding: str
    """What its filter decodes: "none", "bslz4", "bszstd", "lz4"."""
    chunk: tuple[int, ...]


def layout_for(image: Image, wanted: int | Literal["auto"]) -> Layout:
    """Return the layout that a usable image calls for.

    Args:
        image: The first one.
        wanted: Frames in a chunk.
    """
    dtype, parts = pixel_type(image.dtype), len(image.blobs)
    encoding = image.encoding if image.encoding in FILTERS else "none"
    frames = 1
    if encoding == "none" and parts == 1:
        frames = _frames_in_chunk(wanted, math.prod(image.shape) * dtype.itemsize)
    chunk = (frames, image.shape[0] // parts, *image.shape[1:])
    return Layout(image.shape, dtype, encoding, chunk)


def _frames_in_chunk(wanted: int | Literal["auto"], nbytes: int) -> int:
    if wanted == "auto":
        return max(1, AUTO_CHUNK_BYTES // nbytes)
    return max(1, min(wanted, MAX_SHARED_BYTES // nbytes))


def layout_of(dataset: h5py.Dataset) -> Layout | str:
    """Return the layout of a dataset, or why frames cannot be appended to it."""
    chunk = dataset.chunks
    limits = dataset.maxshape or ()
    if chunk is None or len(limits) < 2 or limits[0] is not None:
        return "is no extendable dataset of frames"
    encoding = encoding_of(dataset)
    if encoding is None or dataset.dtype.kind not in "iuf":
        return "has filters or pixels that this service does not write"
    shape = tuple(dataset.shape[1:])
    is_shared, is_cut = chunk[0] > 1, chunk[1:] != shape
    if chunk[2:] != shape[1:] or shape[0] % chunk[1] or (is_shared and is_cut):
        return f"has chunks {chunk}, which are not whole frames"
    return Layout(shape, dataset.dtype, encoding, chunk)


def disagreement(image: Image, layout: Layout) -> str | None:
    """Return how a first image differs from a dataset it is to be appended to."""
    other = layout_for(image, 1)
    texts = [
        f"{what} {ours} instead of {theirs}"
        for what, ours, theirs in (
            ("shape", other.shape, layout.shape),
            ("dtype", name_of(other.dtype), name_of(layout.dtype)),
            ("encoding", other.encoding, layout.encoding),
        )
        if ours != theirs
    ]
    return ", ".join(texts) or None


def fill_value_for(dtype: np.dtype, wanted: float | None = None) -> int | float:
    """Return what a missing frame reads as: as wanted, else masked.

    Masked is what detectors mark: 2^n-1 where there is no sign, -1 where there is one.
    """
    if wanted is not None:
        if _can_hold(dtype, wanted):
            return wanted
        logger.warning("fill_value %s is no %s; the default is used", wanted, dtype)
    return masked_value(dtype)


def _can_hold(dtype: np.dtype, value: float) -> bool:
    if dtype.kind == "f":
        return True
    limits = np.iinfo(dtype)
    return value == value // 1 and limits.min <= value <= limits.max


def unusable(image: Image) -> str | None:
    """Return why an image cannot decide dtype and shape of a dataset, or None."""
    if image.encoding == NO_PIXELS:
        return UNREAD
    try:
        dtype = pixel_type(image.dtype)
    except ValueError as error:
        return f"has no pixels that can be written: {error}{_hint(image)}"
    if dtype.kind not in "iuf" or not image.shape or min(image.shape) < 1:
        return f"is {image.dtype} {image.shape}: numbers and a size are needed"
    parts = len(image.blobs)
    nbytes = math.prod(image.shape) * dtype.itemsize
    if not parts or image.shape[0] % parts or nbytes // parts > MAX_CHUNK_BYTES:
        return f"is {image.shape} in {parts} blobs: no chunks can be made of that"
    return wrong_blobs(image, nbytes, dtype.itemsize, parts)


def misfit(image: Image, layout: Layout) -> str | None:
    """Return why an image cannot go into a dataset, or None."""
    if image.encoding == NO_PIXELS:
        return UNREAD
    if image.shape != layout.shape or not is_same(image.dtype, layout.dtype):
        ours = f"{name_of(layout.dtype)} {layout.shape}"
        return f"is {image.dtype} {image.shape}, the dataset {ours}"
    size = math.prod(layout.shape) * layout.dtype.itemsize
    parts = layout.shape[0] // layout.chunk[1]
    return wrong_blobs(image, size, layout.dtype.itemsize, parts)


def wrong_blobs(image: Image, nbytes: int, itemsize: int, parts: int) -> str | None:
    """Return what is wrong with the size of an image's blobs, or None."""
    count = len(image.blobs)
    if count not in (1, parts):
        return f"has {count} blobs, the dataset takes {parts}"
    size = nbytes // count
    if image.encoding == "none":
        sizes = [len(blob) for blob in image.blobs if len(blob) != size]
        return f"has {sizes[0]} bytes, its shape wants {size}" if sizes else None
    codec = CODECS.get(image.encoding)
    if codec is None:
        text = f"has the encoding {image.encoding!r}, which no file can hold"
        return f"{text}{_hint(image)}"
    try:
        for blob in image.blobs:
            codec.check(blob, size, itemsize)
    except ValueError as error:
        return f"cannot be read back: {error}"
    return None


def _hint(image: Image) -> str:
    """Return which key of the configuration makes such images writable."""
    for word, pipeline in PIPELINES.items():
        if word in (image.dtype, image.encoding):
            return f" (set `pipeline: {pipeline}`)"
    return ""


def is_same(name: str, dtype: np.dtype) -> bool:
    """True where a message's dtype is this one, however it is spelt."""
    try:
        return pixel_type(name) == dtype
    except ValueError:
        return False


def name_of(dtype: np.dtype) -> str:
    """Return a dtype's name as messages give it: "uint16", ">u4"."""
    return dtype.str if dtype.byteorder == ">" else dtype.name


def encoding_of(dataset: h5py.Dataset) -> str | None:
    """Return what the dataset's filter decodes; None: filters that are not ours."""
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(k) for k in range(plist.get_nfilters())]
    if not filters:
        return "none"
    code, _, values = filters[0][:3]
    if len(filters) > 1:
        return None
    if code == hdf5plugin.LZ4.filter_id:
        return "lz4"
    if code != hdf5plugin.Bitshuffle.filter_id:
        return None
    method = values[4] if len(values) > 4 else 0
    return {2: "bslz4", 3: "bszstd"}.get(method)
