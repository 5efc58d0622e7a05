"""The detector as ophyd-async has it; nothing else imports this module."""

import asyncio
import functools
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal

from bluesky.protocols import Hints, Reading
from event_model import DataKey

from srx_ophyd.client import ServiceClient, ServiceError
from srx_ophyd.documents import FRAME_KEYS, known_layout
from srx_ophyd.driver import Driver
from srx_ophyd.drivers import NoDriver
from srx_ophyd.naming import FileNames, Where
from srx_ophyd.paths import PathMap
from srx_ophyd.staging import Terms

try:
    from ophyd_async.core import (
        DEFAULT_TIMEOUT,
        DetectorTrigger,
        DeviceMock,
        NotConnectedError,
        Settings,
        SignalR,
        StandardDetector,
        TriggerInfo,
        WatcherUpdate,
        merge_gathered_dicts,
        soft_signal_r_and_setter,
        soft_signal_rw,
    )
except ImportError as error:
    raise ImportError(
        "SrxAsyncDetector needs ophyd-async: pip install 'srx[async]'"
    ) from error

from srx_ophyd.async_logic import (
    KINDS,
    SrxAcquireLogic,
    SrxDataLogic,
    SrxTriggerLogic,
    needs_new_file,
    trigger_info,
)
from srx_ophyd.async_staging import AsyncStaging
from srx_ophyd.async_status import TellingProgress, TellingStatus, unwrapped


