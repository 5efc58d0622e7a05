"""What ophyd-async's StandardDetector wants to know: how to trigger, acquire and tell.

Order of calls: `stage` asks the acquire logic, `prepare` the trigger logic and then the
data logic, which arms service and detector; `trigger` and `kickoff` the acquire logic.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from ophyd_async.core import (
    DetectorAcquireLogic,
    DetectorDataLogic,
    DetectorTrigger,
    DetectorTriggerLogic,
    SignalR,
    SignalRW,
    TriggerInfo,
    soft_signal_r_and_setter,
)

from srx_ophyd.async_documents import FramesFile, FramesProvider
from srx_ophyd.async_staging import AsyncStaging
from srx_ophyd.documents import FRAME_KEYS, FrameLayout, known_frame_keys
from srx_ophyd.driver import Driver, Settings
from srx_ophyd.events import Mode
from srx_ophyd.naming import FileNames
from srx_ophyd.preparing import TRIGGERS

KINDS = {DetectorTrigger[name]: kind for name, kind in TRIGGERS.items()}
"""The drivers' words, the keys of their `trigger_modes`."""
MOCK_LAYOUT = FrameLayout((10, 15), "uint16")
"""Of frames in mock mode, where the user gave none."""
MOCK_COLUMNS = {key.column: f"/entry/{name}" for name, key in FRAME_KEYS.items()}


def trigger_modes(driver: Driver) -> Mapping[str, str]:
    """Return the driver's mode for each kind of trigger it can do."""
    # A user's own driver may not know the word yet.
    return getattr(driver, "trigger_modes", {"internal": ""})


def trigger_info(name: str, value: TriggerInfo | int) -> TriggerInfo:
    """Return what `prepare` was given, a number being one of events."""
    info = TriggerInfo(number_of_events=value) if isinstance(value, int) else value
    if info.number_of_events < 1:
        raise ValueError(f"{name}: number_of_events 0: at least 1")
    return info


def needs_new_file(before: TriggerInfo, now: TriggerInfo) -> bool:
    """Return True when what is armed cannot just go on.

    With external triggers it must be armed when `prepare` is done: what is armed with
    other settings later misses the first of them.
    """
    is_external = now.trigger is not DetectorTrigger.INTERNAL
    changes = now.livetime != before.livetime
    return now.trigger is not before.trigger or (is_external and changes)


class SrxTriggerLogic(DetectorTriggerLogic):
    """Keeps what the detector is to be armed with.

    Args:
        driver: What starts the detector.
        exposure: In seconds; 0: as the detector is set.
        staging: What will be opened; it knows whether the driver may be asked.
    """

    def __init__(
        self, driver: Driver, exposure: SignalRW[float], staging: AsyncStaging
    ) -> None:
        self._driver = driver
        self._staging = staging
        self.modes = trigger_modes(driver)
        self.exposure = exposure
        self.info = TriggerInfo()
        """What it was prepared for last."""

    @property
    def is_external(self) -> bool:
        """True when something else tells the detector to expose."""
        return self.info.trigger is not DetectorTrigger.INTERNAL

    def config_sigs(self) -> set[SignalR]:
        """Return the signals that descriptors tell of."""
        return {self.exposure}

    async def prepare_internal(
        self, num: int, livetime: float, deadtime: float
    ) -> None:
        """Prepare for exposures that the detector times."""
        shortest = await self.deadtime_s() or 0.0
        if deadtime > shortest and not self._staging.is_mock:
            raise ValueError(
                f"deadtime {deadtime:g}: the detector times its exposures itself, "
                f"{shortest:g} s apart; for more, trigger it externally"
            )
        await self._prepare(livetime)

    async def prepare_edge(self, num: int, livetime: float) -> None:
        """Prepare for an exposure at each edge."""
        await self._prepare(livetime)

    async def prepare_level(self, num: int) -> None:
        """Prepare for exposures as long as the trigger."""

    async def default_trigger_info(self) -> TriggerInfo:
        """Return one that leaves the detector as it is set."""
        return TriggerInfo()

    async def deadtime_s(self) -> float | None:
        """Return the least time between two exposures; None where it is not known."""
        # Not every driver can tell.
        ask = getattr(self._driver, "deadtime_s", None)
        if ask is None or self._staging.is_mock:
            return None
        return await asyncio.to_thread(ask)

    async def settings(self, frames: int) -> Settings:
        """Return what the detector is armed with, to yield `frames` a trigger."""
        # External triggers yield a frame each, however many there are.
        return Settings(
            frames=1 if self.is_external else frames,
            frames_per_event=1,
            exposure_s=await self.exposure.get_value(),
            trigger_mode=self.modes[KINDS[self.info.trigger]],
        )

    async def _prepare(self, livetime: float) -> None:
        if livetime:
            await self.exposure.set(livetime)


