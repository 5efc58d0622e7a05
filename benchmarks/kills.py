"""`python -m benchmarks.kills --kills 200`: what kill -9 at random moments costs.

A source sends series after series, each named by itself, some frames left out. The
service is killed, also while it starts, and started again; then every file of its last
life is read with plain h5py. Each row has to be what was sent, each row that anybody
was told of has to be there, and every hole, count and state has to be told. Frames that
are gone are the last ones only: how old the oldest of them was is the figure. What
waits behind a gap is not written yet, so none is waited for here (`gap_timeout: 0`).
"""

import argparse
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.mortal import FLUSH_INTERVAL_S, SHAPE, Mortal, Sent, Source, pixels
from benchmarks.service import DATASET
from srx_service.counts import imbalance
from srx_service.filecounts import counts_in
from srx_service.verify import verify

FILL = 65535
SHARE_OF_STARTS = 0.2
"""So many of the kills come while the service starts."""
PRINTED_EVERY = 20
GROUP = DATASET.rpartition("/")[0]


@dataclass
class Outcome:
    """What became of all kills."""

    kills: int = 0
    in_starts: int = 0
    """Of these, before it was ready."""
    files: int = 0
    interrupted: int = 0
    empty: int = 0
    """Files made and killed before a single flush; the service said so."""
    rows: int = 0
    gone: int = 0
    """Frames that were sent and are in no file."""
    oldest_s: float = 0.0
    """The most that any of these had been sent before the kill."""
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"kills                     {self.kills}, {self.in_starts} in a start",
            f"files read by h5py.File   {self.files}, {self.interrupted} interrupted",
            f"made, not flushed yet     {self.empty}",
            f"rows, all as sent         {self.rows}",
            f"frames gone at a kill     {self.gone}",
            f"the oldest, sent before   {self.oldest_s:.3f} s (flush_interval:"
            f" {FLUSH_INTERVAL_S:g} s)",
            f"faults                    {len(self.faults)}",
        ]
        return "\n".join([*lines, *self.faults])


