"""What the tests of the device share: service, detector, RunEngine, documents."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bluesky import RunEngine
from event_model import DocumentNames, schema_validators

from srx_ophyd.device import SrxDetector
from tests.ophyd.fake_driver import FakeDriver
from tests.ophyd.fake_service import FakeService


class Documents:
    """All that a RunEngine emitted; each is checked against its schema as it comes."""

    def __init__(self) -> None:
        self.all: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, name: str, document: dict[str, Any]) -> None:
        schema_validators[DocumentNames[name]].validate(document)
        self.all.append((name, copy.deepcopy(document)))

    def names(self) -> list[str]:
        return [name for name, _ in self.all]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [document for name, document in self.all if name == kind]

    def indices(self) -> list[tuple[int, int]]:
        data = self.of("stream_datum")
        return [(one["indices"]["start"], one["indices"]["stop"]) for one in data]


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService() as running:
        yield running


@pytest.fixture
def driver(service: FakeService) -> FakeDriver:
    return FakeDriver(service)


@pytest.fixture
def make(
    service: FakeService, driver: FakeDriver
) -> Iterator[Callable[..., SrxDetector]]:
    made: list[SrxDetector] = []

    def make_device(**arguments: Any) -> SrxDetector:
        arguments = {
            "name": "det",
            "driver": driver,
            "write_path_template": "/data/{name}.h5",
            "timeout_s": 4.0,
        } | arguments
        device = SrxDetector(arguments.pop("url", service.url), **arguments)
        made.append(device)
        return device

    yield make_device
    for device in made:
        device.unstage()
        device.destroy()


@pytest.fixture
def det(make: Callable[..., SrxDetector]) -> SrxDetector:
    return make()


@pytest.fixture
def documents() -> Documents:
    return Documents()


@pytest.fixture
def engine(documents: Documents) -> Iterator[RunEngine]:
    # No context managers: they catch SIGINT, which is pytest's here.
    engine = RunEngine({}, context_managers=[])
    engine.subscribe(documents)
    yield engine
    if engine.state != "idle":
        engine.halt()


@pytest.fixture
def pause_at(engine: RunEngine, driver: FakeDriver) -> Callable[[int], None]:
    """Let the engine pause in the middle of the exposure with this number."""

    def arrange(number: int) -> None:
        def hold(now: int) -> None:
            driver.held.clear()
            if now == number:
                driver.held.set()
                engine.request_pause()

        driver.on_trigger = hold

    return arrange
