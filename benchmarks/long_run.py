"""A million frames: what one costs, and what is held, as with ten thousand."""

import dataclasses
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import senders
from benchmarks.rows import SMALL
from benchmarks.runs import Effort, Place, check
from benchmarks.service import WARM_UP, Service
from benchmarks.verdicts import Figure, Measured

NAME = "1,000,000 frames of 50x50, written"
FEW, MANY = 10_000, 1_000_000
SERIES_OF_FEW = 10
"""Before each long one; a single series takes too little time to be measured."""
WITHIN = 1.1
SAMPLED_EVERY_S = 0.05


class Memory:
    """Looks at what the service holds, until it is closed."""

    def __init__(self, service: Service) -> None:
        self.mib: list[float] = []
        self._service = service
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="memory")
        self._thread.start()

    def _look(self) -> None:
        while True:
            self.mib.append(self._service.memory_mib("VmRSS"))
            if self._is_over.wait(SAMPLED_EVERY_S):
                return

    def close(self) -> None:
        """Stop looking."""
        self._is_over.set()
        self._thread.join()


def growth(mib: Sequence[float]) -> float:
    """Return the most of the last third over the most of the first."""
    third = max(1, len(mib) // 3)
    return max(mib[-third:]) / max(mib[:third])


def measure(place: Place, effort: Effort) -> Measured:
    """Return the cost of a frame among many over that among few, and the growth."""
    few, many = (500, 2_000) if effort.is_quick else (FEW, MANY)
    cost: dict[int, list[float]] = {few: [], many: []}
    growths: list[float] = []
    peaks: list[float] = []
    seconds: list[float] = []
    row = dataclasses.replace(SMALL, frames=many)
    image, file = senders.payload(row, place.folder), place.target / "long.h5"
    for _ in range(effort.repeat):
        with Service(row, place.folder, image) as service:
            timed(service, WARM_UP, 1, file, image)
            cost[few].append(timed(service, few, SERIES_OF_FEW, file, image))
            memory, begun_s = Memory(service), time.monotonic()
            try:
                cost[many].append(timed(service, many, 1, file, image))
            finally:
                memory.close()
            seconds.append(round(time.monotonic() - begun_s, 2))
            growths.append(growth(memory.mib))
            peaks.append(service.memory_mib())
    # Noise only adds to the cost; what is held goes up and down with the buffers.
    figures = (
        Figure(
            "cost ratio",
            min(cost[many]) / min(cost[few]),
            most=WITHIN,
            beside=f"{min(cost[many]):.2f} CPU µs a frame, of {few:,} "
            f"{min(cost[few]):.2f}",
        ),
        Figure("memory ratio", statistics.median(growths), most=WITHIN),
        Figure("peak MiB", max(peaks), most=row.most_mib),
    )
    details = {
        "cpu_us": {str(n): [round(us, 2) for us in cost[n]] for n in (few, many)},
        "memory_ratios": [round(found, 3) for found in growths],
        "seconds": seconds,
    }
    return Measured(figures, details)


def timed(service: Service, frames: int, series: int, file: Path, image: Path) -> float:
    """Return the microseconds of CPU that each frame of some series takes."""
    used_s = 0.0
    for _ in range(series):
        before_s = service.cpu_s()
        try:
            service.series(frames, file)
            used_s += service.cpu_s() - before_s
            check(file, service.row, frames, image)
        finally:
            file.unlink(missing_ok=True)
    return 1e6 * used_s / (frames * series)
