"""`python -m benchmarks.overhead`: what a point of a step scan costs.

A count of 100 points of one 1-Mpixel frame, beside the same count with a soft device
of ophyd's; exposure and RunEngine's own time are taken off. Simulator, service and
Tiled are processes of this machine, so their work is in the figure.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bluesky.plans as bp
from bluesky import RunEngine
from ophyd.sim import SynSignal

from srx_ophyd.demo import place
from srx_ophyd.device import SrxDetector
from srx_ophyd.drivers import SimplonDriver

EXPOSURE_S = 0.001


def main() -> None:
    """Print a line for each repeat, then the best."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead")
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=6)
    parser.add_argument("--target", type=Path, default=Path("/dev/shm"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.target) as folder:
        found = [*measure(Path(folder), options.points, options.repeat)]
    print(f"best: {min(found):.1f} ms a point beyond exposure and RunEngine")


def measure(folder: Path, points: int, repeat: int) -> list[float]:
    """Return the milliseconds a point costs, for each repeat."""
    engine, found = RunEngine({}), []
    soft: Any = SynSignal(name="soft", func=lambda: 1.0)
    with place(folder, "1065,1030") as where:
        detector = SrxDetector(
            where.service,
            name="eiger",
            driver=SimplonDriver(where.simplon),
            write_path_template=f"{folder}/data/{{name}}_{{uid8}}.h5",
            exposure_s=EXPOSURE_S,
        )
        for _ in range(repeat):
            soft_s = timed(lambda: engine(bp.count([soft], points)))
            whole_s = timed(lambda: engine(bp.count([detector], points)))
            extra_s = (whole_s - soft_s) / points - EXPOSURE_S
            found.append(1e3 * extra_s)
            print(
                f"soft device {1e3 * soft_s / points:.1f}, detector "
                f"{1e3 * whole_s / points:.1f}, overhead {found[-1]:.1f} ms a point",
                flush=True,
            )
    return found


def timed(do: Callable[[], object]) -> float:
    """Return the seconds something takes."""
    begun_s = time.monotonic()
    do()
    return time.monotonic() - begun_s


if __name__ == "__main__":
    main()
