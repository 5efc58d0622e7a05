"""A long poll, timed from when its rows are durable.

A reader of the file tells when that is: what it sees is there.
"""

import bisect
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import h5py

from benchmarks.clients import Connection

LOOKED_EVERY_S = 0.002
OPENED_EVERY_S = 0.02


class Durable:
    """Since when rows are in the file at the earliest, as a reader sees it."""

    def __init__(self, file: Path, column: str) -> None:
        self._rows: list[int] = []
        self._not_before_s: list[float] = []
        """When they were looked for the last time and were not yet there."""
        self._looked_s = 0.0
        self._file, self._column = file, column
        self._dataset: h5py.Dataset | None = None

    def look(self) -> None:
        """Note how many rows there are now."""
        if self._dataset is None:
            # It can be read once its first image is there.
            with contextlib.suppress(OSError, KeyError):
                self._open()
            if self._dataset is None:
                time.sleep(OPENED_EVERY_S)
                return
        looked_s = time.monotonic()
        self._dataset.refresh()
        self.note(self._dataset.shape[0], looked_s)

    def note(self, rows: int, looked_s: float) -> None:
        """Keep how many rows there were at a time."""
        if not self._rows or rows > self._rows[-1]:
            self._rows.append(rows)
            self._not_before_s.append(self._looked_s)
        self._looked_s = looked_s

    def _open(self) -> None:
        opened = h5py.File(self._file, "r", libver="latest", swmr=True)
        found = opened.get(self._column)
        if isinstance(found, h5py.Dataset):
            self._dataset = found
        else:
            opened.close()

    def since_s(self, rows: int) -> float | None:
        """Return when so many were not there yet; None: nobody saw them come."""
        place = bisect.bisect_left(self._rows, rows)
        return self._not_before_s[place] if 0 < place < len(self._rows) else None

    def close(self) -> None:
        """Let go of the file."""
        if self._dataset is not None:
            self._dataset.file.close()
            self._dataset = None


class LongPoll:
    """Somebody who waits for rows, and for as many again when they are there."""

    def __init__(
        self, connection: Connection, acquisition: str, durable: Durable, step: int
    ) -> None:
        self._connection, self._durable, self._step = connection, durable, step
        self._path = f"/api/v1/acquisitions/{acquisition}"
        self._answers: list[tuple[int, float, float]] = []
        """Rows, when they were asked for, when they were told of."""
        self._rows = 0

    def ask(self) -> None:
        """Wait for the next rows."""
        wanted, asked_s = self._rows + self._step, time.monotonic()
        told = json.loads(
            self._connection.get(f"{self._path}?wait_frames={wanted}&timeout=5")
        )
        self._rows = told["rows"]
        if self._rows >= wanted:
            self._answers.append((wanted, asked_s, time.monotonic()))

    def delays_s(self) -> Iterator[float]:
        """Yield how long after rows were durable, and asked for, they were told of.

        At most so long: they came between two looks, and the first of the two counts.
        """
        for rows, asked_s, told_s in self._answers:
            since_s = self._durable.since_s(rows)
            if since_s is not None:
                yield told_s - min(told_s, max(asked_s, since_s))