class Trial:
    """Kills and starts a service, and looks at what it left.

    Args:
        folder: Of files, journal and log.
        seed: The same one kills at the same moments, as far as the machine goes.
        longest_s: A service that is ready lives for so long at most.
    """

    def __init__(self, folder: Path, seed: int, longest_s: float = 2.5) -> None:
        self.outcome = Outcome()
        self._folder, self._longest_s = folder, longest_s
        self._random = random.Random(seed)
        self._mortal = Mortal(folder, folder / "kills.log")
        self._durable: dict[str, int] = {}
        """Rows that were told of, by file."""
        self._left: list[tuple[Sent, float]] = []
        """Series of earlier lives, and when these were killed."""

    def run(self, kills: int) -> Outcome:
        """Kill it so often, and look at what each life left in the next one."""
        for life in range(kills):
            self._start()
            seed = self._random.randrange(1 << 30)
            source = Source(self._mortal.source_port, self._folder, life, seed)
            try:
                killed_s = self._live()
            finally:
                source.close()
            self.outcome.kills += 1
            self._left += [(sent, killed_s) for sent in source.series]
            if self.outcome.kills % PRINTED_EVERY == 0:
                faults = len(self.outcome.faults)
                print(f"{self.outcome.kills} kills, {faults} faults", flush=True)
        self._start()
        self._mortal.wait_until_ready()
        self._look()
        self._mortal.kill()
        return self.outcome

    def _start(self) -> None:
        is_shared, has_sums = self._random.random() < 0.5, self._random.random() < 0.5
        chunk = 7 if is_shared else 1
        self._mortal.start({"frames_per_chunk": chunk, "checksum": has_sums})

    def _live(self) -> float:
        """Let it live for a while; return when it was killed."""
        if self._random.random() < SHARE_OF_STARTS:
            self.outcome.in_starts += 1
            time.sleep(self._random.uniform(0.0, 3.0))
            return self._mortal.kill()
        self._mortal.wait_until_ready()
        self._look()
        until_s = time.monotonic() + self._random.uniform(0.05, self._longest_s)
        while time.monotonic() < until_s:
            for file, told in self._mortal.told(3).items():
                self._durable[file] = told["rows"]
            time.sleep(0.02)
        return self._mortal.kill()

    def _look(self) -> None:
        """Look at all that earlier lives left."""
        told = self._mortal.told()
        for sent, killed_s in self._left:
            self._look_at(sent, told.get(str(sent.path)), killed_s)
        self._left.clear()
        self._durable.clear()

    def _look_at(
        self, sent: Sent, told: dict[str, Any] | None, killed_s: float
    ) -> None:
        outcome, before = self.outcome, len(self.outcome.faults)
        rows = 0
        if sent.path.exists():
            try:
                with h5py.File(sent.path) as file:
                    rows = self._check(sent, file, told)
                for fault in verify(sent.path, decode=True).found.problems:
                    self._blame(sent, fault)
                outcome.files += 1
                outcome.rows += rows
                outcome.interrupted += told is not None and told["state"] != "done"
            except OSError as error:
                said = "" if told is None else told["note"] or ""
                outcome.empty += "holds nothing" in said
                if "holds nothing" not in said or self._durable.get(str(sent.path)):
                    self._blame(sent, str(error))
        self._count_gone(sent, rows, killed_s)
        if len(outcome.faults) == before:
            sent.path.unlink(missing_ok=True)

    def _check(self, sent: Sent, file: h5py.File, told: dict[str, Any] | None) -> int:
        found = file.get(DATASET)
        data = found[:] if isinstance(found, h5py.Dataset) else np.zeros((0, *SHAPE))
        rows, times_s = len(data), sent.times_s
        there = [time_s is not None for time_s in times_s[:rows]]
        holes = [row for row, is_there in enumerate(there) if not is_there]
        every = counts_in(file)
        claims = {
            "rows that were told of are gone": rows
            >= self._durable.get(str(sent.path), 0),
            "more rows than were sent": rows <= len(times_s),
            "pixels are not as sent": _are_as_sent(data, there),
            "holes are not told": _listed(file) == holes,
            "the acquisition is not told of": told is not None,
            "other rows are told of": told is None or told["rows"] == rows,
            "the state is not settled": told is None
            or told["state"] in ("done", "interrupted"),
            "told counts do not add up": told is None
            or imbalance(told["counts"], None) is None,
            "counts in the file do not add up": not rows
            or (every is not None and imbalance(every[-1], None) is None),
            "images counted are not those there": not rows
            or (every is not None and every[-1]["written"] == rows - len(holes)),
        }
        for fault, is_fine in claims.items():
            if not is_fine:
                self._blame(sent, fault)
        return rows

    def _count_gone(self, sent: Sent, rows: int, killed_s: float) -> None:
        gone = [at_s for at_s in sent.times_s[rows:] if at_s is not None]
        gone = [at_s for at_s in gone if at_s < killed_s]
        self.outcome.gone += len(gone)
        if gone and str(sent.path) in self._durable:
            self.outcome.oldest_s = max(self.outcome.oldest_s, killed_s - gone[0])

    def _blame(self, sent: Sent, fault: str) -> None:
        self.outcome.faults.append(f"{sent.path}: {fault}")


def _listed(file: h5py.File) -> list[int]:
    return np.asarray(file[f"{GROUP}/missing_frames"]).tolist()


def _are_as_sent(data: np.ndarray, there: list[bool]) -> bool:
    expected = (pixels(row) if is_sent else FILL for row, is_sent in enumerate(there))
    pairs = zip(data, expected, strict=len(data) == len(there))
    return all((frame == each).all() for frame, each in pairs)


def main() -> int:
    """Kill, look, print; 1 where anything was not as promised."""
    parser = argparse.ArgumentParser(prog="benchmarks.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    begun_s = time.monotonic()
    outcome = Trial(folder, arguments.seed).run(arguments.kills)
    print(outcome)
    print(f"took {time.monotonic() - begun_s:.0f} s, seed {arguments.seed}")
    if outcome.faults:
        print(f"the files of the faults and the log are in {folder}")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
