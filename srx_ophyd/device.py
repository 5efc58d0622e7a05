"""The detector as Bluesky sees it, one class for each flavour of documents."""

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from event_model import ComposeResourceBundle, ComposeStreamResourceBundle
from event_model.documents import DataKey

from srx_ophyd.datum_documents import DatumAsset, DatumDocuments
from srx_ophyd.documents import (
    AD_HDF5,
    FRAME_KEYS,
    FrameKey,
    column_data_key,
    data_key,
    datum_data_key,
    known_frame_keys,
    resource,
    stream_resource,
)
from srx_ophyd.endpoint import Json
from srx_ophyd.events import Mode
from srx_ophyd.exposing import MIXED, ExposingDevice
from srx_ophyd.staging import Staging
from srx_ophyd.stream_documents import StreamAsset, StreamDocuments

logger = logging.getLogger(__name__)


class DocumentingDevice(ExposingDevice):
    """What both flavours tell alike."""

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

    @property
    def hints(self) -> dict[str, Any]:
        """Name what tables and plots show; a fly scan's stream has nothing for them."""
        # Asked for right after the data keys. A hint at one that is not among them
        # makes BestEffortCallback fail.
        flies = self._events is not None and self._events.describes == "fly"
        hints: dict[str, Any] = {"fields": []} if flies else super().hints
        return hints

    @property
    def _image_key(self) -> str:
        return f"{self.name}_image"

    @property
    def _source(self) -> str:
        return f"SRX:{self.client.url}"

    def _note_missing(self) -> None:
        if self._events is not None and self._events.status is not None:
            missing = self._events.status.missing
            self.frames_missing.put(missing, internal=True)
            total = self._events.status.total_counts
            self.total_counts.put(total, internal=True)

    def _describe_frames(self, mode: Mode) -> dict[str, DataKey]:
        raise NotImplementedError


class SrxDetector(DocumentingDevice):
    """A detector whose frames StreamResource and StreamDatum documents tell of.

    It steps (`count`, `scan`) and flies (`srx_fly`). One staging writes one file, and
    holds one stream of one run; another one when it turns from stepping to flying.

    Args:
        url: Where the service listens.
        frame_keys: What is published of each frame beside the image: "timestamp" (when
            it came, POSIX seconds) and "frame_number" (the detector's own), as
            `<name>_timestamp` and `<name>_frame_number`.
        arguments: ExposingDevice's.
    """

    def __init__(
        self,
        url: str,
        *,
        frame_keys: Sequence[str] = tuple(FRAME_KEYS),
        **arguments: Json,
    ) -> None:
        self.frame_keys = known_frame_keys(frame_keys)
        self._documents: StreamDocuments
        self._columns: list[tuple[str, FrameKey, str]] = []
        super().__init__(url, **arguments)

    def describe_collect(self) -> dict[str, DataKey]:
        """Return the data keys of a fly scan's stream."""
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
        self._events.publish(self._staging.rows, index)
        yield from self._documents.assets()

    def _open(self) -> None:
        super()._open()
        staging, _ = self._staged_parts()
        columns = staging.acquisition.columns
        self._columns = [
            (f"{self.name}_{name}", key, columns[key.column])
            for name in self.frame_keys
            if (key := FRAME_KEYS[name]).column in columns
        ]
        if len(self._columns) < len(self.frame_keys):
            logger.warning(
                "%s: the service does not tell where %s are in its files, so there are "
                "no keys for them; a newer one does",
                self.name,
                ", ".join(self.frame_keys),
            )

    def _new_documents(self) -> StreamDocuments:
        self._documents = StreamDocuments(self._resources)
        return self._documents

    def _describe_frames(self, mode: Mode) -> dict[str, DataKey]:
        staging, events = self._staged_parts()
        events.describe(mode)
        n = staging.layout.frames_per_event
        keys = {self._image_key: data_key(staging.layout, self._source)}
        for name, key, _ in self._columns:
            keys[name] = column_data_key(key, n, self._source)
        return keys

    def _resources(self) -> list[ComposeStreamResourceBundle]:
        staging, _ = self._staged_parts()
        acquisition, layout = staging.acquisition, staging.layout
        self._note(file=acquisition.file or "")
        uri = self._files.uri(acquisition.file or "")
        image = stream_resource(
            layout, self._image_key, uri, acquisition.dataset, acquisition.chunk
        )
        columns = [
            stream_resource(layout, name, uri, path, (key.chunk,))
            for name, key, path in self._columns
        ]
        return [image, *columns]


