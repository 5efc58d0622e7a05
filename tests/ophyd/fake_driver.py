"""A detector within the test: it exposes when told to, unless a test holds it."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from srx_ophyd.documents import FrameLayout
from srx_ophyd.drivers import DriverError, Settings
from tests.ophyd.fake_service import FakeService

LAYOUT = FrameLayout((4, 6), "uint16")


class FakeDriver:
    starts_exposures = True
    trigger_modes: Mapping[str, str] = {"internal": "ints", "edge": "exts"}

    def __init__(self, service: FakeService, *, names_series: bool = False) -> None:
        self.names_series = names_series
        self.service = service
        self.known: FrameLayout | None = LAYOUT
        self.series = 0
        self.calls: list[str] = []
        self.settings: list[Settings] = []
        self.triggers = 0
        self.on_trigger: Callable[[int], None] = lambda _number: None
        """Called in the trigger's thread before it exposes, with its number."""
        self.error: DriverError | None = None
        self.held = threading.Event()
        """While set, a trigger exposes nothing and does not return, until an abort."""
        self._halt = threading.Event()

    def configure(self, settings: Settings) -> Settings:
        self.settings.append(settings)
        # As real ones do: it takes nothing exactly.
        return replace(settings, exposure_s=round(settings.exposure_s + 1e-6, 9))

    def layout(self) -> FrameLayout | None:
        return self.known

    def arm(self) -> int | None:
        self.calls.append("arm")
        self.series += 1
        self._halt.clear()
        self.service.begin_series(self.series)
        return self.series if self.names_series else None

    def trigger(self, frames: int) -> None:
        self.triggers += 1
        number = self.triggers
        self.on_trigger(number)
        if self.error is not None:
            raise self.error
        while self.held.is_set() and not self._halt.wait(0.005):
            pass
        if self._halt.is_set():
            raise DriverError("aborted")
        for frame in range(frames):
            self.service.send((number, frame))

    def disarm(self) -> None:
        self.calls.append("disarm")

    def abort(self) -> None:
        self.calls.append("abort")
        self._halt.set()

    def state(self) -> str:
        return "detector is 'acquire'"

    def close(self) -> None:
        self.calls.append("close")
