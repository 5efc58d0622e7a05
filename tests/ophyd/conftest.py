"""What the tests of the device share: service, detector, RunEngine, documents."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bluesky import RunEngine
from event_model import DocumentNames, schema_validators

from srx_ophyd.device import SrxDetector
from srx_ophyd.exposing import ExposingDevice
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

    def resources(self, ending: str = "_image") -> list[dict[str, Any]]:
        """Return the StreamResource documents of data keys that end so."""
        all_of_them = self.of("stream_resource")
        return [one for one in all_of_them if one["data_key"].endswith(ending)]

    def indices(self, ending: str = "_image") -> list[tuple[int, int]]:
        """Return what the StreamDatum documents of such data keys tell of."""
        resources = {one["uid"] for one in self.resources(ending)}
        return [
            (one["indices"]["start"], one["indices"]["stop"])
            for one in self.of("stream_datum")
            if one["stream_resource"] in resources
        ]

    def rows(self) -> list[int]:
        """Return which events' frames they tell of, in whichever flavour."""
        data = {one["datum_id"]: one for one in self.of("datum")}
        pages = [one["data"] for one in self.of("event_page")]
        ids = [one["data"].get("det_image") for one in self.of("event")]
        ids += [id for page in pages for id in page["det_image"]]
        told = [data[id]["datum_kwargs"]["point_number"] for id in ids if id]
        return told + [row for indices in self.indices() for row in range(*indices)]


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService() as running:
        yield running


@pytest.fixture
def driver(service: FakeService) -> FakeDriver:
    return FakeDriver(service)


@pytest.fixture
def make(service: FakeService, driver: FakeDriver) -> Iterator[Callable[..., Any]]:
    made: list[ExposingDevice] = []

    def make_device(
        flavour: type[ExposingDevice] = SrxDetector, **arguments: Any
    ) -> ExposingDevice:
        arguments = {
            "name": "det",
            "driver": driver,
            "write_path_template": "/data/{name}.h5",
            "timeout_s": 4.0,
        } | arguments
        device = flavour(arguments.pop("url", service.url), **arguments)
        made.append(device)
        return device

    yield make_device
    for device in made:
        device.unstage()
        device.destroy()


@pytest.fixture
def det(make: Callable[..., Any]) -> SrxDetector:
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


@pytest.fixture
def make_async(
    engine: RunEngine, service: FakeService, driver: FakeDriver
) -> Iterator[Callable[..., Any]]:
    # Imported here: it takes a second, and few tests need it.
    from tests.ophyd.async_devices import making

    common = {"url": service.url, "driver": driver, "timeout_s": 4.0}
    with making(path_provider="/data/{name}.h5", **common) as make:
        yield make


@pytest.fixture
def adet(make_async: Callable[..., Any]) -> Any:
    return make_async()
