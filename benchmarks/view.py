"""`python -m benchmarks.view`: what the page's live view costs the line.

One service receives series of a 4-Mpixel detector as fast as it can, with a viewer that
asks for ten pictures a second and without one, in turn. The best run of one is compared
with the best of the other: noise only slows down.
"""

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from websockets.sync.client import connect

from benchmarks import senders
from benchmarks.rows import Row
from benchmarks.service import WARM_UP, Service

LEAST = 0.95
"""The rate with viewers over that without."""
ROW = Row(
    "2162x2068 bslz4 (1.5 MB), written",
    (2162, 2068),
    "uint32",
    1_500,
    LEAST,
    compression="bslz4",
    payload_bytes=1_500_000,
)
WISH = {"rate_hz": 10, "histogram": 128, "cursor": [1000, 1000], "scale": "log"}
"""What the page asks for at first."""


class Run(NamedTuple):
    """A series."""

    frames_per_s: float
    cpu_us: float
    """Of the service, for each frame."""
    pictures_per_s: float
    """Of each viewer."""


class Watching:
    """Viewers that take all they get, until the block is over."""

    def __init__(self, port: int, count: int) -> None:
        self.pictures = 0
        self._url = f"ws://127.0.0.1:{port}/api/v1/view"
        self._count = count

    @contextlib.contextmanager
    def all(self) -> Iterator[None]:
        """Let them look as long as the block lasts."""
        with contextlib.ExitStack() as stack:
            for number in range(self._count):
                viewer = stack.enter_context(
                    connect(self._url, max_size=None, compression=None)
                )
                # each sees something else: nothing can be shared but the frame
                viewer.send(json.dumps(WISH | {"high": 100 + number}))
                thread = threading.Thread(target=self._take, args=[viewer])
                thread.start()
                stack.callback(thread.join)
                stack.callback(viewer.close)
            yield

    def _take(self, viewer: Sequence[bytes]) -> None:
        for message in viewer:
            self.pictures += isinstance(message, bytes)


def main(words: Sequence[str] | None = None) -> int:
    """Print what each turn showed; 1 where views cost more than they may."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.view")
    parser.add_argument("--frames", type=int, default=ROW.frames, help="in a series")
    parser.add_argument("--repeat", type=int, default=8, help="turns")
    parser.add_argument("--viewers", type=int, default=1)
    parser.add_argument("--target", type=Path, default=Path("/dev/shm"))
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(dir=options.target) as folder:
        alone, watched = measure(
            Path(folder), options.frames, options.repeat, options.viewers
        )
    for name, runs in (("alone", alone), (f"{options.viewers} viewers", watched)):
        rates = [run.frames_per_s for run in runs]
        print(
            f"{name}: {max(rates):.0f} frames/s at best, {statistics.median(rates):.0f}"
            f" in the middle, {min(run.cpu_us for run in runs):.0f} CPU µs a frame,"
            f" {statistics.median(run.pictures_per_s for run in runs):.1f} pictures/s"
        )
    ratio, pairs = best(watched) / best(alone), zip(watched, alone, strict=True)
    turns = [
        with_view.frames_per_s / without.frames_per_s for with_view, without in pairs
    ]
    print(
        f"ratio {ratio:.3f} (at least {LEAST}); of each turn {min(turns):.3f} to"
        f" {max(turns):.3f}, {statistics.median(turns):.3f} in the middle"
    )
    return 0 if ratio >= LEAST else 1


def best(runs: Sequence[Run]) -> float:
    """Return the rate of the quickest."""
    return max(run.frames_per_s for run in runs)


def measure(
    folder: Path, frames: int, repeat: int, viewers: int
) -> tuple[list[Run], list[Run]]:
    """Return the runs without viewers, and those with them."""
    senders.build(folder)
    image = senders.payload(ROW, folder)
    runs: dict[int, list[Run]] = {0: [], viewers: []}
    with Service(ROW, folder, image) as service:
        service.series(WARM_UP, folder / "warm.h5")
        for turn in range(repeat):
            # there and back: who comes first has it neither better nor worse
            for count in sorted(runs, reverse=turn % 2 == 1):
                runs[count].append(one(service, frames, folder / "view.h5", count))
    return runs[0], runs[viewers]


def one(service: Service, frames: int, file: Path, viewers: int) -> Run:
    """Send a series while so many look."""
    watching = Watching(service.api_port, viewers)
    with watching.all():
        before_s, seen = service.cpu_s(), watching.pictures
        seconds = service.series(frames, file)
        spent_us = 1e6 * (service.cpu_s() - before_s)
        seen = watching.pictures - seen
    file.unlink()
    per_viewer = seen / max(1, viewers)
    return Run(frames / seconds, spent_us / frames, per_viewer / seconds)


if __name__ == "__main__":
    sys.exit(main())
