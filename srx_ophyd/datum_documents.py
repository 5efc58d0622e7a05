"""The Resource and Datum documents of the events in one file."""

from collections.abc import Callable, Iterator
from typing import Any

from event_model import ComposeResourceBundle
from event_model.documents import Datum, Resource


class DatumAsset(tuple[str, Any]):
    """A document behind its name, that knows whether the RunEngine emitted it.

    Nothing is filled into a Datum when it is emitted. But the RunEngine keeps the pairs
    of `collect_asset_docs` whole, and takes one apart only to emit it: one that is
    whole still was dropped by a pause between `read` and `save`, or by `drop`.
    """

    is_taken = False

    def __iter__(self) -> Iterator[Any]:
        self.is_taken = True
        return super().__iter__()


class DatumDocuments:
    """Which events of one file the RunEngine has had, and the documents of the next.

    Args:
        make: Called before the first event.
    """

    def __init__(self, make: Callable[[], ComposeResourceBundle]) -> None:
        self.published = 0
        self.ids: list[str] = []
        """Of events, in their order; who has used them takes them out."""
        self._make = make
        self._bundle: ComposeResourceBundle | None = None
        self._assets: list[DatumAsset] = []
        # Composed, and not known to be taken.
        self._open: list[DatumAsset] = []
        self._were_taken = False

    def publish(self, stop: int) -> None:
        """Compose what tells of the events before `stop` that nothing told of yet."""
        if stop <= self.published:
            return
        self._note_taken()
        if self._bundle is None:
            self._bundle = self._make()
            self._add("resource", self._bundle.resource_doc)
        for number in range(self.published, stop):
            datum = self._bundle.compose_datum({"point_number": number})
            self.ids.append(datum["datum_id"])
            self._add("datum", datum)
        self.published = stop

    def assets(self) -> Iterator[DatumAsset]:
        """Yield what was composed, each document once."""
        assets, self._assets = self._assets, []
        yield from assets

    def take_back(self) -> bool:
        """Count events whose documents were dropped as not published."""
        self._note_taken()
        data = [asset[1] for asset in self._open if asset[0] == "datum"]
        if not data:
            return False
        self.published = data[0]["datum_kwargs"]["point_number"]
        if self._open[0][0] == "resource":
            self._bundle = None
        dropped = {datum["datum_id"] for datum in data}
        self.ids = [id for id in self.ids if id not in dropped]
        self._assets, self._open = [], []
        return True

    @property
    def is_taken(self) -> bool:
        """True once the RunEngine emitted one of the documents."""
        self._note_taken()
        return self._were_taken

    def mixes_streams(self, described: int) -> bool:
        """Return False: a Datum does not tell; `describe` has to see to it."""
        return False

    def _add(self, name: str, document: Resource | Datum) -> None:
        asset = DatumAsset((name, document))
        self._assets.append(asset)
        self._open.append(asset)

    def _note_taken(self) -> None:
        still_open = [asset for asset in self._open if not asset.is_taken]
        self._were_taken |= len(still_open) < len(self._open)
        self._open = still_open
