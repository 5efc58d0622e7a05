"""What HTTP may see and ask of the line; the receive thread carries it out."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from srx_service.acquisitions import Acquisition, Acquisitions, ArmRequest, State
from srx_service.admission import Admission
from srx_service.errors import RequestError, WriteError
from srx_service.figures import Figures, figures
from srx_service.reception import Reception
from srx_service.routing import Router
from srx_service.status import Status
from srx_service.waiting import Notice, Waiting

T = TypeVar("T")
PIN_S = 1.0
"""A pin is answered when its series is bound, or after so long."""
PATIENCE_S = 10.0
"""A request is given up when the line has not taken it up for so long."""


class Control:
    """The line as the HTTP interface sees it (`srx_service.api.line.Line`)."""

    def __init__(
        self,
        reception: Reception,
        router: Router,
        acquisitions: Acquisitions,
        status: Status,
        notice: Notice,
        *,
        configuration: dict[str, Any],
        gauges: Callable[[], dict[str, Any]],
        is_ready: Callable[[], bool],
        admission: Admission,
        timings: Callable[[], dict[str, dict[str, float]]] = dict,
    ) -> None:
        self._reception = reception
        self._router = router
        self._acquisitions = acquisitions
        self._status = status
        self._notice = notice
        self._waiting = Waiting(notice)
        self._configuration = configuration
        self._gauges = gauges
        self._is_ready = is_ready
        self._admission = admission
        self._timings = timings

    # -- to look at -------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """See Line."""
        running = self._running()
        newest = running or next(iter(self._acquisitions), None)
        error = self._acquisitions.error
        shown: dict[str, Any] = {"state": self._state(running)}
        if error is not None:
            shown["error"] = error
        shown["acquisition"] = newest.id if newest else None
        shown["file"] = newest.file if newest else None
        shown["note"] = newest.note if newest else None
        shown["orphans"] = self._router.orphans
        shown["lost"] = self._reception.lost
        return shown | self._status.as_dict() | self._gauges()

    def _state(self, running: Acquisition | None) -> str:
        if self._acquisitions.error is not None:
            return "error"
        return "idle" if running is None else "running"

    def _running(self) -> Acquisition | None:
        return next(filter(_is_running, self._acquisitions), None)

    def received_frames(self) -> int:
        """See Line."""
        return self._router.received

    def is_receiving(self) -> bool:
        """See Line."""
        return self._status.is_receiving and self._running() is not None

    async def wait_while_receiving(self, timeout_s: float) -> None:
        """See Line."""
        with self._notice.waiting() as event, contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.is_receiving():
                    await event.wait()
                    event.clear()

    def detector(self) -> dict[str, Any]:
        """See Line."""
        return self._configuration

    def is_ready(self) -> bool:
        """See Line."""
        return self._is_ready()

    def about(self) -> dict[str, str]:
        """See Line."""
        shown = {"detector": self._configuration["name"]}
        shown["class"] = self._configuration.get("class", "")
        return shown | {"version": self._gauges().get("version", "")}

    def metrics(self) -> Figures:
        """See Line."""
        outside = {"orphans": self._router.orphans, "lost": self._reception.lost}
        outside["ready"] = self._is_ready()
        return figures(
            self._status,
            self._acquisitions,
            state=self._state(self._running()),
            timings=self._timings(),
            others=outside | self._gauges(),
        )

    def acquisitions(self, limit: int) -> list[dict[str, Any]]:
        """See Line."""
        return self._acquisitions.told(limit)

    async def acquisition(
        self,
        id: str,
        wait_frames: int | None = None,
        timeout_s: float = 0.0,
        *,
        renews: bool = True,
    ) -> dict[str, Any]:
        """See Line."""
        if (past := self._acquisitions.past(id)) is not None:
            return past
        acquisition = self._named(id, renews)
        if wait_frames is not None:
            await self._wait_for(
                acquisition,
                lambda: acquisition.rows >= wait_frames,
                timeout_s,
                rows=wait_frames,
                renews=renews,
            )
        return acquisition.as_dict()

    # -- to ask for -------------------------------------------------------------------

    async def arm(self, request: ArmRequest) -> dict[str, Any]:
        """See Line."""
        await self._admission.must_fit(request)
        router, now_s = self._router, time.monotonic()
        arming = self._reception.call(lambda: router.arm(request, now_s))
        try:
            acquisition, created = await _within_patience(arming)
            self._renew(acquisition)
            await _within_patience(created)
            await _within_patience(self._reception.call_after_drain(router.begin))
        except WriteError as error:
            failed, _ = arming.result()
            await self._ask(lambda: router.finish(failed, "failed"))
            status, title = _http_status(error), "cannot make the file"
            raise RequestError(status, title, str(error)) from error
        except BaseException:
            # also where who asked has hung up: it would stay armed for nobody
            arming.add_done_callback(self._undo)
            raise
        return acquisition.as_dict()

    def _undo(self, arming: Future[tuple[Acquisition, Future[None]]]) -> None:
        if not arming.cancelled() and arming.exception() is None:
            acquisition, _ = arming.result()
            acquisition.fail("the arm was broken off")
            self._reception.call(lambda: self._router.finish(acquisition, "failed"))

    async def patch(
        self, id: str, *, expected: int | UnsetType | None, series_id: int | None
    ) -> dict[str, Any]:
        """See Line."""
        acquisition = self._named(id)
        frames = acquisition.expected if expected is UNSET else expected
        assert not isinstance(frames, UnsetType)
        self._admission.must_hold(acquisition, frames)
        await self._ask(
            lambda: self._router.patch(
                acquisition, expected=frames, series_id=series_id
            )
        )
        if series_id is not None:
            await self._wait_for(
                acquisition, lambda: acquisition.series_id == series_id, PIN_S
            )
        return acquisition.as_dict()

    async def stop(self, id: str, timeout_s: float) -> dict[str, Any]:
        """See Line."""
        return await self._finish(id, "done", timeout_s)

    async def abort(self, id: str) -> dict[str, Any]:
        """See Line."""
        return await self._finish(id, "aborted", PATIENCE_S)

    async def rewind(self, id: str, rows: int) -> dict[str, Any]:
        """See Line."""
        acquisition = self._named(id)
        done = await self._ask(lambda: self._router.rewind(acquisition, rows))
        try:
            await _within_patience(done)
        except WriteError as error:
            raise RequestError(507, "cannot rewind", str(error)) from None
        return acquisition.as_dict()

    async def _finish(self, id: str, state: State, timeout_s: float) -> dict[str, Any]:
        if (past := self._acquisitions.past(id)) is not None:
            return past
        acquisition = self._named(id)
        if not acquisition.is_over:

            def end() -> None:
                self._reception.release()
                self._router.finish(acquisition, state)

            future = self._reception.call_after_drain(end)
            await _within_patience(future)
            await self._wait_for(acquisition, lambda: False, timeout_s)
        return acquisition.as_dict()

    async def _ask(self, do: Callable[[], T]) -> T:
        return await _within_patience(self._reception.call(do))

    def _named(self, id: str, renews: bool = True) -> Acquisition:
        acquisition = self._acquisitions.get(id)
        if renews:
            self._renew(acquisition)
        return acquisition

    @staticmethod
    def _renew(acquisition: Acquisition) -> None:
        lease_s = acquisition.request.lease_s
        if lease_s is not None:
            acquisition.lease_until_s = time.monotonic() + lease_s

    async def _wait_for(
        self,
        acquisition: Acquisition,
        is_there: Callable[[], bool],
        timeout_s: float,
        rows: int | None = None,
        renews: bool = True,
    ) -> None:
        await self._waiting.until(acquisition, is_there, timeout_s, rows)
        if renews:
            self._renew(acquisition)


def _is_running(acquisition: Acquisition) -> bool:
    if acquisition.is_over or acquisition.state == "armed":
        return False
    return (
        acquisition.state == "finishing"
        or not acquisition.is_idle
        or (acquisition.origin == "stream")
    )


async def _within_patience(future: Future[T]) -> T:
    try:
        async with asyncio.timeout(PATIENCE_S):  # wait_for may swallow a cancellation
            return await asyncio.wrap_future(future)
    except TimeoutError:
        text = f"no answer within {PATIENCE_S:.0f} s: the disk, or the service, is busy"
        raise RequestError(504, "the line does not answer", text) from None


def _http_status(error: WriteError) -> int:
    """Return whether the name is in the way (409), or the storage (507)."""
    cause = error.__cause__
    is_taken = cause is None or isinstance(cause, FileExistsError)
    return 409 if is_taken else 507
