"""Runs of the yardstick and of the whole service: a series, again until it is long."""

import contextlib
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import h5py
import numpy as np

from benchmarks import senders
from benchmarks.clients import Client, Viewer
from benchmarks.memory import touch
from benchmarks.processes import PATIENCE_S
from benchmarks.rows import Row
from benchmarks.service import WARM_UP, Service, free_port
from srx_service.codecs import bslz4


class Place(NamedTuple):
    """Where it is done."""

    folder: Path
    """Of compiled programs, images, logs."""
    target: Path
    """Of the files that are written."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of it is done."""

    repeat: int = 6
    """Runs of each."""
    least_s: float = 3.0
    """A run takes as many series as last so long together."""
    is_quick: bool = False
    """Only to see that everything works: a few frames, no figure means anything."""

    def of(self, row: Row) -> Row:
        """Return the row with as many frames as that."""
        return row.cheap() if self.is_quick else row


QUICK = Effort(repeat=1, least_s=0.0, is_quick=True)


@dataclass(slots=True)
class Run:
    """What one run showed."""

    frames: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    """Of the receiver; those of sender and clients are not in it."""
    peak_mib: float = 0.0
    notes: dict[str, int] = field(default_factory=dict)
    """What was counted beside."""

    @property
    def frames_per_s(self) -> float:
        """Its rate."""
        return self.frames / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU for each frame."""
        return 1e6 * self.cpu_s / self.frames

    def note(self, name: str, count: int) -> None:
        """Count something beside."""
        self.notes[name] = self.notes.get(name, 0) + count


class Side(Protocol):
    """One of the two that take turns."""

    def run(self, least_s: float) -> Run:
        """Do the row's work until it has lasted so long."""
        ...

    def close(self) -> None:
        """End what it needed."""
        ...


def side_of(row: Row, place: Place, *, is_yardstick: bool = False) -> Side:
    """Return what does a row's work."""
    return Yardstick(row, place) if is_yardstick else Served(row, place)


class Yardstick:
    """The receiver in C: a process for each series."""

    def __init__(self, row: Row, place: Place) -> None:
        self._row, self._folder = row, place.folder
        self._file = place.target / "yardstick.h5"
        self._image = senders.payload(row, place.folder)

    def run(self, least_s: float) -> Run:
        """Do the row's work until it has lasted so long."""
        run = Run()
        while not run.frames or run.seconds < least_s:
            self._series(run)
        return run

    def _series(self, run: Run) -> None:
        row = self._row
        if row.is_written:
            touch(self._file.parent, row.frames * row.frame_bytes)
        source, forward = free_port(), free_port()
        file = self._file if row.is_written else "-"
        words: list[object] = [self._folder / "yardstick", source, *row.shape]
        words += [np.dtype(row.dtype).itemsize, row.frames, file]
        words += [int(row.payload_bytes is not None)]
        words += [forward] if row.has_client else []
        with contextlib.ExitStack() as stack:
            stack.callback(self._file.unlink, missing_ok=True)
            receiver = subprocess.Popen(
                [str(word) for word in words], stdout=subprocess.PIPE, text=True
            )
            stack.callback(receiver.communicate)
            stack.callback(receiver.kill)
            client = Client(forward) if row.has_client else None
            if client is not None:
                stack.callback(client.close)
                client.wait_until_connected()
            sender = senders.Sender(row, self._folder, source, self._image)
            stack.callback(sender.close)
            sender.push(row.frames, "")
            told = json.loads(receiver.communicate(timeout=PATIENCE_S)[0])
            if client is not None:
                run.note("client_images", client.wait_for(row.frames))
        self._add(run, told)

    def _add(self, run: Run, told: dict[str, Any]) -> None:
        run.frames += told["frames"]
        run.seconds += told["total_s"]
        run.cpu_s += told["cpu_s"]
        run.peak_mib = max(run.peak_mib, told["peak_kib"] / 1024)

    def close(self) -> None:
        """Nothing is left of it."""


class Served:
    """The whole service: one process for all series, a short one first."""

    def __init__(self, row: Row, place: Place) -> None:
        self._row, self._target = row, place.target
        self._image = senders.payload(row, place.folder)
        self.service = Service(row, place.folder, self._image)
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            self._series(Run(), min(WARM_UP, row.frames))
            stack.pop_all()

    def run(self, least_s: float) -> Run:
        """Do the row's work until it has lasted so long."""
        run = Run()
        while not run.frames or run.seconds < least_s:
            self._series(run, self._row.frames)
        run.peak_mib = self.service.memory_mib()
        return run

    def _series(self, run: Run, frames: int) -> None:
        service, row = self.service, self._row
        file = self._target / "service.h5" if row.is_written else None
        if row.is_written:
            touch(self._target, frames * row.frame_bytes)
        before, cpu_s = service.forwarded(), service.cpu_s()
        viewer = Viewer(service.api_port) if row.has_viewer else None
        try:
            with contextlib.closing(viewer) if viewer else contextlib.nullcontext():
                run.seconds += service.series(frames, file)
            run.cpu_s += service.cpu_s() - cpu_s
            run.frames += frames
            if file is not None:
                check(file, row, frames, self._image)
        finally:
            if file is not None:
                file.unlink(missing_ok=True)
        if viewer is not None:
            run.note("pictures", viewer.pictures)
        if service.client is not None:
            sent, dropped = self._forwarded(service.client, before.images + frames)
            run.note("client_images", sent - before.sent)
            run.note("dropped", dropped - before.dropped)

    def _forwarded(self, client: Client, images: int) -> tuple[int, int]:
        """Return what the client has got and what was dropped, once it is all.

        Raises:
            RuntimeError: It got others than were sent, or fewer although it is waited
                for.
        """
        self.service.wait(lambda: self.service.forwarded().images >= images)
        forwarded = self.service.forwarded()
        got = client.wait_for(forwarded.sent)
        is_waited_for = self._row.config.get("on_slow_client") == "wait"
        if got != forwarded.sent or (is_waited_for and forwarded.dropped):
            raise RuntimeError(f"the client got {got} images, {forwarded}")
        return forwarded

    def close(self) -> None:
        """End the service."""
        self.service.close()


def check(file: Path, row: Row, frames: int, image: Path) -> None:
    """See that a file holds what was sent.

    Raises:
        RuntimeError: It does not.
    """
    with h5py.File(file) as opened:
        dataset = opened["/entry/data/data"]
        assert isinstance(dataset, h5py.Dataset)
        if dataset.shape != (frames, *row.shape):
            raise RuntimeError(f"{file} holds {dataset.shape}")
        blob = image.read_bytes()
        pixels = (
            np.frombuffer(blob, row.dtype).reshape(row.shape)
            if row.payload_bytes is None
            else bslz4.decompress(blob, row.shape, np.dtype(row.dtype))
        )
        for index in (0, frames - 1):
            if not np.array_equal(dataset[index], pixels):
                raise RuntimeError(f"{file}: frame {index} is not what was sent")