class SrxDatumDetector(DocumentingDevice):
    """A detector whose frames Resource and Datum documents tell of.

    It is for `bp.fly`, which knows no other, and for databroker without Tiled. One
    staging holds one stream of one run. What flew can be collected until it is staged
    again: of a fly scan that failed the RunEngine collects after it has unstaged.

    Args:
        url: Where the service listens.
        spec: The handler that reads the files, by name.
        root: Where readers may find the files elsewhere; a prefix of their path.
        fly_stream: The stream's name in a fly scan.
        arguments: ExposingDevice's.
    """

    def __init__(
        self,
        url: str,
        *,
        spec: str = AD_HDF5,
        root: str = "/",
        fly_stream: str = "primary",
        **arguments: Json,
    ) -> None:
        self.spec = spec
        self._root = root
        self.fly_stream = fly_stream
        self._documents: DatumDocuments
        self._flown: dict[str, DataKey] = {}
        super().__init__(url, **arguments)

    def unstage(self) -> list[object]:
        """Leave service and detector idle; what flew may still be collected."""
        staging, events = self._staging, self._events
        if staging is not None and events is not None and events.mode == "fly":
            events.publish(staging.rows)
            self._flown = {
                self._image_key: datum_data_key(staging.layout, self._source)
            }
        return super().unstage()

    @property
    def hints(self) -> dict[str, Any]:
        """Name what tables and plots show; a fly scan's stream has nothing for them."""
        hints: dict[str, Any] = {"fields": []} if self._has_flown else super().hints
        return hints

    def read(self) -> dict[str, Any]:
        """Return the scalars, and of the last event the id of its Datum."""
        readings = super().read()
        staging, events = self._staging, self._events
        # What flies is for `collect`.
        if staging is not None and events is not None and events.mode == "step":
            events.publish(staging.rows)
            del self._documents.ids[:-1]
            for datum_id in self._documents.ids:
                readings[self._image_key] = _reading(datum_id)
        return readings

    def describe_collect(self) -> dict[str, dict[str, DataKey]]:
        """Return the data key of a fly scan, by stream."""
        keys = self._flown if self._has_flown else self._describe_frames("fly")
        return {self.fly_stream: keys}

    def collect_asset_docs(self) -> Iterator[DatumAsset]:
        """Yield what tells of durable events that no document told of yet."""
        if self._staging is not None and self._events is not None:
            self._note_missing()
            self._events.publish(self._staging.rows)
        elif not self._has_flown:
            return
        yield from self._documents.assets()

    def collect(self) -> Iterator[dict[str, Any]]:
        """Yield the events whose Datum `collect_asset_docs` yielded."""
        if not self._has_flown:
            self._staged_parts()
        ids, self._documents.ids = self._documents.ids, []
        for datum_id in ids:
            reading = _reading(datum_id)
            yield {
                "time": reading["timestamp"],
                "data": {self._image_key: datum_id},
                "timestamps": {self._image_key: reading["timestamp"]},
                "filled": {self._image_key: False},
            }

    def _open(self) -> None:
        self._flown = {}
        super()._open()
        self._split_path(self._staged_parts()[0])

    @property
    def _has_flown(self) -> bool:
        """True from the end of a staging that flew until the next one."""
        return self._staging is None and bool(self._flown)

    def _new_documents(self) -> DatumDocuments:
        self._documents = DatumDocuments(self._resource)
        return self._documents

    def _describe_frames(self, mode: Mode) -> dict[str, DataKey]:
        staging, events = self._staged_parts()
        # The RunEngine asks once a stream and run, and before it emits its documents.
        if self._documents.is_taken:
            raise RuntimeError(f"{self.name}: {MIXED}")
        events.describe(mode)
        return {self._image_key: datum_data_key(staging.layout, self._source)}

    def _resource(self) -> ComposeResourceBundle:
        staging, _ = self._staged_parts()
        acquisition, layout = staging.acquisition, staging.layout
        self._note(file=acquisition.file or "")
        parts = self._split_path(staging)
        return resource(
            layout, self.spec, parts, acquisition.dataset, acquisition.chunk
        )

    def _split_path(self, staging: Staging) -> tuple[str, str]:
        path = PurePosixPath(self._files.path(staging.acquisition.file or ""))
        if not path.is_relative_to(self._root):
            raise ValueError(
                f"{self.name}: root {self._root!r} is no prefix of {path}, where "
                "readers find the file; path_map changes that path"
            )
        return self._root, str(path.relative_to(self._root))


def _reading(datum_id: str) -> dict[str, Any]:
    return {"value": datum_id, "timestamp": time.time()}
