"""The detector as Bluesky sees it, with StreamResource and StreamDatum documents."""

from collections.abc import Iterator
from typing import Any

from event_model import ComposeStreamResourceBundle
from event_model.documents import DataKey

from srx_ophyd.documents import StreamAsset, data_key, stream_resource
from srx_ophyd.events import Mode
from srx_ophyd.exposing import ExposingDevice
from srx_ophyd.paths import file_uri, reader_path


class SrxDetector(ExposingDevice):
    """A detector whose frames the srx service writes; see ExposingDevice for arguments.

    It steps (`count`, `scan`) and flies (`srx_fly`). One staging writes one file, and
    holds one stream of one run; another one when it turns from stepping to flying.
    """

    # ophyd annotates the return types of read and describe with a type variable that
    # nothing else matches.
    def read(self) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the scalars; the frames are told of by documents of their own."""
        self._note_missing()
        readings: Any = super().read()
        return readings

    def describe(self) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the data keys of an event; it must be staged."""
        keys: Any = super().describe()
        return keys | self._describe_frames("step")

    def describe_collect(self) -> dict[str, DataKey]:
        """Return the data key of a fly scan's stream."""
        return self._describe_frames("fly")

    def get_index(self) -> int:
        """Return how many events are durable, as the last poll said."""
        if self._staging is None or self._events is None:
            return 0
        return self._events.index(self._staging.rows)

    def collect_asset_docs(self, index: int | None = None) -> Iterator[StreamAsset]:
        """Yield what tells of durable events that no document told of yet."""
        if self._staging is None or self._events is None:
            return
        self._note_missing()
        rows = self._staging.rows
        yield from self._events.documents(rows, index, self._resource)

    def _note_missing(self) -> None:
        if self._events is not None and self._events.status is not None:
            missing = self._events.status.missing
            self.frames_missing.put(missing, internal=True)

    @property
    def _image_key(self) -> str:
        return f"{self.name}_image"

    def _describe_frames(self, mode: Mode) -> dict[str, DataKey]:
        staging, events = self._staged_parts()
        events.describe(mode)
        return {self._image_key: data_key(staging.layout, f"SRX:{self.client.url}")}

    def _resource(self) -> ComposeStreamResourceBundle:
        staging, _ = self._staged_parts()
        acquisition = staging.acquisition
        path = reader_path(acquisition.file or "", self._path_map)
        return stream_resource(
            staging.layout,
            self._image_key,
            file_uri(path),
            acquisition.dataset,
            acquisition.chunk,
        )
