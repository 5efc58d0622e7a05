"""How a DECTRIS detector is started: EIGER, EIGER2 and PILATUS4, over SIMPLON.

Source: DECTRIS, SIMPLON API Reference, version 1.8; where firmware differs from it, the
place says who found that.

| mode | an exposure is started by    | a trigger yields   |
|------|------------------------------|--------------------|
| ints | `trigger`, timed by itself   | all frames         |
| inte | `trigger`, once a frame      | one frame          |
| exts | a pulse on the trigger input | `frames_per_event` |
| exte | each pulse, for its length   | one frame          |
"""

import logging
import math
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from srx_ophyd.control_unit import ControlUnit
from srx_ophyd.documents import FrameLayout
from srx_ophyd.driver import DriverError, Settings
from srx_ophyd.endpoint import Json
from srx_ophyd.simplon_setup import (
    MODES,
    Setup,
    StreamFormat,
    Value,
    frame_layout,
    refuse_decoder,
)

logger = logging.getLogger(__name__)

INITIALIZE_TIMEOUT_S = 300.0
ARM_TIMEOUT_S = 120.0
TRIGGER_MARGIN_S = 30.0
"""What a trigger may take beyond one and a half times its frames."""
FINISH_TIMEOUT_S = 10.0
"""What disarm, cancel and abort may take, beyond the frame under exposure."""
SETTLE_S = 10.0
"""How long a state that passes by itself is waited for."""

PASSING = ("initialize", "configure")
CURES = {
    "na": "it was not initialized since it was switched on: call initialize() of its "
    "driver, which takes minutes, or give the driver initialize=True",
    "error": "when the cause is gone, call initialize() of its driver",
}
OTHER_CURE = "wait until it is idle, or call abort() of its driver"
CONSTANTS = (
    "description",
    "detector_number",
    "software_version",
    "sensor_material",
    "sensor_thickness",
)
"""What is worth keeping with the data, and is always the same."""
ENERGIES = ("photon_energy", "threshold_energy")
"""Likewise, but it may change."""


