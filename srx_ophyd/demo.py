"""`srx demo`: simulated detector → service → Bluesky → HDF5 → Tiled, on this machine.

Simulator, service and Tiled are processes of their own on free ports; nothing of them
is left when it ends. The files stay in a folder of the demo. With --watch the detector
goes on until Ctrl-C, to be looked at in a browser.
"""

import argparse
import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import numpy as np
from bluesky import RunEngine
from bluesky.utils import ProgressBarManager, RunEngineInterrupted
from bluesky_tiled_plugins import TiledWriter
from ophyd.sim import SynAxis
from PIL import Image
from tiled.client import from_uri

from srx_ophyd.client import ServiceClient
from srx_ophyd.device import SrxDetector
from srx_ophyd.drivers import SimplonDriver
from srx_ophyd.plans import srx_fly
from srx_ophyd.processes import ProcessError, free_port, python_module, running
from srx_ophyd.showing import line, show

API_KEY = "srxdemo"
"""Of a server that this machine alone can reach, for as long as the demo runs."""
NOISY = ("bluesky", "numexpr", "httpx")
"""Loggers that tell of every step of theirs."""
MAX_RATE_HZ = 1000.0
"""Of the simulator, to be looked at."""
WHITE_AT = 99.5
"""Percentile of the counts that is drawn white."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the demo's processes are to be found."""

    folder: Path
    service: str
    simplon: str
    tiled: str


@dataclass(frozen=True, slots=True)
class Row:
    """One run, for the table at the end."""

    plan: str
    asked: int
    frames: int
    """Read back through Tiled."""
    seconds: float
    file: str
    missing: int


def main(argv: Sequence[str]) -> int:
    """Run the demo; return the exit code."""
    options = _options(argv)
    # a job in a shell's background begins with SIGINT ignored
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if options.watch:
            show(folder, options.shape, options.rate, options.port)
        with place(folder, options.shape) as where:
            rows, picture = measure(where, options.points, options.frames)
    except (KeyboardInterrupt, RunEngineInterrupted):
        print("\ninterrupted; all processes are ended")
        return 0 if options.watch else 130
    except ProcessError as error:
        print(f"srx demo: {error}")
        return 1
    print_table(rows)
    print(f"picture of a frame: {picture}")
    return 0 if all(row.frames == row.asked and not row.missing for row in rows) else 1


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("srx demo", description=__doc__)
    add = parser.add_argument
    add("--folder", type=Path, default=Path("srx-demo"), help="for files and picture")
    add("--points", type=int, default=11, help="of the step scan (11)")
    add("--frames", type=int, default=100, help="of the fly scan (100)")
    add("--shape", default="1065,1030", help="of a frame: rows,columns (1065,1030)")
    add("--watch", action="store_true", help="no scans: a live view, until Ctrl-C")
    add("--rate", type=float, default=10.0, help="with --watch: frames a second (10)")
    add("--port", type=int, default=0, help="with --watch: of the page (any free one)")
    options = parser.parse_args(argv)
    if options.points < 1 or options.frames < 1:
        parser.error("--points and --frames: at least 1")
    if not 0 < options.rate <= MAX_RATE_HZ:
        parser.error(f"--rate: above 0, at most {MAX_RATE_HZ:g}")
    return options


@contextlib.contextmanager
def place(folder: Path, shape: str) -> Iterator[Place]:
    """Run simulator, service and Tiled for as long as the block lasts."""
    logs, data = folder / "logs", folder / "data"
    for path in (logs, data):
        path.mkdir(exist_ok=True)
    print("starting a simulated Eiger, the service and Tiled …", flush=True)
    port = free_port()
    words = ["tiled", "serve", "catalog", "--temp", "--read", str(data)]
    words += ["--api-key", API_KEY, "--port", str(port)]
    with (
        running("Tiled", python_module(*words), logs / "tiled.log") as tiled,
        line(folder, shape) as where,
    ):
        url = f"http://127.0.0.1:{port}"
        tiled.wait_for_url(f"{url}/api/v1/")
        yield Place(folder, where.service, where.simplon, url)


def measure(where: Place, points: int, frames: int) -> tuple[list[Row], Path]:
    """Take a step scan and a fly scan, and read both back through Tiled."""
    detector = SrxDetector(
        where.service,
        name="eiger",
        driver=SimplonDriver(where.simplon),
        write_path_template=f"{where.folder}/data/{{name}}_{{uid8}}.h5",
        exposure_s=0.01,
    )
    catalog: Any = from_uri(where.tiled, api_key=API_KEY)
    engine: Any = RunEngine({})
    engine.waiting_hook = ProgressBarManager()
    engine.subscribe(TiledWriter(catalog, batch_size=1))
    motor = SynAxis(name="motor")
    plans = (
        ("scan", points, bp.scan([detector], motor, -1, 1, points)),
        ("fly", frames, srx_fly([detector], frames)),
    )
    rows, last = [], None
    with _put_down(engine):
        for name, asked, plan in plans:
            print(f"\n{name}: {asked} frames", flush=True)
            begun = time.monotonic()
            (uid,) = engine(plan)
            seconds = time.monotonic() - begun
            last = np.asarray(catalog[uid]["primary"]["eiger_image"].read())
            missing = missing_in(detector.client, detector.file.get())
            file: Any = detector.file.get()
            path = os.path.relpath(file)
            rows.append(Row(name, asked, len(last), seconds, path, missing))
    assert last is not None
    return rows, draw(last[-1], where.folder / "frame.png")


def missing_in(client: ServiceClient, file: object) -> int:
    """Return how many frames of a file never came, as the service counts them."""
    (found,) = [a for a in client.acquisitions() if a.file == str(file)]
    return found.counts["missing"] + found.counts["rejected"]


@contextlib.contextmanager
def _put_down(engine: RunEngine) -> Iterator[None]:
    """Abort a plan that Ctrl-C paused, so that service and detector end idle."""
    try:
        yield
    finally:
        if engine.state == "paused":
            engine.abort("interrupted")


def draw(frame: np.ndarray, path: Path) -> Path:
    """Save a frame (y, x) as a picture: logarithmic, masked pixels dark blue."""
    masked = frame >= np.iinfo(frame.dtype).max - 1
    counts = np.log1p(np.where(masked, 0, frame).astype(float))
    white = max(float(np.percentile(counts[~masked], WHITE_AT)), 1e-9)
    grey = (255 * np.clip(counts / white, 0, 1)).astype(np.uint8)
    colours = np.stack([grey, grey, grey], axis=-1)
    colours[masked] = (20, 30, 70)
    Image.fromarray(colours).save(path)
    return path


def print_table(rows: Sequence[Row]) -> None:
    """Print what was taken and read back."""
    print("\nplan    asked read back  a second  missing  file")
    for row in rows:
        rate = row.frames / row.seconds
        print(
            f"{row.plan:6} {row.asked:6} {row.frames:9} {rate:9.1f} {row.missing:8}  "
            f"{row.file}",
            flush=True,
        )