class SrxAcquireLogic(DetectorAcquireLogic):
    """Exposes, through a staging that the data logic opened."""

    def __init__(self, staging: AsyncStaging, trigger: SrxTriggerLogic) -> None:
        self._staging = staging
        self._trigger = trigger
        self.next: tuple[Mode, int] | None = None
        """What is exposed next, and how many frames of it; None: it is only armed."""

    async def ensure_ready(self) -> None:
        """Raise an error unless the service is there and nobody else uses it."""
        await self._staging.close()
        await self._staging.check()

    async def start_acquiring(self) -> None:
        """Expose; with external triggers, which are armed when prepared, await them."""
        following, self.next = self.next, None
        if following is None:
            return
        mode, frames = following
        info = self._trigger.info
        asked = "exposure_timeout" in info.model_fields_set
        stall_s = info.exposure_timeout if asked else None
        settings = await self._trigger.settings(frames)
        await self._staging.expose(mode, settings, frames, stall_s)

    async def wait_for_idle(self) -> None:
        """Do nothing: when the last frame is durable, the detector is idle."""

    async def ensure_stopped(self) -> None:
        """Leave service and detector idle."""
        await self._staging.close()


class SrxDataLogic(DetectorDataLogic):
    """Arms service and detector when the detector is prepared, and tells of the file.

    Args:
        staging: What it opens.
        trigger: What it is armed with.
        files: Their names.
        source: What descriptors say of where frames come from.
        frame_keys: Names of FRAME_KEYS, published as `<key>-<name>`.
        mock_layout: Of the frames in mock mode.
    """

    def __init__(
        self,
        staging: AsyncStaging,
        trigger: SrxTriggerLogic,
        files: FileNames,
        source: str,
        frame_keys: Sequence[str],
        mock_layout: FrameLayout | None,
    ) -> None:
        self._staging = staging
        self._trigger = trigger
        self._files = files
        self._source = source
        self._frame_keys = known_frame_keys(frame_keys)
        self._mock_layout = mock_layout or MOCK_LAYOUT
        self.written, self.set_written = soft_signal_r_and_setter(int)
        self.file, self._set_file = soft_signal_r_and_setter(str)
        self.trigger_mode, self._set_mode = soft_signal_r_and_setter(str)
        self.service_version, self._set_version = soft_signal_r_and_setter(str)
        self.detector_class, self._set_class = soft_signal_r_and_setter(str)

    async def prepare_unbounded(self, datakey_name: str) -> FramesProvider:
        """Return what tells of the frames of a new file."""
        if self._staging.is_mock:
            return self._open_mock(datakey_name)
        provider = self._provider(datakey_name, self._look, self._staging.publish)
        info = self._trigger.info
        staging = await self._staging.open(
            await self._trigger.settings(info.number_of_collections),
            info.collections_per_event,
            provider.new_documents,
            is_external=self._trigger.is_external,
        )
        await self._trigger.exposure.set(staging.settings.exposure_s)
        self._set_mode(staging.settings.trigger_mode)
        self._set_file(staging.acquisition.file or "")
        self._set_version(staging.service.version)
        self._set_class(staging.service.detector_class)
        self.set_written(0)
        return provider

    async def stop(self) -> None:
        """End the file."""
        await self._staging.close()

    def _open_mock(self, key: str) -> FramesProvider:
        path = self._files.new(key)
        self._set_file(path)
        uri, dataset = self._files.uri(path), "/entry/data/data"
        file = FramesFile(self._mock_layout, uri, dataset, None, MOCK_COLUMNS)
        return self._provider(key, lambda: file, None)

    def _provider(
        self,
        key: str,
        look: Callable[[], FramesFile],
        publish: Callable[[int], None] | None,
    ) -> FramesProvider:
        written, keys = self.written, self._frame_keys
        return FramesProvider(key, self._source, written, keys, look, publish)

    def _look(self) -> FramesFile:
        staging = self._staging.current
        acquisition = staging.acquisition
        return FramesFile(
            staging.layout,
            self._files.uri(acquisition.file or ""),
            acquisition.dataset,
            acquisition.chunk,
            acquisition.columns,
        )
