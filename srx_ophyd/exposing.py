"""A device whose frames the service writes: staging and exposures, not yet documents.

Bluesky decides by methods which documents a device writes, so each flavour of documents
is a class of its own on top of this one.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ophyd import Component as Cpt
from ophyd import Kind
from ophyd.signal import InternalSignal
from ophyd.utils import RedundantStaging

from srx_ophyd.client import ServiceClient, ServiceError
from srx_ophyd.configuration import ConfiguredDevice
from srx_ophyd.documents import known_layout
from srx_ophyd.driver import Driver
from srx_ophyd.drivers import NoDriver
from srx_ophyd.endpoint import Json
from srx_ophyd.events import EventDocuments, Events, Mode
from srx_ophyd.naming import FileNames, Where
from srx_ophyd.paths import PathMap
from srx_ophyd.staging import Staging, Terms
from srx_ophyd.status import CauseStatus, FramesStatus
from srx_ophyd.watch import AcquisitionError

logger = logging.getLogger(__name__)

MIXED = (
    "frames of one staging went into more than one stream, and readers would find them "
    "all in the first: stage the device anew for each stream and run"
)

HALF_TOLD = (
    "a fly scan cannot be taken up again after a pause, its events would be numbered "
    "twice: let the plan clear_checkpoint before it kicks off, as srx_fly does"
)


class ExposingDevice(ConfiguredDevice):
    """A detector whose frames the srx service writes.

    Args:
        url: Where the service listens: "http://daq-eiger:5000".
        name: Of the device; its frames are `<name>_image`.
        driver: What starts the detector; None: something else does.
        write_path_template: Where the service writes, "/data/%Y/{name}_{uid8}.h5", see
            PathTemplate; or ophyd-async's path provider. A file is always a new one.
        md: RE.md, for {scan_id} and whatever else of it the template names.
        path_map: Readers see files elsewhere: prefix of the service's path to prefix of
            theirs, the longest that fits.
        frames_per_event: Frames one trigger yields.
        num_events: Events one kickoff yields; `prepare` sets it too.
        exposure_s: 0: as the detector is set.
        trigger_mode: In the driver's words; "": its default.
        shape: Of a frame, (y, x) in pixels, where the driver cannot tell.
        dtype: numpy's name for its pixels, with `shape`.
        on_missing: "fill": frames that never came leave holes and are counted in
            `frames_missing`; "fail": they fail the plan.
        total_counts: False: the last frame of an event is not summed; for detectors so
            large that the service takes too long to unpack one.
        lease_s: The service ends an acquisition whose client is silent for so long.
        stall_timeout_s: Without a new frame for so long a plan fails. None: 10 s and
            two exposures; 60 s where something else triggers.
        timeout_s: For each answer of the service.
        token: The service's `SRX_API_TOKEN`, where it has one.
        kwargs: ophyd.Device's.
    """

    frames_missing = Cpt(InternalSignal, value=0, kind="hinted")
    total_counts = Cpt(InternalSignal, value=math.nan, kind="hinted")

    def __init__(
        self,
        url: str,
        *,
        name: str,
        write_path_template: Where,
        md: Mapping[str, Any] | None = None,
        driver: Driver | None = None,
        path_map: PathMap | None = None,
        frames_per_event: int = 1,
        num_events: int = 1,
        exposure_s: float = 0.0,
        trigger_mode: str = "",
        shape: Sequence[int] | None = None,
        dtype: str | None = None,
        on_missing: Literal["fill", "fail"] = "fill",
        total_counts: bool = True,
        lease_s: float | None = 60.0,
        stall_timeout_s: float | None = None,
        timeout_s: float = 3.0,
        token: str | None = None,
        **kwargs: Json,
    ) -> None:
        super().__init__(url, name=name, driver=driver or NoDriver(), **kwargs)
        self.client = ServiceClient(url, timeout_s, token)
        self._files = FileNames(write_path_template, path_map, md)
        if on_missing not in ("fill", "fail"):
            raise ValueError(f"on_missing {on_missing!r}: there are 'fill' and 'fail'")
        self._terms = Terms(
            name=self.name,
            new_file=lambda: self._files.new(self.name),
            layout=known_layout(shape, dtype),
            metadata={},
            lease_s=lease_s,
            stall_timeout_s=stall_timeout_s,
            allow_missing=on_missing == "fill",
            patience_s=timeout_s,
        )
        self.frames_per_event.put(frames_per_event)
        self.num_events.put(num_events)
        self.exposure_s.put(exposure_s)
        self.trigger_mode.put(trigger_mode)
        self._note(url=self.client.url, on_missing=on_missing)
        self._sums = total_counts
        if not total_counts:
            self.total_counts.kind = Kind.omitted
        self._staging: Staging | None = None
        self._events: Events | None = None
        self._was_refused = False
        """True after a `stage` that found it staged."""

    @property
    def write_path_template(self) -> Where:
        """Template or path provider; another one names the files from then on."""
        return self._files.where

    @write_path_template.setter
    def write_path_template(self, where: Where) -> None:
        self._files.where = where

    @property
    def metadata(self) -> dict[str, Any]:
        """Written into every file; put in what you like."""
        return self._terms.metadata

    def wait_for_connection(
        self, all_signals: bool = False, timeout: object = 2.0
    ) -> None:
        """Raise TimeoutError unless the service answers and can take data."""
        super().wait_for_connection(all_signals, timeout)
        try:
            self.client.check_ready()
        except ServiceError as error:
            raise TimeoutError(f"{self.name}: {error}") from error

    def destroy(self) -> None:
        """Unstage, close connections, and be of no use any more."""
        self.unstage()
        self.client.close()
        self.driver.close()
        super().destroy()

    def stage(self) -> list[object]:
        """Arm service and detector, or fail with what is in the way."""
        try:
            staged = super().stage()
        except RedundantStaging:
            self._was_refused = True
            raise
        try:
            self._open()
        except BaseException:
            self.unstage()
            raise
        return staged

    def unstage(self) -> list[object]:
        """Leave service and detector idle; what fails is logged, and hides nothing."""
        staging, events = self._staging, self._events
        was_refused, self._was_refused = self._was_refused, False
        if was_refused and events and events.status and not events.status.done:
            # A plan that found it in use cleans up, in the middle of another plan.
            logger.warning("%s: not unstaged, it is exposing", self.name)
            return [self]
        self._staging = self._events = None
        self._forget_preparation()
        if staging is not None and events is not None:
            complete, keep = events.is_complete, events.kept_rows
            if events.mixes_streams:
                logger.error("%s: %s", self.name, MIXED)
            if events.status is not None:
                events.status.give_up()
            staging.close(complete=complete and staging.is_open, keep=keep)
        return super().unstage()

    def _open(self) -> None:
        mode: Mode = "fly" if self._flies_first else "step"
        staging = Staging(self.client, self.driver, self._terms, self._settings(mode))
        # Known before it is open: unstage ends one that opened half.
        self._staging = staging
        self._events = Events(
            staging.settings.frames_per_event,
            self._new_documents,
            starts_exposures=self.driver.starts_exposures,
        )
        self._files.begin()
        try:
            staging.open()
        except AcquisitionError as error:
            raise AcquisitionError(f"{self.name}: {error}") from error
        where = self.write_path_template
        self._note(
            file=staging.acquisition.file or "",
            path_template=where if isinstance(where, str) else repr(where),
            dataset=staging.acquisition.dataset,
            service_version=staging.service.version,
            detector_class=staging.service.detector_class,
        )
        self._note_staged(staging.settings)

    def _new_documents(self) -> EventDocuments:
        raise NotImplementedError  # each flavour has its own

    def trigger(self) -> FramesStatus:
        """Take one event; done when its frames are durable.

        An event that was triggered but not read is taken back first.
        """
        return self._expose("step", None)

    def kickoff(self) -> CauseStatus:
        """Begin to take `num_events` events; done when the exposures begin."""
        begun = CauseStatus(self)
        self._expose("fly", begun)
        return begun

    def complete(self) -> FramesStatus:
        """Return what is done when the frames of the last kickoff are durable."""
        _, events = self._staged_parts()
        if events.status is None:
            raise RuntimeError(f"{self.name}: complete without kickoff")
        return events.status

    def pause(self) -> None:
        """Interrupt an exposure; the RunEngine asks for it again when it resumes."""
        if self._staging is None or self._events is None:
            return
        self._events.pause(self._staging.rows)
        self._interrupt(self._staging, self._events)

    def resume(self) -> None:
        """Do nothing: the next trigger takes the point anew."""

    def stop(self, *, success: bool = False) -> None:
        """Interrupt an exposure; the staging stays."""
        self.pause()
        super().stop(success=success)

    @staticmethod
    def _interrupt(staging: Staging, events: Events) -> None:
        status = events.status
        if status is not None and not status.done:
            # Not as an error: that would fail a plan which only paused.
            status.give_up()
            staging.interrupt()

    def _expose(self, mode: Mode, begun: CauseStatus | None) -> FramesStatus:
        staging, events = self._staged_parts()
        if events.mixes_streams:
            raise RuntimeError(f"{self.name}: {MIXED}")
        if events.status is not None and not events.status.done:
            raise RuntimeError(f"{self.name}: the last exposure is not over yet")
        if mode == "fly" and events.is_half_told:
            raise RuntimeError(f"{self.name}: {HALF_TOLD}")
        settings = self._settings(mode)
        if settings.frames_per_event != staging.settings.frames_per_event:
            raise RuntimeError(f"{self.name}: frames_per_event changed while staged")
        events.starts_exposures = self.driver.starts_exposures
        place = events.next(mode, staging.rows)
        status = FramesStatus(self, place.start, place.start + settings.frames)
        status.wants_total = self._sums and mode == "step"
        if self._stall_timeout_s is not None:
            staging.stall_timeout_s = self._stall_timeout_s
        events.status = status
        staging.expose(
            status,
            settings,
            rewind_to=place.rewind_to,
            new_file=place.new_file,
            begun=begun,
        )
        return status

    def _staged_parts(self) -> tuple[Staging, Events]:
        if self._staging is None or self._events is None:
            raise RuntimeError(
                f"{self.name} must be staged first; a plan like bp.fly does not: use "
                "srx_fly, or bpp.stage_wrapper"
            )
        return self._staging, self._events