class SimplonDriver:
    """A DECTRIS detector, over SIMPLON REST.

    Args:
        url: The control unit's address: "http://172.16.119.200".
        stream: What the stream's `format` is to be: "legacy" (v1), "cbor" (v2); None:
            as it is.
        photon_energy_ev: `photon_energy` of `detector/config`; None: as it is.
        compression: Likewise: "bslz4", "lz4", …
        config: More keys of `detector/config`, and the values they are to have in the
            end, in the order in which they are set: {"threshold/2/mode": "disabled"}.
        period_s: From frame to frame, where that is more than exposure and readout.
        initialize: Do that, which takes minutes, when it was not done since the
            detector was switched on.
        version: Of the API; None: asked for.
        timeout_s: For connecting and for each answer to a question.
    """

    names_series = True
    trigger_modes: Mapping[str, str] = {
        "internal": "ints",
        "edge": "exts",
        "level": "exte",
    }

    def __init__(
        self,
        url: str,
        *,
        stream: StreamFormat | None = None,
        photon_energy_ev: float | None = None,
        compression: str | None = None,
        config: Mapping[str, Value] | None = None,
        period_s: float = 0.0,
        initialize: bool = False,
        version: str | None = None,
        timeout_s: float = 3.0,
    ) -> None:
        named = {"photon_energy": photon_energy_ev, "compression": compression}
        wanted = {k: v for k, v in named.items() if v is not None} | dict(config or {})
        self._setup = Setup(stream, wanted, period_s)
        self._unit = ControlUnit(url, version, timeout_s)
        self._initializes = initialize
        self._mode = "ints"
        self._exposure_s = self._period_s = 0.0
        self._layout: FrameLayout | None = None
        self._constants: dict[str, str | float] = {}
        self._dropped_before = 0
        self._halt = threading.Event()

    @property
    def starts_exposures(self) -> bool:
        """False in the modes of external triggers, once it is configured."""
        return self._mode in ("ints", "inte")

    def initialize(self) -> None:
        """Do what has to be done after it was switched on, or had an error."""
        deadline_s = time.monotonic() + INITIALIZE_TIMEOUT_S
        try:
            self._unit.command("initialize", timeout_s=INITIALIZE_TIMEOUT_S)
        except DriverError as error:
            if not error.may_be_done:
                text = f"{error}{self._unit.errors()}"
                raise DriverError(text, error.status) from error
            logger.warning("%s: waiting until it is idle", error)
        state = self._unit.state_after(("na", *PASSING), deadline_s)
        if state != "idle":
            raise self._complaint(state)

    def configure(self, settings: Settings) -> Settings:
        """Set up stream, triggers and exposure; return what the detector took."""
        mode = settings.trigger_mode or "ints"
        if mode not in MODES:
            raise DriverError(f"trigger_mode {mode!r}: there are {', '.join(MODES)}")
        if not 0 <= settings.exposure_s < math.inf:
            raise DriverError(f"exposure_s {settings.exposure_s!r} is no time")
        self._become_idle()
        taken = self._setup.apply(self._unit, settings, mode)
        self._mode, self._layout = mode, taken.layout
        self._exposure_s, self._period_s = taken.exposure_s, taken.period_s
        return replace(
            settings,
            exposure_s=taken.exposure_s,
            trigger_mode=mode,
            period_s=taken.period_s,
        )

    def layout(self) -> FrameLayout:
        """Return what it is going to send, as it was last set up."""
        if self._layout is None:
            self._layout = frame_layout(self._unit)
        return self._layout

    def arm(self) -> int:
        """Arm it and return SIMPLON's sequence id, which the stream calls series."""
        self._halt.clear()
        self._dropped_before = self._dropped()
        try:
            answer = self._unit.command("arm", timeout_s=ARM_TIMEOUT_S)
        except DriverError as error:
            if not error.may_be_done:
                raise
            answer = self._arm_again(error)
        # Newer firmware says "series id" (areaDetector/ADEiger, restApi.cpp).
        for key in ("sequence id", "series id"):
            if isinstance(answer, dict) and isinstance(answer.get(key), int):
                return answer[key]
        where = f"arm of detector {self._unit.url}"
        raise DriverError(f"{where} answered without 'sequence id': {answer!r:.200}")

    def trigger(self, frames: int) -> None:
        """Take frames, unless others trigger; returns when they are taken."""
        if self._mode == "ints":
            self._expose(None, frames * self._period_s)
        elif self._mode == "inte":
            for _ in range(frames):
                self._expose(self._exposure_s, self._exposure_s)
                if self._halt.is_set():
                    return

    def disarm(self) -> None:
        """End the series; the frame under exposure still comes."""
        # In a running series disarm alone may do nothing (areaDetector/ADEiger, issue
        # 39).
        if self._unit.state() == "acquire":
            self.cancel()
        self._finish("disarm", self._period_s)

    def cancel(self) -> None:
        """Take no frames after the one under exposure; returns when that is taken."""
        self._halt.set()
        self._finish("cancel", self._period_s)

    def abort(self) -> None:
        """Stop at once."""
        self._halt.set()
        self._finish("abort", 0.0)

    def state(self) -> str:
        """Return its state and errors, and what its stream had to drop."""
        text = f"detector is {self._unit.state()!r}{self._unit.errors()}"
        stream = self._unit.find("stream/status/state")
        if stream in ("disabled", "error"):
            text += f", its stream is {stream!r}{self._unit.errors('stream')}"
        dropped = self._dropped() - self._dropped_before
        return f"{text}, its stream dropped {dropped} images" if dropped else text

    def deadtime_s(self) -> float | None:
        """Return the least time between two exposures; None where it is not told."""
        found = self._unit.find("detector/config/detector_readout_time")
        return None if found is None else float(found)

    def about(self) -> dict[str, str | float]:
        """Return what the detector is and how it is set, by SIMPLON's keys."""
        if not self._constants:
            version = {"api_version": self._unit.version()}
            self._constants = self._known(CONSTANTS) | version
        return self._constants | self._known(ENERGIES)

    def check_decoder(self, name: str) -> None:
        """Raise DriverError when a service of this class cannot receive its stream."""
        refuse_decoder(self._unit, name)

    def close(self) -> None:
        """Close connections."""
        self._unit.close()

    def _become_idle(self) -> None:
        state = self._settled()
        if state == "na" and self._initializes:
            self.initialize()
            return
        if state == "ready":
            # Left armed by a client that died; the service knows of nobody using it.
            logger.warning("detector %s was armed: disarming it", self._unit.url)
            self.disarm()
            state = self._settled()
        if state != "idle":
            raise self._complaint(state)

    def _known(self, keys: Iterable[str]) -> dict[str, str | float]:
        found = {key: self._unit.find(f"detector/config/{key}") for key in keys}
        return {k: v for k, v in found.items() if isinstance(v, str | float | int)}

    def _settled(self) -> str:
        return self._unit.state_after(PASSING, time.monotonic() + SETTLE_S)

    def _complaint(self, state: str) -> DriverError:
        what = f"detector {self._unit.url} is {state!r}{self._unit.errors()}"
        return DriverError(f"{what}: {CURES.get(state, OTHER_CURE)}")

    def _arm_again(self, error: DriverError) -> Json:
        # Armed or not: which series it is, only the answer told.
        logger.warning("%s: arming again", error)
        state = self._settled()
        if state == "ready":
            self.disarm()
        elif state != "idle":
            raise error
        return self._unit.command("arm", timeout_s=ARM_TIMEOUT_S)

    def _expose(self, value_s: float | None, duration_s: float) -> None:
        begun_s = time.monotonic()
        timeout_s = duration_s * 1.5 + TRIGGER_MARGIN_S
        lost: DriverError | None = None
        try:
            self._unit.command("trigger", value_s, timeout_s=timeout_s)
        except DriverError as error:
            if not error.may_be_done:
                raise
            # Not asked for again: there would be frames too many.
            logger.warning("%s: waiting for what it does", error)
            lost = error
        if value_s is None and lost is None:
            return
        # With a time of its own it is answered before that is over
        # (areaDetector/ADEiger, restApi.cpp).
        self._halt.wait(begun_s + (value_s or 0.0) - time.monotonic())
        state = self._unit.state_after(("acquire",), begun_s + timeout_s)
        if state not in ("ready", "idle"):
            raise lost or self._complaint(state)

    def _finish(self, name: str, frame_s: float) -> None:
        timeout_s = FINISH_TIMEOUT_S + 1.5 * frame_s
        try:
            self._unit.command(name, timeout_s=timeout_s, repeatable=True)
        except DriverError as error:
            # There may be nothing to end.
            if error.status is None or self._unit.state() not in ("idle", "na"):
                raise

    def _dropped(self) -> int:
        return int(self._unit.find("stream/status/dropped") or 0)
