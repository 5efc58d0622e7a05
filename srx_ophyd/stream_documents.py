"""The StreamResource and StreamDatum documents of the events in one file."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from event_model import ComposeStreamResourceBundle
from event_model.documents import StreamDatum, StreamRange, StreamResource

StreamAsset = (
    tuple[Literal["stream_resource"], StreamResource]
    | tuple[Literal["stream_datum"], StreamDatum]
)


class StreamDocuments:
    """Which events of one file the RunEngine has had, and the documents of the next.

    The RunEngine fills in `descriptor` when it emits a StreamDatum. One that still
    lacks it was dropped on the way: by a pause between `read` and `save`, or by `drop`.

    Args:
        make: Called before the first event: a bundle for each data key.
    """

    def __init__(
        self, make: Callable[[], Sequence[ComposeStreamResourceBundle]]
    ) -> None:
        self.published = 0
        self._make = make
        self._bundles: Sequence[ComposeStreamResourceBundle] = ()
        self._data: list[StreamDatum] = []
        self._assets: list[StreamAsset] = []
        self._descriptors: list[str] = []

    def publish(self, stop: int) -> None:
        """Compose what tells of the events before `stop` that nothing told of yet."""
        if stop <= self.published:
            return
        self._note_descriptor()
        if not self._bundles:
            self._bundles = self._make()
            for bundle in self._bundles:
                self._assets.append(("stream_resource", bundle.stream_resource_doc))
        start, self.published = self.published, stop
        self._data = [
            bundle.compose_stream_datum(indices=StreamRange(start=start, stop=stop))
            for bundle in self._bundles
        ]
        for datum in self._data:
            self._assets.append(("stream_datum", datum))

    def assets(self) -> Iterator[StreamAsset]:
        """Yield what was composed, each document once."""
        assets, self._assets = self._assets, []
        yield from assets

    def take_back(self) -> bool:
        """Count events whose documents were dropped as not published."""
        if not self._data or self._data[0]["descriptor"]:
            return False
        self.published = self._data[0]["indices"]["start"]
        self._data, self._assets = [], []
        if "run_start" not in self._bundles[0].stream_resource_doc:
            self._bundles = ()
        return True

    @property
    def is_taken(self) -> bool:
        """True once the RunEngine emitted one of the documents."""
        self._note_descriptor()
        return bool(self._descriptors)

    def mixes_streams(self, described: int) -> bool:
        """Return True when the events went into more than one stream."""
        self._note_descriptor()
        seen = self._descriptors
        went_back = len(set(seen)) < len(seen)
        # A change of configuration makes another descriptor without asking.
        return went_back or (described > 1 and len(seen) > 1)

    def _note_descriptor(self) -> None:
        descriptor = self._data[0]["descriptor"] if self._data else ""
        if descriptor and self._descriptors[-1:] != [descriptor]:
            self._descriptors.append(descriptor)
