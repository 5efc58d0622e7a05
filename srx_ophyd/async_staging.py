"""A staging for devices of asyncio: what waits for service or detector is a thread.

Statuses are settled by threads as well; `first_settled` and `updates` hand that over to
the event loop, at once and with the cause.
"""

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from ophyd_async.core import WatcherUpdate

from srx_ophyd import history
from srx_ophyd.client import ServiceClient
from srx_ophyd.driver import Driver, Settings
from srx_ophyd.events import EventDocuments, Events, Mode
from srx_ophyd.exposing import MIXED
from srx_ophyd.staging import Staging, Terms
from srx_ophyd.status import CauseStatus, FramesStatus, Named
from srx_ophyd.watch import AcquisitionError

logger = logging.getLogger(__name__)


class AsyncStaging:
    """What a device has staged, if anything.

    Args:
        device: Whose frames they are.
        client: The service.
        driver: What starts the detector.
        terms: Called for every staging.
        sums: The last frame of an event is summed.
    """

    def __init__(
        self,
        device: Named,
        client: ServiceClient,
        driver: Driver,
        terms: Callable[[], Terms],
        *,
        sums: bool,
    ) -> None:
        self._device = device
        self._client = client
        self._driver = driver
        self._terms = terms
        self._sums = sums
        self._staging: Staging | None = None
        self._events: Events | None = None
        # Only one opens or closes: `unstage` may come while `prepare` still arms.
        self._turn = asyncio.Lock()
        self.is_mock = False
        """True: nothing is ever asked of service and detector."""

    @property
    def current(self) -> Staging:
        """What was opened last, and not closed."""
        return self._parts()[0]

    @property
    def index(self) -> int:
        """How many events are durable."""
        if self._staging is None or self._events is None:
            return 0
        return self._events.index(self._staging.rows)

    async def check(self) -> None:
        """Raise an error unless the service answers and nobody else uses it."""

        def look() -> None:
            past = history.past_acquisitions(self._client)
            history.refuse_if_in_use(past, self._client.url)

        if self.is_mock:
            return
        await asyncio.to_thread(self._named, look)

    async def open(
        self,
        settings: Settings,
        frames_per_event: int,
        new_documents: Callable[[], EventDocuments],
        *,
        is_external: bool,
    ) -> Staging:
        """Arm service and detector, once what was open is closed.

        Args:
            settings: For the detector.
            frames_per_event: Rows an event takes.
            new_documents: Called for each file.
            is_external: Frames may come that nobody asked for yet.
        """
        async with self._turn:
            await self._end()
            staging = Staging(self._client, self._driver, self._terms(), settings)
            events = functools.partial(Events, frames_per_event, new_documents)
            # Known before it is open: `_end` ends one that opened half.
            self._staging, self._events = staging, events(starts_exposures=False)
            opening = asyncio.create_task(asyncio.to_thread(self._named, staging.open))
            try:
                await asyncio.shield(opening)
            except BaseException:
                # Cancelled or not: what the thread arms is known when it has ended.
                await asyncio.wait([opening])
                await self._end()
                raise
            # What a driver says of itself may depend on how it was configured.
            own = self._driver.starts_exposures and not is_external
            self._events = events(starts_exposures=own)
            return staging

    async def close(self) -> None:
        """Leave service and detector idle; what fails is logged, and hides nothing."""
        async with self._turn:
            await self._end()

    async def expose(
        self, mode: Mode, settings: Settings, frames: int, stall_s: float | None
    ) -> None:
        """Take frames; returns when a fly scan's exposures begin, else at once."""
        if self.is_mock:
            return
        staging, events = self._parts()
        if events.mixes_streams:
            raise RuntimeError(f"{self._device.name}: {MIXED}")
        if events.status is not None and not events.status.done:
            name = self._device.name
            raise RuntimeError(f"{name}: the last exposure is not over yet")
        place = events.next(mode, staging.rows)
        status = FramesStatus(self._device, place.start, place.start + frames)
        status.wants_total = self._sums and mode == "step"
        begun = CauseStatus(self._device) if mode == "fly" else None
        events.status = status
        staging.stall_timeout_s = stall_s or self._terms().stall_timeout_s
        staging.expose(
            status,
            settings,
            rewind_to=place.rewind_to,
            new_file=place.new_file,
            begun=begun,
        )
        if begun is not None:
            # A pause that comes first settles the status alone.
            await first_settled(status, begun)
            begun.give_up()

    async def updates(self) -> AsyncIterator[tuple[FramesStatus, WatcherUpdate[int]]]:
        """Yield how far the last exposure is until it is over.

        Raises:
            AcquisitionError: The frames did not come; the text tells why.
        """
        status = self._parts()[1].status
        if status is None:
            raise RuntimeError(f"{self._device.name}: complete without kickoff")
        changed = asyncio.Event()
        wake = _waker(changed)
        status.watch(wake)
        status.add_callback(wake)
        is_over = False
        while not is_over:
            await changed.wait()
            changed.clear()
            is_over = status.done
            yield status, _update(status)
        _raise_failure(status)

    async def pause(self) -> None:
        """Interrupt an exposure; the RunEngine asks for it again when it resumes."""
        staging, events = self._staging, self._events
        if staging is None or events is None:
            return
        events.pause(staging.rows)
        if events.status is not None and not events.status.done:
            # Not as an error: that would fail a plan which only paused.
            events.status.give_up()
            await asyncio.to_thread(staging.interrupt)

    def describe(self, mode: Mode) -> None:
        """Note that the RunEngine asks for the data keys: it begins a stream."""
        if self._events is not None:
            self._events.describe(mode)

    @property
    def describes(self) -> Mode:
        """What the RunEngine asked for the data keys of last."""
        return "step" if self._events is None else self._events.describes

    def publish(self, index: int) -> None:
        """Compose what tells of durable events, up to `index`, not told of yet."""
        if self._staging is not None and self._events is not None:
            self._events.publish(self._staging.rows, index)

    def _parts(self) -> tuple[Staging, Events]:
        if self._staging is None or self._events is None:
            raise RuntimeError(f"{self._device.name} must be staged and prepared first")
        return self._staging, self._events

    async def _end(self) -> None:
        staging, events = self._staging, self._events
        self._staging = self._events = None
        if staging is None or events is None:
            return
        complete, keep = events.is_complete, events.kept_rows
        if events.mixes_streams:
            logger.error("%s: %s", self._device.name, MIXED)
        if events.status is not None:
            events.status.give_up()
        complete = complete and staging.is_open
        await asyncio.to_thread(staging.close, complete=complete, keep=keep)

    def _named(self, do: Callable[[], Any]) -> None:
        try:
            do()
        except AcquisitionError as error:
            raise AcquisitionError(f"{self._device.name}: {error}") from error


async def first_settled(*statuses: CauseStatus) -> None:
    """Return once one of them is done.

    Raises:
        Exception: It failed; its own cause.
    """
    changed = asyncio.Event()
    for status in statuses:
        status.add_callback(_waker(changed))
    await changed.wait()
    for status in statuses:
        if status.done:
            _raise_failure(status)


def _raise_failure(status: CauseStatus) -> None:
    cause: Any = status.exception()
    if cause is not None:
        raise AcquisitionError(str(status)) from cause


def _update(status: FramesStatus) -> WatcherUpdate[int]:
    return WatcherUpdate(
        name=status.device.name,
        current=status.rows - status.start,
        initial=0,
        target=status.target - status.start,
        unit="frames",
        precision=0,
    )


def _waker(changed: asyncio.Event) -> Callable[..., None]:
    loop = asyncio.get_running_loop()

    def wake(*_args: object, **_kwargs: object) -> None:
        # A loop that is closed has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(changed.set)

    return wake