class SrxAsyncDetector(StandardDetector):
    """A detector of ophyd-async whose frames the srx service writes.

    It steps and flies, as `prepare` says: with a TriggerInfo, or a number of events.
    In mock mode nothing is asked over HTTP; whoever sets `frames_written` takes frames.

    Args:
        url: Where the service listens: "http://daq-eiger:5000".
        path_provider: ophyd-async's, or a template, "/data/%Y/{name}_{uid8}.h5", see
            PathTemplate. A file is always a new one.
        driver: What starts the detector; None: something else does.
        name: Of the device and of its frames.
        exposure_s: 0: as the detector is set.
        shape: Of a frame, (y, x) in pixels, where the driver cannot tell.
        dtype: numpy's name for its pixels, with `shape`.
        frame_keys: What is published of each frame beside the image, as
            `<name>-timestamp` and `<name>-frame_number`.
        total_counts: False: the last frame of an event is not summed.
        on_missing: "fill": frames that never came leave holes and are counted in
            `frames_missing`; "fail": they fail the plan.
        lease_s: The service ends an acquisition whose client is silent for so long.
        stall_timeout_s: Without a new frame for so long a plan fails, unless it gives
            an `exposure_timeout`. None: 10 s and two exposures; 60 s where something
            else triggers.
        timeout_s: For each answer of the service.
        token: The service's `SRX_API_TOKEN`, where it has one.
        path_map: Readers see files elsewhere: prefix of the service's path to prefix of
            theirs, the longest that fits.
        md: RE.md, for {scan_id} and whatever else of it a template names.
    """

    def __init__(
        self,
        url: str,
        path_provider: Where,
        *,
        driver: Driver | None = None,
        name: str = "",
        exposure_s: float = 0.0,
        shape: Sequence[int] | None = None,
        dtype: str | None = None,
        frame_keys: Sequence[str] = tuple(FRAME_KEYS),
        total_counts: bool = True,
        on_missing: Literal["fill", "fail"] = "fill",
        lease_s: float | None = 60.0,
        stall_timeout_s: float | None = None,
        timeout_s: float = 3.0,
        token: str | None = None,
        path_map: PathMap | None = None,
        md: Mapping[str, Any] | None = None,
    ) -> None:
        if on_missing not in ("fill", "fail"):
            raise ValueError(f"on_missing {on_missing!r}: there are 'fill' and 'fail'")
        self.client = ServiceClient(url, timeout_s, token)
        self.driver: Driver = driver or NoDriver()
        self.metadata: dict[str, Any] = {}
        """Written into every file; put in what you like."""
        self._files = files = FileNames(path_provider, path_map, md)
        layout = known_layout(shape, dtype)
        self._terms = functools.partial(
            Terms,
            new_file=lambda: files.new(self.name),
            layout=layout,
            metadata=self.metadata,
            lease_s=lease_s,
            stall_timeout_s=stall_timeout_s,
            allow_missing=on_missing == "fill",
            patience_s=timeout_s,
        )
        self._prepared: TriggerInfo | None = None
        self._is_staged = False
        self.exposure = soft_signal_rw(float, exposure_s, units="s")
        self._staging = AsyncStaging(
            self, self.client, self.driver, self._new_terms, sums=total_counts
        )
        self._trigger = SrxTriggerLogic(self.driver, self.exposure, self._staging)
        self._acquire = SrxAcquireLogic(self._staging, self._trigger)
        source = f"SRX:{self.client.url}"
        self._add(
            SrxDataLogic(
                self._staging, self._trigger, files, source, frame_keys, layout
            )
        )
        summed = (self.total_counts,) if total_counts else ()
        self._scalars: tuple[SignalR, ...] = (self.frames_missing, *summed)
        super().__init__(name=name)

    def _add(self, data: SrxDataLogic) -> None:
        self.add_detector_logics(self._trigger, self._acquire, data)
        modes = self._trigger.modes
        self._supported_triggers = {kind for kind in KINDS if KINDS[kind] in modes}
        self.frames_written, self._set_written = data.written, data.set_written
        self.frames_missing, self._set_missing = soft_signal_r_and_setter(int)
        self.total_counts, self._set_total = soft_signal_r_and_setter(float, math.nan)
        self.url, _ = soft_signal_r_and_setter(str, self.client.url)
        self.file, self.trigger_mode = data.file, data.trigger_mode
        self.service_version = data.service_version
        self.detector_class = data.detector_class
        self.add_config_signals(self.url, self.file, self.trigger_mode)
        self.add_config_signals(self.service_version, self.detector_class)

    @property
    def hints(self) -> Hints:
        """Return what tables and plots show; a fly scan's stream has nothing."""
        # Asked for right after the data keys, and hints at others break tables.
        if self._staging.describes == "fly":
            return Hints(fields=[])
        return Hints(fields=[signal.name for signal in self._scalars])

    async def connect(
        self,
        mock: bool | DeviceMock = False,
        timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109  as ophyd-async has it
        force_reconnect: bool = False,
    ) -> None:
        """Raise NotConnectedError unless the service answers and can take data."""
        await super().connect(mock, timeout, force_reconnect)
        self._staging.is_mock = self._mock is not None
        if self._mock is None:
            try:
                await asyncio.to_thread(self._check_service)
            except ServiceError as error:
                raise NotConnectedError(f"{self.name}: {error}") from error

    @TellingStatus.wrap
    async def stage(self) -> None:
        """See that the service is there and free, and arm it if it was prepared."""
        try:
            await super().stage()
            self._files.begin()  # before the run is opened, which counts its scan id
            self._is_staged = True
            prepared, self._prepared = self._prepared, None
            if prepared is not None:
                await self.prepare(prepared)
        except BaseException:
            await self.unstage()
            raise

    @TellingStatus.wrap
    async def unstage(self) -> None:
        """Leave service and detector idle; what fails is logged, and hides nothing."""
        self._is_staged = False
        self._prepared = None
        await super().unstage()

    @TellingStatus.wrap
    async def prepare(self, value: TriggerInfo | int) -> None:
        """Arm service and detector; before it is staged, once it is.

        Args:
            value: What `trigger` or `kickoff` is to yield; or the number of events.
        """
        info = trigger_info(self.name, value)
        if not self._is_staged:
            self._prepared = info
            return
        if self._prepare_ctx and needs_new_file(self._prepare_ctx.trigger_info, info):
            self._prepare_ctx = None
        self._trigger.info = info
        if self._trigger.is_external:
            self._acquire.next = None  # armed, but not yet awaited
        await super().prepare(info)

    @TellingProgress.wrap
    async def trigger(self) -> AsyncIterator[WatcherUpdate[int]]:
        """Take one event; done when its frames are durable."""
        if not self._is_staged:
            raise RuntimeError("it must be staged first")
        ctx = self._prepare_ctx
        n = 1 if ctx is None else ctx.trigger_info.collections_per_event
        self._acquire.next = ("step", n)
        async for update in unwrapped(StandardDetector.trigger)(self):
            yield update

    @TellingStatus.wrap
    async def kickoff(self) -> None:
        """Begin to take as many events as it is prepared for; done when that begins."""
        events = await self.events_to_kickoff.get_value()
        n = self._trigger.info.collections_per_event
        self._acquire.next = ("fly", events * n)
        await super().kickoff()
        # One that is triggered externally was armed before; now its frames are awaited.
        await self._acquire.start_acquiring()

    @TellingProgress.wrap
    async def complete(self) -> AsyncIterator[WatcherUpdate[int]]:
        """Wait until the frames of the last kickoff are durable."""
        async for update in unwrapped(StandardDetector.complete)(self):
            yield update

    async def pause(self) -> None:
        """Interrupt an exposure; the RunEngine asks for it again when it resumes."""
        await self._staging.pause()

    def resume(self) -> None:
        """Do nothing: the next trigger takes the point anew."""

    async def read(self) -> dict[str, Reading]:
        """Return the scalars; the frames are told of by documents of their own."""
        return await merge_gathered_dicts(signal.read() for signal in self._scalars)

    async def describe(self) -> dict[str, DataKey]:
        """Return the data keys of an event; it must be prepared."""
        self._staging.describe("step")
        scalars = [signal.describe() for signal in self._scalars]
        return await merge_gathered_dicts([super().describe(), *scalars])

    async def describe_collect(self) -> dict[str, DataKey]:
        """Return the data keys of a fly scan's stream; it must be prepared."""
        self._staging.describe("fly")
        return await super().describe_collect()

    async def get_index(self) -> int:
        """Return how many events are durable."""
        if self._mock is not None:
            return await super().get_index()
        return self._staging.index

    async def get_trigger_deadtime(
        self, settings: Settings | None = None
    ) -> tuple[set[DetectorTrigger], float | None]:
        """Return the triggers it can do, and the least time between two exposures."""
        triggers, _ = await super().get_trigger_deadtime(settings)
        return triggers, await self._trigger.deadtime_s()

    async def _wait_for_index(
        self,
        *args: Any,  # noqa: ANN401  as the base class has them
        **kwargs: Any,  # noqa: ANN401
    ) -> AsyncIterator[WatcherUpdate]:
        # What `trigger` and `complete` wait with. The base class looks at a counter
        # alone, which says nothing when the service has failed.
        if self._mock is not None:
            async for update in super()._wait_for_index(*args, **kwargs):
                yield update
            return
        async for status, update in self._staging.updates():
            self._set_written(status.rows)
            self._set_missing(status.missing)
            self._set_total(status.total_counts)
            yield update

    def _check_service(self) -> None:
        self.client.facts()
        self.client.check_ready()

    def _new_terms(self) -> Terms:
        return self._terms(name=self.name)
