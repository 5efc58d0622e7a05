"""From a file's layout and its durable rows to Bluesky's documents; nothing here waits.

One staging writes into one file, and into another one when it turns from stepping to
flying: behind one StreamResource are the frames of one stream alone, from row 0 on,
because readers count rows and do not look at indices.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from event_model import ComposeStreamResource, ComposeStreamResourceBundle
from event_model.documents import DataKey, StreamDatum, StreamRange, StreamResource

MIMETYPE = "application/x-hdf5"

StreamAsset = (
    tuple[Literal["stream_resource"], StreamResource]
    | tuple[Literal["stream_datum"], StreamDatum]
)


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """What a reader must know of the frames before the first one is there."""

    shape: tuple[int, int]
    """Of one frame in pixels, slowest axis first: (2162, 2068) for an Eiger2 4M."""
    dtype: str
    """numpy's name: "uint32", ">u4"."""
    frames_per_event: int = 1


def known_layout(
    shape: tuple[int, int] | None, dtype: str | None
) -> FrameLayout | None:
    """Return what a user knows of one frame; None for nothing."""
    if shape is None and dtype is None:
        return None
    if shape is None or dtype is None:
        raise ValueError("shape and dtype are given together, or neither")
    y, x = shape
    return FrameLayout((int(y), int(x)), np.dtype(dtype).name)


def data_key(layout: FrameLayout, source: str) -> DataKey:
    """Return what descriptors say of the frames.

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
        dims=["y", "x"] if n == 1 else ["frame", "y", "x"],
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

    `chunk` is HDF5's, (frames, y, x); None: one frame a chunk.
    """
    frames, *pixels = chunk or (1, *layout.shape)
    n = layout.frames_per_event
    # With several frames an event, readers count chunks in the axes of the events.
    shape = [frames, *pixels] if n == 1 else [max(1, frames // n), n, *pixels]
    parameters: dict[str, Any] = {
        "dataset": dataset,
        "chunk_shape": shape,
        "swmr": True,
    }
    if n > 1:
        parameters["multiplier"] = n
    return ComposeStreamResource()(
        mimetype=MIMETYPE, data_key=key, uri=uri, parameters=parameters
    )


class EventDocuments:
    """Which events of one file the RunEngine has had, and the documents of the next.

    The RunEngine fills in `descriptor` when it emits a StreamDatum. One that still
    lacks it was dropped on the way: by a pause between `read` and `save`, or by `drop`.
    """

    def __init__(self) -> None:
        self.published = 0
        """Events handed out; the next one's index."""
        self._bundle: ComposeStreamResourceBundle | None = None
        self._datum: StreamDatum | None = None
        self._descriptors: list[str] = []

    def up_to(
        self, stop: int, make: Callable[[], ComposeStreamResourceBundle]
    ) -> Iterator[StreamAsset]:
        """Yield what tells of the events before `stop` that no document told of yet."""
        if stop <= self.published:
            return
        self._note_descriptor()
        if self._bundle is None:
            self._bundle = make()
            yield "stream_resource", self._bundle.stream_resource_doc
        start, self.published = self.published, stop
        self._datum = self._bundle.compose_stream_datum(
            indices=StreamRange(start=start, stop=stop)
        )
        yield "stream_datum", self._datum

    def take_back(self) -> bool:
        """Count events whose documents were dropped as not published.

        Returns:
            True when there were some: their frames are to be taken again.
        """
        datum, bundle = self._datum, self._bundle
        if datum is None or bundle is None or datum["descriptor"]:
            return False
        self.published = datum["indices"]["start"]
        self._datum = None
        if "run_start" not in bundle.stream_resource_doc:
            self._bundle = None
        return True

    @property
    def is_taken(self) -> bool:
        """True once the RunEngine emitted one of the documents."""
        self._note_descriptor()
        return bool(self._descriptors)

    def mixes_streams(self, described: int) -> bool:
        """Return True when the events went into more than one stream.

        Args:
            described: How often the RunEngine asked for the data keys, once a stream.
                A change of configuration makes another descriptor without asking.
        """
        self._note_descriptor()
        seen = self._descriptors
        went_back = len(set(seen)) < len(seen)
        return went_back or (described > 1 and len(seen) > 1)

    def _note_descriptor(self) -> None:
        descriptor = self._datum["descriptor"] if self._datum is not None else ""
        if descriptor and self._descriptors[-1:] != [descriptor]:
            self._descriptors.append(descriptor)
