"""`python -m benchmarks.fly`: what a long fly scan costs the process of the RunEngine.

100,000 frames of 512x512 at a steady rate. Printed for each tenth of them: CPU of this
process as a share of one core, HTTP calls for each time the plan collects, and its
memory. The detector, the service and its files are processes and folders of this
machine.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from bluesky import RunEngine
from bluesky.utils import Msg

from benchmarks.overhead import EXPOSURE_S
from srx_ophyd import endpoint
from srx_ophyd.demo import place
from srx_ophyd.device import SrxDetector
from srx_ophyd.drivers import SimplonDriver
from srx_ophyd.plans import srx_fly

PARTS = 10
PAGE = resource.getpagesize()


class Mark(NamedTuple):
    """What was used up to a moment."""

    at_s: float
    cpu_s: float
    calls: int
    collected: int
    rss_mib: float
    frames: int


class Ledger:
    """Counts what the plan collects, and HTTP calls as they are made."""

    def __init__(self, frames: int) -> None:
        self.marks: list[Mark] = []
        self._step = frames // PARTS
        self._calls = 0
        self._collected = 0
        self._send = endpoint.Endpoint.request
        endpoint.Endpoint.request = self._counted

    @property
    def _counted(self) -> Any:  # noqa: ANN401  a method to be bound to endpoints
        def request(itself: endpoint.Endpoint, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            self._calls += 1
            return self._send(itself, *args, **kwargs)

        return request

    def __call__(self, name: str, document: dict[str, Any]) -> None:
        """Take a document; note a mark where a part of the frames is over."""
        if name == "start":
            self.mark(0)
        if name != "stream_datum":
            return
        stop = document["indices"]["stop"]
        if stop >= self.marks[-1].frames + self._step:
            self.mark(stop)

    def hear(self, msg: Msg) -> None:
        """Take a message of the plan."""
        self._collected += msg.command == "collect"

    def mark(self, frames: int) -> None:
        """Note what was used until now."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.marks.append(
            Mark(
                time.monotonic(),
                time.process_time(),
                self._calls,
                self._collected,
                pages * PAGE / 2**20,
                frames,
            )
        )


def main() -> None:
    """Print a line for each part of the scan, then the whole."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fly")
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--shape", default="512,512")
    parser.add_argument("--rate", type=float, default=1000.0, help="frames/s (1000)")
    parser.add_argument("--target", type=Path, default=Path("/dev/shm"))
    options = parser.parse_args()
    ledger = Ledger(options.frames)
    with tempfile.TemporaryDirectory(dir=options.target) as folder:
        fly(Path(folder), options.frames, options.shape, options.rate, ledger)
    for before, after in zip(ledger.marks, ledger.marks[1:], strict=False):
        tell(f"frames {before.frames} to {after.frames}", before, after)
    tell("whole scan", ledger.marks[0], ledger.marks[-1])


def fly(folder: Path, frames: int, shape: str, rate_hz: float, ledger: Ledger) -> None:
    """Take the frames."""
    engine: Any = RunEngine({})
    engine.subscribe(ledger)
    engine.msg_hook = ledger.hear
    with place(folder, shape) as where:
        detector = SrxDetector(
            where.service,
            name="eiger",
            driver=SimplonDriver(where.simplon),
            write_path_template=f"{folder}/data/{{name}}_{{uid8}}.h5",
            exposure_s=1 / rate_hz if rate_hz else EXPOSURE_S,
        )
        engine(srx_fly([detector], frames))


def tell(what: str, before: Mark, after: Mark) -> None:
    """Print what lies between two marks."""
    seconds = after.at_s - before.at_s
    collected = max(1, after.collected - before.collected)
    print(
        f"{what}: {(after.frames - before.frames) / seconds:.0f} frames/s, "
        f"{100 * (after.cpu_s - before.cpu_s) / seconds:.1f} % of a core, "
        f"{(after.calls - before.calls) / collected:.2f} HTTP calls a flush, "
        f"{after.rss_mib:.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
