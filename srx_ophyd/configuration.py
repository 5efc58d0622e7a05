"""What a plan may set of a device, and what its configuration tells."""

import logging
import math
import time
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from ophyd import Component as Cpt
from ophyd import Device, Signal
from ophyd.signal import InternalSignal

from srx_ophyd.client import ServiceClient
from srx_ophyd.driver import Driver, Settings
from srx_ophyd.endpoint import Json, RemoteError
from srx_ophyd.events import Mode
from srx_ophyd.preparing import changes_of, modes_of
from srx_ophyd.status import CauseStatus

logger = logging.getLogger(__name__)

SETTINGS = ("exposure_s", "trigger_mode", "frames_per_event", "num_events")
"""What `configure` sets; they hold from the next exposure on."""


class Setting(Signal):
    """A setting of a device; what cannot be one is refused at once.

    Args:
        value: The first one; all others have its type.
        at_least: Of a number.
        kwargs: Signal's.
    """

    def __init__(
        self, *, value: float | int | str, at_least: int = 0, **kwargs: Json
    ) -> None:
        super().__init__(value=value, **kwargs)
        self._type = type(value)
        self._at_least = at_least

    def valid(self, value: Json) -> float | int | str:
        """Return a value as it is kept.

        Raises:
            ValueError: It cannot be one; the text says what can.
        """
        kind, wanted = {
            str: (str, "is no text"),
            int: (Integral, f"is no whole number of at least {self._at_least}"),
            float: (Real, f"is no number of at least {self._at_least}"),
        }[self._type]
        is_right = isinstance(value, kind) and not isinstance(value, bool)
        if is_right and self._type is not str:
            is_right = math.isfinite(value) and value >= self._at_least
        if not is_right:
            raise ValueError(f"{self.name}: {value!r} {wanted}")
        return self._type(value)

    def put(self, value: Json, **kwargs: Json) -> None:
        """Keep a value; raises as `valid` does."""
        super().put(self.valid(value), **kwargs)

    def set(self, value: Json, **kwargs: Json) -> Any:  # noqa: ANN401  ophyd's status
        """Keep a value; raises as `valid` does, and not by the status alone."""
        return super().set(self.valid(value), **kwargs)


class ConfiguredDevice(Device):
    """A device with settings.

    Args:
        url: Where the service listens.
        name: Of the device.
        driver: What starts the detector.
        kwargs: ophyd.Device's.
    """

    exposure_s = Cpt(Setting, value=0.0, kind="config")
    trigger_mode = Cpt(Setting, value="", kind="config")
    frames_per_event = Cpt(Setting, value=1, at_least=1, kind="config")
    num_events = Cpt(Setting, value=1, at_least=1, kind="config")
    on_missing = Cpt(InternalSignal, value="", kind="config")
    url = Cpt(InternalSignal, value="", kind="config")
    file = Cpt(InternalSignal, value="", kind="config")
    path_template = Cpt(InternalSignal, value="", kind="config")
    dataset = Cpt(InternalSignal, value="", kind="config")
    detector_class = Cpt(InternalSignal, value="", kind="config")
    service_version = Cpt(InternalSignal, value="", kind="config")

    client: ServiceClient

    def __init__(self, url: str, *, name: str, driver: Driver, **kwargs: Json) -> None:
        super().__init__(url, name=name, **kwargs)
        self.driver = driver
        self._about: dict[str, tuple[str | float | int, float]] = {}
        self._staged_frames: int | None = None
        """frames_per_event while it is staged."""
        self._flies_first = False
        """True: prepared to fly, and not staged yet."""
        self._stall_timeout_s: float | None = None
        """As it was prepared."""

    # ophyd annotates these with a type variable that nothing else matches.
    def read_configuration(self) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return settings, file and service, and what the driver says of the detector.

        The latter once it is staged.
        """
        readings: Any = super().read_configuration()
        return readings | {
            key: {"value": value, "timestamp": timestamp}
            for key, (value, timestamp) in self._about.items()
        }

    def describe_configuration(self) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the data keys of the configuration."""
        keys: Any = super().describe_configuration()
        source = f"{type(self.driver).__name__}.about"
        return keys | {
            key: {"source": source, "dtype": _dtype(value), "shape": []}
            for key, (value, _) in self._about.items()
        }

    def configure(self, d: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Change settings, all or none; they hold from the next exposure on.

        Args:
            d: By name: {"exposure_s": 0.1}.

        Returns:
            The configuration before and after.
        """
        for key in d:
            if key not in SETTINGS:
                known = ", ".join(SETTINGS)
                raise ValueError(
                    f"{self.name}: {key!r} cannot be configured: there are {known}"
                )
        old = self.read_configuration()
        self._change(d)
        return old, self.read_configuration()

    def prepare(self, value: object) -> CauseStatus:
        """Set what the next exposures are to be like, and how many events they yield.

        Args:
            value: A number of events; a dict of settings by name, `stall_timeout_s`
                among them, which holds until the device is unstaged; or ophyd-async's
                TriggerInfo, of which those fields count that are set.
        """
        try:
            changes = changes_of(value, modes_of(self.driver))
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error
        stall_s = changes.pop("stall_timeout_s", None)
        self._change(changes)
        self._stall_timeout_s = stall_s or self._stall_timeout_s
        # Prepared before it is staged, it is armed once, and not for stepping first.
        self._flies_first |= self._staged_frames is None and "num_events" in changes
        status = CauseStatus(self)
        status.set_finished()
        return status

    def _change(self, changes: Mapping[str, Any]) -> None:
        """Put settings, once all of them are seen to be valid."""
        valid = {key: getattr(self, key).valid(value) for key, value in changes.items()}
        staged = self._staged_frames
        if staged is not None and valid.get("frames_per_event", staged) != staged:
            raise ValueError(
                f"{self.name}: frames_per_event is {staged} until it is unstaged, and "
                f"cannot be {valid['frames_per_event']}: set it before it is staged"
            )
        for key, value in valid.items():
            getattr(self, key).put(value)

    def _settings(self, mode: Mode) -> Settings:
        value: dict[str, Any] = {key: getattr(self, key).get() for key in SETTINGS}
        n = value["frames_per_event"]
        return Settings(
            frames=n * (value["num_events"] if mode == "fly" else 1),
            frames_per_event=n,
            exposure_s=value["exposure_s"],
            trigger_mode=value["trigger_mode"],
        )

    def _note_staged(self, settings: Settings) -> None:
        """Tell the settings as the detector took them, and what it is."""
        self.exposure_s.put(settings.exposure_s)
        self.trigger_mode.put(settings.trigger_mode)
        self._staged_frames = settings.frames_per_event
        self._ask_driver()

    def _forget_preparation(self) -> None:
        self._staged_frames = self._stall_timeout_s = None
        self._flies_first = False

    def _note(self, **values: str) -> None:
        for key, value in values.items():
            getattr(self, key).put(value, internal=True)

    def _ask_driver(self) -> None:
        """Learn what the driver says of the detector; not every one can."""
        self._about = {}
        about = getattr(self.driver, "about", None)
        if about is None:
            return
        try:
            told = about()
        except RemoteError as error:
            logger.warning(
                "%s: what the detector is, is not known: %s", self.name, error
            )
            return
        now_s = time.time()
        own = self.component_names
        self._about = {
            f"{self.name}_{key}": (value, now_s)
            for key, value in told.items()
            if key not in own
        }


def _dtype(value: str | float | int) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    return "integer" if isinstance(value, int) else "number"
