"""Engine, device and the programs behind them, for all that may go wrong with them."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import hdf5plugin  # noqa: F401  registers the filters that files are read with
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import FailedStatus

from srx_ophyd.device import SrxDatumDetector, SrxDetector
from srx_ophyd.plans import srx_fly
from tests.system.beamline import DSET, Watched, make_device, pictures
from tests.system.conftest import Program

FLAVOURS: dict[str, Any] = {"stream": SrxDetector, "datum": SrxDatumDetector}
BOUND_S = 60.0
"""For what goes wrong; none takes more than a few seconds on a machine of its own."""


class FaultyLine(Watched):
    """What a user has without a catalog, and what is left when a scan has failed."""

    def __init__(
        self,
        service: Program,
        simulator: Program,
        data: Path,
        kind: str = "eiger",
        flavour: str = "stream",
        **arguments: Any,
    ) -> None:
        self.service, self.simulator = service, simulator
        parts = (service, simulator, data, kind, FLAVOURS[flavour])
        self.det: Any = make_device(*parts, **arguments)
        # No context managers: they catch SIGINT, which is pytest's here.
        self.engine = RunEngine({}, context_managers=[])
        self.documents: list[tuple[str, dict[str, Any]]] = []
        self.engine.subscribe(lambda name, doc: self.documents.append((name, doc)))

    def fails(self, plan: Any) -> str:
        """Run a plan that fails; return what the user reads, which RunStop says too."""
        begun_s = time.monotonic()
        with pytest.raises(FailedStatus) as caught:
            self.engine(plan)
        assert time.monotonic() - begun_s < BOUND_S
        [stop] = [doc for name, doc in self.documents if name == "stop"]
        assert (stop["exit_status"], stop["reason"]) == ("fail", str(caught.value))
        assert self.engine.state == "idle"
        return str(caught.value)

    def fly(self, num_events: int) -> Any:
        if isinstance(self.det, SrxDetector):
            return srx_fly([self.det], num_events)
        self.det.num_events.put(num_events)
        return bpp.stage_wrapper(bp.fly([self.det]), [self.det])

    def check_next_scan(self) -> None:
        """The next one is whole, and everything idle after it."""
        self.engine(bp.count([self.det], num=2))
        newest = self.acquisitions()[0]
        assert newest["state"] == "done"
        assert np.array_equal(stored(newest["file"]), pictures(range(2)))
        assert self.service.get("/status")["state"] == "idle"
        assert self.det.driver.state() == "detector is 'idle'"
        names = [one.name for one in threading.enumerate()]
        assert not [name for name in names if name.startswith("srx-")]


@contextlib.contextmanager
def faulty_line(*parts: Any, **arguments: Any) -> Iterator[FaultyLine]:
    line = FaultyLine(*parts, **arguments)
    yield line
    line.det.destroy()


def stored(file: str | Path, **how: Any) -> np.ndarray:
    with h5py.File(file, **how) as opened:
        return opened[DSET][:]


def begin(do: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=do)
    thread.start()
    return thread
