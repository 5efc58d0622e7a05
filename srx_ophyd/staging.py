"""One staging: an armed service, an armed detector, and exposures one after the other.

What takes time here runs in a thread of its own: the RunEngine calls `trigger` and
`kickoff` in its event loop, where a pause could not be asked for meanwhile.
"""

import dataclasses
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from srx_ophyd import history
from srx_ophyd.client import Acquisition, ServiceClient, ServiceFacts
from srx_ophyd.documents import FrameLayout
from srx_ophyd.driver import Driver, Settings, default_stall_s
from srx_ophyd.ending import end, quietly
from srx_ophyd.endpoint import RemoteError
from srx_ophyd.status import CauseStatus, FramesStatus
from srx_ophyd.watch import AcquisitionError, Watch

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a device asks of all its stagings."""

    name: str
    """The device's."""
    new_file: Callable[[], str]
    """Called for every file: a new path, as the service sees it."""
    layout: FrameLayout | None
    """Where the user knows shape and dtype, and the driver does not."""
    metadata: dict[str, Any]
    lease_s: float | None
    stall_timeout_s: float | None
    """None: from the exposure."""
    allow_missing: bool
    patience_s: float
    """For the service to see the series that the detector armed."""


class Staging:
    """One staging of one device."""

    def __init__(
        self, client: ServiceClient, driver: Driver, terms: Terms, settings: Settings
    ) -> None:
        self.driver = driver
        self.settings = settings
        """As the detector took them, once open."""
        self._requested = settings
        self.layout: FrameLayout
        """Set by `open`, and the same until the end."""
        self.service: ServiceFacts
        """Set by `open`."""
        self.stall_timeout_s = terms.stall_timeout_s
        self._client = client
        self._terms = terms
        self._watch: Watch | None = None
        self.is_open = False
        """True when service and detector are both armed."""
        self._is_armed = False
        self._is_abandoned = False
        # Held by whoever speaks to the detector, except to abort.
        self._busy = threading.Lock()

    @property
    def rows(self) -> int:
        """Durable rows of the file, as far as is known."""
        return 0 if self._watch is None else self._watch.rows

    @property
    def acquisition(self) -> Acquisition:
        """What the service said last; `open` comes first."""
        if self._watch is None:
            raise AcquisitionError("no acquisition is armed")
        return self._watch.acquisition

    def open(self) -> None:
        """Arm service and detector.

        Raises:
            RemoteError: One of them refused, or cannot be reached.
            AcquisitionError: The service is in use, the shape of the frames cannot be
                known, or the armed series did not come.
        """
        self.service = self._client.facts()
        past = history.past_acquisitions(self._client)
        # Before the detector is touched: somebody else may be in the middle of a scan.
        history.refuse_if_in_use(past, self._client.url)
        if history.was_abandoned(past, self._terms.name):
            # Nobody else ends what the detector may still be doing for a dead client.
            quietly(self.driver.abort)
        self.settings = self.driver.configure(self._requested)
        history.refuse_other_stream(self.driver, self.service)
        layout = self.driver.layout() or self._terms.layout
        layout = layout or history.layout_of(past, self._labels())
        n = self.settings.frames_per_event
        self.layout = dataclasses.replace(layout, frames_per_event=n)
        self._open_file()
        self.is_open = True

    def expose(
        self,
        status: FramesStatus,
        settings: Settings,
        *,
        rewind_to: int | None = None,
        new_file: bool = False,
        begun: CauseStatus | None = None,
    ) -> None:
        """Take the frames `status` waits for; returns at once.

        Args:
            status: Settled when they are durable, or why not.
            settings: The detector is armed anew when they differ from the last.
            rewind_to: Rows that stay; the detector is armed anew. None: all.
            new_file: End this file and go on in a new one.
            begun: Finished when the exposures begin.
        """
        watch = self._watch
        if rewind_to is not None and watch is not None:
            watch.distrust()
        if new_file:
            self._watch = None

        def work() -> None:
            with self._busy:
                if new_file:
                    self._change_file(watch, settings)
                elif rewind_to is not None:
                    self._arm_anew(settings, rewind_to)
                elif not self._is_set_to(settings):
                    self._arm_anew(settings, self.rows)
                self._take(status, begun)

        name = f"srx-expose-{self._terms.name}"
        threading.Thread(
            target=self._settle_errors,
            args=(work, status, begun),
            name=name,
            daemon=True,
        ).start()

    def interrupt(self) -> None:
        """Stop an exposure at once; the next one begins with a rewind."""
        if self._watch is not None:
            self._watch.forget()
        # One that was not armed by us may be somebody else's at this moment.
        if self._is_armed:
            self._is_armed = False
            quietly(self.driver.abort)

    def close(self, *, complete: bool, keep: int | None) -> None:
        """Disarm the detector and end the acquisition; logs what fails.

        Args:
            complete: False: it is aborted.
            keep: Rows that stay in the file; None: all.
        """
        if not complete:
            self.interrupt()
        # Whoever still speaks to the detector was told to stop; that takes a while.
        is_ours = self._busy.acquire(timeout=self._client.timeout_s)
        # If it takes too long, they clean up behind themselves.
        self._is_abandoned = not is_ours
        try:
            self._leave(complete, keep)
        finally:
            if is_ours:
                self._busy.release()

    def _leave(self, complete: bool, keep: int | None) -> None:
        if self._is_armed:
            self._is_armed = False
            quietly(self.driver.disarm)
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
            end(self._client, watch.acquisition, complete=complete, keep=keep)

    def _labels(self) -> dict[str, Any]:
        return {"device": self._terms.name, "configuration": self.settings.keys}

    def _open_file(self) -> None:
        acquisition = self._client.arm_new(
            self._terms.new_file(),
            shape=[*self.layout.shape],
            dtype=self.layout.dtype,
            series="open",
            # A row for every frame, come or not: row k stays event k.
            missing="fill",
            lease_s=self._terms.lease_s,
            metadata=self._terms.metadata | self._labels(),
            # Nothing, until something is triggered.
            expected=0 if self.driver.starts_exposures else None,
            await_series_id=self.driver.names_series,
        )
        self._watch = Watch(
            self._client,
            acquisition,
            lease_s=self._terms.lease_s,
            detector_state=self.driver.state,
            allow_missing=self._terms.allow_missing,
        )
        self._arm()

    def _arm(self) -> None:
        # Before it is: a detector that did not answer may be armed all the same.
        self._is_armed = True
        series_id = self.driver.arm()
        # Interrupted meanwhile, it is armed all the same.
        self._is_armed = True
        if series_id is not None and self._watch is not None:
            self._watch.pin(series_id, self._terms.patience_s)

    def _change_file(self, old: Watch | None, settings: Settings) -> None:
        self._disarm()
        if old is not None:
            old.close()
            self._client.stop(old.acquisition.id, self._client.timeout_s)
        self._configure_again(settings)
        self._open_file()

    def _arm_anew(self, settings: Settings, rows: int) -> None:
        self._disarm()
        if self._watch is not None:
            # Even when no row is given up: it ends the series, and what is still on
            # its way belongs to nobody.
            self._watch.rewind(rows)
        self._configure_again(settings)
        self._arm()

    def _disarm(self) -> None:
        if self._is_armed:
            self._is_armed = False
            self.driver.disarm()

    def _is_set_to(self, settings: Settings) -> bool:
        # The detector rounds: what was asked for and what it took are both right.
        return settings in (self._requested, self.settings)

    def _configure_again(self, settings: Settings) -> None:
        if self._is_set_to(settings):
            return
        self._requested = settings
        self.settings = self.driver.configure(settings)
        layout = self.driver.layout()
        before, now = history.words(self.layout), layout and history.words(layout)
        if now not in (None, before):
            raise AcquisitionError(
                f"the new settings turn frames from {before} into {now}: "
                "stage the device again"
            )

    def _take(self, status: FramesStatus, begun: CauseStatus | None) -> None:
        if self._watch is not None:
            own = self.driver.starts_exposures
            self._watch.limit(status.target if own else None)
        if status.done or self._watch is None:  # a pause came first
            return
        stall_s = self.stall_timeout_s or default_stall_s(self.driver, self.settings)
        self._watch.expect(status, stall_s)
        if begun is not None:
            begun.give_up()
        self.driver.trigger(status.target - status.start)

    def _settle_errors(
        self,
        work: Callable[[], None],
        status: FramesStatus,
        begun: CauseStatus | None,
    ) -> None:
        try:
            work()
        except Exception as error:
            if status.done:  # given up by a pause: its trigger may well have failed
                return
            if not isinstance(error, RemoteError | AcquisitionError):
                logger.exception("%s: exposing", self._terms.name)
            if self._watch is not None:
                self._watch.fail(status, error)
            status.fail(error)
            if begun is not None:
                begun.fail(error)
        finally:
            if begun is not None:
                begun.give_up()
            if self._is_abandoned:
                self._leave(complete=False, keep=None)
