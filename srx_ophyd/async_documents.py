"""How ophyd-async learns of the frames in a file."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace

from bluesky.protocols import StreamAsset
from event_model import ComposeStreamResourceBundle, DataKey
from ophyd_async.core import SignalR, StreamableDataProvider

from srx_ophyd.documents import (
    FRAME_KEYS,
    FrameLayout,
    column_data_key,
    data_key,
    stream_resource,
)
from srx_ophyd.stream_documents import StreamDocuments


@dataclass(frozen=True, slots=True)
class FramesFile:
    """A file as its readers need to know it."""

    layout: FrameLayout
    uri: str
    dataset: str
    chunk: tuple[int, ...] | None
    """Of HDF5, (frames, y, x); None: one frame a chunk."""
    columns: Mapping[str, str]
    """The service's word for what a frame has beside its pixels, to a dataset."""


class FramesProvider(StreamableDataProvider):
    """Tells of the frames, and of what each has beside its pixels.

    Args:
        key: The frames' data key.
        source: What descriptors say of where they come from.
        written: How many frames are durable.
        frame_keys: Names of FRAME_KEYS, published as `<key>-<name>`.
        look: Returns the file, with one frame an event.
        publish: Called with the number of events that may be told of, to let the
            documents that `new_documents` returned last be composed.
    """

    def __init__(
        self,
        key: str,
        source: str,
        written: SignalR[int],
        frame_keys: tuple[str, ...],
        look: Callable[[], FramesFile],
        publish: Callable[[int], None] | None = None,
    ) -> None:
        self.collections_written_signal = written
        self._key = key
        self._source = source
        self._frame_keys = frame_keys
        self._look = look
        self._n = 1
        self._publish = publish or self._publish_all
        self._documents = self.new_documents()

    def new_documents(self) -> StreamDocuments:
        """Begin another file."""
        self._documents = StreamDocuments(self._resources)
        return self._documents

    async def make_datakeys(self, collections_per_event: int) -> dict[str, DataKey]:
        """Return what descriptors say; one frame an event has no axis for it."""
        self._n = n = collections_per_event
        file = self._look()
        layout = replace(file.layout, frames_per_event=n)
        keys = {self._key: data_key(layout, self._source)}
        for name, _ in self._columns(file):
            frame_key = FRAME_KEYS[name]
            key = f"{self._key}-{name}"
            keys[key] = column_data_key(frame_key, n, self._source)
        return keys

    async def make_stream_docs(
        self, collections_written: int, collections_per_event: int
    ) -> AsyncIterator[StreamAsset]:
        """Yield what tells of durable events that no document told of yet."""
        self._n = collections_per_event
        self._publish(collections_written // collections_per_event)
        for asset in self._documents.assets():
            yield asset

    def _publish_all(self, index: int) -> None:
        self._documents.publish(index)

    def _columns(self, file: FramesFile) -> list[tuple[str, str]]:
        columns = [(name, FRAME_KEYS[name].column) for name in self._frame_keys]
        there = file.columns
        return [(name, there[column]) for name, column in columns if column in there]

    def _resources(self) -> list[ComposeStreamResourceBundle]:
        file = self._look()
        layout = replace(file.layout, frames_per_event=self._n)
        datasets = [(self._key, file.dataset, file.chunk)]
        for name, path in self._columns(file):
            datasets.append((f"{self._key}-{name}", path, (FRAME_KEYS[name].chunk,)))
        return [
            stream_resource(layout, key, file.uri, dataset, chunk)
            for key, dataset, chunk in datasets
        ]
