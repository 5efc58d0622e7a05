"""Readers of recorded runs, each a program of its own: python -m tests.system.readers.

It imports nothing that would register HDF5's filters for them: their users do not know
that they should. What is not as expected is an AssertionError.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
from event_model import DocumentRouter, Filler, RunRouter, unpack_event_page

KEY = "det_image"


@dataclass(frozen=True)
class Run:
    """One run: what the RunEngine emitted, and the pixels that were sent."""

    flavour: str
    """stream or datum."""
    plan: str
    """step or fly."""
    spec: str
    """Of the Resource; "" without one."""
    documents: list[tuple[str, dict[str, Any]]]
    frames: np.ndarray
    """[event, frame, y, x]."""

    @property
    def uid(self) -> str:
        return self.documents[0][1]["uid"]

    @property
    def scan_id(self) -> int:
        return self.documents[0][1]["scan_id"]

    @property
    def has_frame_axis(self) -> bool:
        """False where an event of one frame is that frame."""
        return self.flavour == "datum" or self.frames.shape[1] > 1

    @property
    def expected(self) -> np.ndarray:
        return self.frames if self.has_frame_axis else self.frames[:, 0]

    def is_same(self, frames: Any) -> bool:
        return np.array_equal(np.asarray(frames), self.expected)


def save(run: Run, folder: Path) -> None:
    """Put a run where `load` finds it."""
    path = folder / f"{run.uid}.json"
    np.save(path.with_suffix(".npy"), run.frames)
    head = [run.flavour, run.plan, run.spec]
    path.write_text(json.dumps([*head, run.documents]))


def load(folder: Path) -> list[Run]:
    """Return all runs, in the order in which they were taken."""
    runs = [
        Run(*json.loads(path.read_text()), np.load(path.with_suffix(".npy")))
        for path in folder.glob("*.json")
    ]
    return sorted(runs, key=lambda run: run.scan_id)


def of_flavour(flavour: str, runs: Sequence[Run]) -> Iterator[Run]:
    found = [run for run in runs if run.flavour == flavour]
    assert found
    yield from found


def in_memory(runs: Sequence[Run]) -> None:
    """databroker without a server: the handlers are found by their entry points."""
    from databroker import Broker

    db = Broker.named("temp")
    stream = next(of_flavour("stream", runs))
    for run in (stream, *of_flavour("datum", runs)):
        for document in run.documents:
            db.insert(*document)
    with contextlib.suppress(ValueError):  # need at least one array to stack
        assert not db.v2[stream.uid]["primary"].read()[KEY].size
    for run in of_flavour("datum", runs):
        header = db[run.scan_id]
        assert header.start["uid"] == run.uid
        assert run.is_same(list(header.data(KEY)))
        assert run.is_same(list(header.table(fill=True)[KEY]))
        primary = db.v2[run.uid]["primary"]
        assert run.is_same(primary.read()[KEY])
        part = np.s_[1, 0, :2, 3:]
        assert np.array_equal(primary["data"][KEY][part], run.frames[part])


def over_tiled(runs: Sequence[Run], url: str, api_key: str, container: str) -> None:
    """databroker's API over a Tiled catalog that TiledWriter filled."""
    from databroker import Broker
    from tiled.client import from_uri

    catalog = from_uri(url, api_key=api_key)[container]
    patched = next(of_flavour("datum", runs))
    chunks = catalog.v3[patched.uid]["primary"][KEY].chunks
    assert chunks[0] == (1,) * len(patched.frames)
    db = Broker(catalog)
    assert db[-1].start["uid"] == runs[-1].uid
    for run in runs:
        header = db[run.scan_id]
        assert header.start["uid"] == run.uid
        if run.plan == "step":
            assert run.is_same(list(db[run.uid].table(fill=True)[KEY]))
        else:
            assert run.is_same(list(header.data(KEY)))


def registry(ours: bool) -> dict[str, Any]:
    """Return what reads AD_HDF5 and SRX_HDF5: `ours`, or area-detector-handlers'."""
    found = entry_points(group="databroker.handlers")
    handlers = {name: found[name].load() for name in ("AD_HDF5", "SRX_HDF5")}
    assert "area_detector_handlers" in handlers["AD_HDF5"].__module__
    return handlers | ({"AD_HDF5": handlers["SRX_HDF5"]} if ours else {})


class Keeper(DocumentRouter):
    """Keeps the frames of events."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Any] = []

    def event(self, doc: Any) -> None:
        self.frames += [doc["data"][KEY]] if KEY in doc["data"] else []

    def event_page(self, doc: Any) -> None:
        for event in unpack_event_page(doc):
            self.event(event)


def filled_by_event_model(runs: Sequence[Run], handlers: dict[str, Any]) -> None:
    """event-model's Filler and RunRouter; both pass streams on as they are."""
    kept: list[Keeper] = []

    def keep(name: str, doc: Any) -> Any:
        kept.append(Keeper())
        return kept[-1:], []

    router = RunRouter([keep], handler_registry=handlers, fill_or_fail=True)
    for run in runs:
        filler, keeper = Filler(handlers, inplace=False), Keeper()
        for document in run.documents:
            keeper(*filler(*document))
            router(*document)
        for frames in (keeper.frames, kept[-1].frames):
            assert run.is_same(frames) if run.flavour == "datum" else not frames
    assert len(kept) == len(runs)


def filled_by_ours(runs: Sequence[Run]) -> None:
    filled_by_event_model(runs, registry(ours=True))


def filled_by_area_detector_handlers(runs: Sequence[Run]) -> None:
    filled_by_event_model(runs, registry(ours=False))


def follow() -> None:
    """Fill documents as they come on stdin, and tell what the pixels of each sum to."""
    with Filler(registry(ours=True), inplace=True) as fill:
        for line in sys.stdin:
            name, document = fill(*json.loads(line))
            told = int(np.sum(document["data"][KEY])) if name == "event" else None
            sys.stdout.write(f"{json.dumps(told)}\n")
            sys.stdout.flush()


READERS: dict[str, Callable[..., None]] = {
    reader.__name__: reader
    for reader in (
        in_memory,
        over_tiled,
        filled_by_ours,
        filled_by_area_detector_handlers,
    )
}

if __name__ == "__main__":
    _, which, *arguments = sys.argv
    assert "hdf5plugin" not in sys.modules
    if which == "follow":
        follow()
    else:
        folder, *places = arguments
        READERS[which](load(Path(folder)), *places)
