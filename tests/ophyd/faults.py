"""A scan with a fake service and a fake detector, and what may go wrong with them."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngine
from bluesky.utils import FailedStatus

from srx_ophyd.device import SrxDatumDetector, SrxDetector
from srx_ophyd.plans import srx_fly
from tests.ophyd.conftest import Documents
from tests.ophyd.fake_driver import FakeDriver
from tests.ophyd.fake_service import FakeService

BOUND_S = 20.0
IMPATIENCE_S = 0.3
"""The device's patience from the fault on, where the service answers no more."""
FLAVOURS = [SrxDetector, SrxDatumDetector]


@pytest.fixture(params=FLAVOURS, ids=lambda flavour: flavour.__name__)
def flavour(request: pytest.FixtureRequest) -> Any:
    return request.param


# Where nothing depends on the kind of documents, one is enough.
either_flavour = pytest.mark.parametrize("flavour", [SrxDetector], indirect=True)


class FaultyLine:
    """The parts of a scan, and what is to go wrong with them when."""

    def __init__(
        self,
        det: Any,
        driver: FakeDriver,
        service: FakeService,
        engine: RunEngine,
        documents: Documents,
    ) -> None:
        self.det, self.driver, self.service = det, driver, service
        self.engine, self.documents = engine, documents
        self.statuses: list[Any] = []
        for name in ("trigger", "kickoff", "complete"):
            self._keep_status(name)

    def _keep_status(self, name: str) -> None:
        real = getattr(self.det, name)

        def kept(*args: Any) -> Any:
            self.statuses.append(real(*args))
            return self.statuses[-1]

        setattr(self.det, name, kept)

    def fly(self, num_events: int = 50) -> Any:
        if isinstance(self.det, SrxDetector):
            return srx_fly([self.det], num_events)
        self.det.num_events.put(num_events)
        return bpp.stage_wrapper(bp.fly([self.det]), [self.det])

    def fails(self, plan: Any, kind: type[Exception] = FailedStatus) -> str:
        """Run a plan that fails; return what the user reads, which RunStop says too."""
        with pytest.raises(kind) as caught:
            self.engine(plan)
        for stop in self.documents.of("stop"):
            assert (stop["exit_status"], stop["reason"]) == ("fail", str(caught.value))
        return str(caught.value)

    def check_idle(self) -> None:
        """Nothing is left of a scan: no staging, no pending status, no thread."""
        assert self.engine.state == "idle"
        assert self.det.unstage() == [self.det]
        until_s = time.monotonic() + BOUND_S
        while threads() or not all(status.done for status in self.statuses):
            assert time.monotonic() < until_s, (threads(), self.statuses)
            time.sleep(0.01)
        assert self.driver.calls[-1:] != ["arm"]

    def check_next_scan(self) -> None:
        """The next scan is whole, and its rows are those of its events."""
        self.driver.held.clear()
        self.driver.on_trigger = lambda _number: None
        self.documents.all.clear()
        self.engine(bp.count([self.det], num=2))
        assert self.documents.of("stop")[0]["exit_status"] == "success"
        assert len(self.documents.of("event")) == len(self.service.rows) == 2
        self.check_idle()


def before(part: Any, name: str, do: Callable[[], Any], nth: int = 1) -> None:
    """Do it when a part's method is called for the nth time, and first."""
    real, calls = getattr(part, name), []

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        if len(calls) == nth:
            do()
        return real(*args, **kwargs)

    setattr(part, name, wrapped)


def threads() -> list[str]:
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if name.startswith("srx-")]


@pytest.fixture
def line(
    flavour: Any,
    service: FakeService,
    driver: FakeDriver,
    engine: RunEngine,
    documents: Documents,
) -> Iterator[FaultyLine]:
    driver.names_series = True
    det = flavour(
        service.url,
        name="det",
        driver=driver,
        write_path_template="/data/{name}.h5",
        timeout_s=4.0,
    )
    begun_s = time.monotonic()
    yield FaultyLine(det, driver, service, engine, documents)
    assert time.monotonic() - begun_s < BOUND_S
    det.destroy()


def mend(line: FaultyLine) -> None:
    """The service is there again, and so are its leases over."""
    service = line.service
    service.refusals = {}
    service.silent.clear()
    if service._thread is None or not service._thread.is_alive():
        service.__enter__()
    for one in service.acquisitions:
        if one["state"] not in ("done", "failed", "aborted"):
            one["state"] = "aborted"
    client = line.det.client
    for endpoint in (client, client._root, client._api):
        endpoint.timeout_s = 4.0
