"""A service, a simulated detector, and a session that scans with them."""

import contextlib
import json
import threading
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import FailedStatus, RunEngineInterrupted
from bluesky_tiled_plugins import TiledWriter

from srx_ophyd.device import SrxDetector
from srx_ophyd.drivers import SimplonDriver, SimulatorDriver
from srx_ophyd.exposing import ExposingDevice
from srx_service.simulators.pictures import picture
from tests.system.conftest import Program, Programs

SHAPE = (120, 100)
SEED = 7
SIMULATE = ("--shape", "120,100", "--seed", "7")
DSET = "/entry/instrument/eiger/data"


class Watched:
    """Looks at a service from outside of what is tested."""

    service: Program

    def acquisitions(self) -> list[dict[str, Any]]:
        """Newest first."""
        return self.service.get("/api/v1/acquisitions")["acquisitions"]

    def wait_for_rows(self, rows: int) -> None:
        """Wait until the running acquisition has them."""

        def is_there() -> bool:
            newest = self.acquisitions()[:1]
            running = bool(newest) and newest[0]["state"] == "running"
            return running and newest[0]["rows"] >= rows

        self.service.wait_until(is_there)


class Beamline(Watched):
    """What a user has: engine, detector, catalog; and the programs behind them."""

    def __init__(
        self, service: Program, simulator: Program, catalog: Any, batch_size: int = 1
    ) -> None:
        self.service = service
        self.simulator = simulator
        self.catalog = catalog
        # No context managers: they catch SIGINT, which is pytest's here.
        self.engine = RunEngine({}, context_managers=[])
        self.documents: list[tuple[str, dict[str, Any]]] = []
        self.engine.subscribe(self._keep)
        self.engine.subscribe(TiledWriter(catalog, batch_size=batch_size))
        self.det: Any

    def _keep(self, name: str, document: dict[str, Any]) -> None:
        self.documents.append((name, json.loads(json.dumps(document))))

    def run(self, plan: Any) -> Any:
        """Run a plan; return what Tiled has of it."""
        (uid,) = self.engine(plan)
        return self.catalog[uid]

    def fails(self, plan: Any) -> str:
        """Run a plan that fails; return what the user reads, which RunStop says too."""
        with pytest.raises(FailedStatus) as caught:
            self.engine(plan)
        [stop] = [one for name, one in self.documents if name == "stop"]
        assert (stop["exit_status"], stop["reason"]) == ("fail", str(caught.value))
        return str(caught.value)


DECODERS = {"eiger": "Eiger", "detector": "Detector"}
DRIVERS = {"eiger": SimplonDriver, "detector": SimulatorDriver}


def start(programs: Programs, kind: str, *options: str) -> tuple[Program, Program]:
    """Return a service and the simulator it listens to."""
    simulator = programs.simulator(kind, *SIMULATE, *options)
    port = simulator.ports["stream_port"]
    entry = {"class": DECODERS[kind], "dcu_port_purple": port}
    return programs.service(entry), simulator


def make_device(
    service: Program,
    simulator: Program,
    data: Path,
    kind: str,
    flavour: type[ExposingDevice] = SrxDetector,
    **arguments: Any,
) -> Any:
    arguments = {
        "name": "det",
        "driver": DRIVERS[kind](simulator.url),
        "write_path_template": f"{data}/%Y/{{name}}_{{uid8}}.h5",
        "exposure_s": 0.01,
    } | arguments
    return flavour(service.url, **arguments)


@contextlib.contextmanager
def at_beamline(
    pair: tuple[Program, Program],
    catalog: Any,
    data: Path,
    kind: str,
    flavour: type[ExposingDevice] = SrxDetector,
    batch_size: int = 1,
) -> Iterator[Beamline]:
    line = Beamline(*pair, catalog, batch_size)
    line.det = make_device(*pair, data, kind, flavour)
    yield line
    if line.engine.state != "idle":
        line.engine.halt()
    line.det.destroy()


def pictures(frames: Any, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Return what the simulator sent, by its own count of frames in a series."""
    return np.stack([picture(k, SHAPE, "uint16", SEED) for k in frames]).reshape(
        len(frames), *shape
    )


def frames_of(run: Any, stream: str = "primary") -> np.ndarray:
    return np.asarray(run[stream]["det_image"].read())


@contextlib.contextmanager
def paused_when(beamline: Beamline, is_time: Callable[[], bool]) -> Iterator[None]:
    """Pause the plan that is run inside; nobody goes on asking once that has ended."""
    has_ended = threading.Event()

    def wait_and_pause() -> None:
        while not has_ended.wait(0.01):
            if is_time():
                beamline.engine.request_pause()
                return

    thread = threading.Thread(target=wait_and_pause)
    thread.start()
    try:
        with pytest.raises(RunEngineInterrupted):
            yield
    finally:
        has_ended.set()
        thread.join()


def is_exposing(beamline: Beamline, rows: Container[int]) -> bool:
    """True in the middle of an exposure, after so many rows."""
    newest = beamline.acquisitions()[:1]
    return (
        bool(newest)
        and newest[0]["rows"] in rows
        and beamline.det.driver.state()
        in (
            "detector is 'acquire'",
            "detector is 'running'",
        )
    )
