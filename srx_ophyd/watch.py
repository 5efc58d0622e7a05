"""Follows one acquisition with long polls; settles the status that waits for rows.

One thread a staging. The answer comes when the row is durable: no interval lies between
a frame and the next point of a scan. The same polls renew the lease.
"""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable

from srx_ophyd import holes
from srx_ophyd.client import Acquisition, ServiceClient, ServiceError
from srx_ophyd.endpoint import RemoteError
from srx_ophyd.status import FramesStatus

logger = logging.getLogger(__name__)

PROGRESS_S = 0.2
"""How long a poll waits at most while frames are awaited: progress bars and the
documents of a fly scan move so often."""
INTERRUPTED = "interrupted"
"""The state of what a killed service left, as its next life tells it."""
TOLD_COUNTS = ("rejected", "missing", "late", "stale", "surplus", "unsaved")
"""Counts that help to see where frames went; told when they are not 0."""


class AcquisitionError(Exception):
    """The frames did not come; the text tells how far it got, and why not further."""


class Watch:
    """One armed acquisition.

    Args:
        client: The service.
        acquisition: As arming answered it.
        lease_s: What was asked for; None: the service waits for ever.
        detector_state: Asked for the detector's own state when frames stay out.
        allow_missing: False: a frame that never came fails the status.
    """

    def __init__(
        self,
        client: ServiceClient,
        acquisition: Acquisition,
        *,
        lease_s: float | None,
        detector_state: Callable[[], str],
        allow_missing: bool,
    ) -> None:
        self._client = client
        self._latest = acquisition
        self._renew_s = None if lease_s is None else lease_s / 3
        self._detector_state = detector_state
        self._allow_missing = allow_missing
        self._changed = threading.Condition()
        self._awaited: FramesStatus | None = None
        self._holes_before = 0
        self._stall_s = 0.0
        self._moved_s = 0.0
        self._age = 0
        self._rewinding = False
        self._closed = False
        self._has_warned = False
        self._limit: int | None = 0
        self._thread = threading.Thread(
            target=self._follow, name=f"srx-watch-{acquisition.id}", daemon=True
        )
        self._thread.start()

    @property
    def acquisition(self) -> Acquisition:
        """What the service said last."""
        return self._latest

    @property
    def rows(self) -> int:
        """Durable rows, as far as is known."""
        return self._latest.rows

    def limit(self, rows: int | None) -> None:
        """Take no more than so many rows: what comes beyond is no frame of the next.

        Args:
            rows: None: all that come, where frames may come before they are asked for.

        Raises:
            RemoteError: The service did not take it.
        """
        if rows != self._limit:
            self._client.patch(self._latest.id, expected=rows)
            self._limit = rows

    def expect(self, status: FramesStatus, stall_s: float) -> None:
        """Settle `status` when its frames are durable, or stay out for `stall_s`."""
        with self._changed:
            self._awaited = status
            self._stall_s = stall_s
            self._moved_s = time.monotonic()
            self._holes_before = self._latest.holes
            self._changed.notify()

    def forget(self) -> FramesStatus | None:
        """Return the status that was awaited, unsettled; now nothing is."""
        with self._changed:
            status, self._awaited = self._awaited, None
        return status

    def fail(self, status: FramesStatus, cause: Exception) -> None:
        """Fail `status` with how far it came, unless it is settled already."""
        with self._changed:
            if self._awaited is status:
                self._awaited = None
        if isinstance(cause, ServiceError) and cause.status is not None:
            # It answered: what has become of the acquisition may be the true cause.
            with contextlib.suppress(RemoteError):
                self._poll(None, self._age)
        was_restarted = _is_forgotten(cause) or self._latest.state == INTERRUPTED
        text = f"the service was restarted: {cause}" if was_restarted else cause
        status.fail(AcquisitionError(self._explain(status, str(text))))

    def distrust(self) -> None:
        """Take no more rows from polls: a rewind is about to shrink the file."""
        with self._changed:
            self._rewinding = True

    def rewind(self, rows: int) -> None:
        """Give up all rows from `rows` on.

        Raises:
            RemoteError: The service did not do it.
        """
        self.distrust()
        acquisition = self._client.rewind(self._latest.id, rows)
        with self._changed:
            self._age += 1
            self._rewinding = False
            self._latest = acquisition

    def pin(self, series_id: int, timeout_s: float) -> None:
        """Take frames of this series alone; returns once the service has it.

        Raises:
            RemoteError: The service did not take it.
            AcquisitionError: The service has not seen that series within `timeout_s`.
        """
        until_s = time.monotonic() + timeout_s
        acquisition = self._client.patch(self._latest.id, series_id=series_id)
        # Every turn of this loop is a request; the service holds each until a change.
        while acquisition.series_id != series_id and not acquisition.is_over:
            if time.monotonic() > until_s:
                raise AcquisitionError(
                    f"the detector armed series {series_id}, but the service has not "
                    f"seen it within {timeout_s:g} s: is the detector's stream "
                    "enabled, and does the service listen to this detector?"
                )
            acquisition = self._client.acquisition(
                acquisition.id, wait_frames=acquisition.rows + 1, timeout_s=PROGRESS_S
            )

    def close(self) -> None:
        """Poll no more; the acquisition itself stays as it is."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        # Its last poll ends soon; connections that are closed before would be opened
        # again for it.
        self._thread.join(2 * PROGRESS_S)

    def _follow(self) -> None:
        while True:
            with self._changed:
                if self._awaited is None and not self._closed:
                    self._changed.wait(self._renew_s)
                if self._closed:
                    return
                status, age = self._awaited, self._age
            try:
                self._poll(status, age)
            except RemoteError as error:
                self._note_failure(status, error)
            except Exception as error:
                # A status that nobody settles would hold up its plan for ever.
                logger.exception("following acquisition %s", self._latest.id)
                self._note_failure(status, error)

    def _poll(self, status: FramesStatus | None, age: int) -> None:
        wait_frames = None if status is None else status.target
        acquisition = self._client.acquisition(
            self._latest.id,
            wait_frames,
            PROGRESS_S if wait_frames else 0.0,
            total=status is not None and status.wants_total,
        )
        with self._changed:
            if age != self._age or self._rewinding:
                return
            moved = acquisition.rows != self._latest.rows
            self._latest = acquisition
            if moved:
                self._moved_s = time.monotonic()
            if status is None or self._awaited is not status:
                return
            cause = self._cause(status)
            is_settled = cause is not None or acquisition.rows >= status.target
            if is_settled:
                self._awaited = None
        self._tell(status, cause, is_settled)

    def _tell(self, status: FramesStatus, cause: str | None, is_settled: bool) -> None:
        if cause is not None:
            status.rows = min(self._latest.rows, status.target)
            status.fail(AcquisitionError(self._explain(status, cause)))
        elif is_settled:
            if status.wants_total and not status.done:
                status.total_counts = self._total(status.target - 1)
            status.succeed()
        else:
            status.progress(self._latest.rows)

    def _total(self, row: int) -> float:
        """Return the sum of a row's frame; NaN where the last frame is another."""
        acquisition = self._latest
        if row in acquisition.hole_rows:
            return math.nan
        told = acquisition.last_frame
        if "error" in told:
            self._warn_of_total(str(told["error"]))
            return math.nan
        total = told.get("total_counts")
        of_row = (told.get("acquisition"), told.get("row")) == (acquisition.id, row)
        if of_row and isinstance(total, int | float):
            return float(total)
        seen = {key: told.get(key) for key in ("acquisition", "row", "total_counts")}
        self._warn_of_total(f"the service's last frame is not row {row}: {seen}")
        return math.nan

    def _warn_of_total(self, text: str) -> None:
        """Warn once a staging: it may be so for every point of a scan."""
        if not self._has_warned:
            self._has_warned = True
            where = self._latest.id
            logger.warning("acquisition %s: total_counts is not known: %s", where, text)

    def _cause(self, status: FramesStatus) -> str | None:
        """Return why frames will not come; None when they still may, or are there."""
        acquisition = self._latest
        span = status.start, status.target
        status.missing = holes.count_in(acquisition, *span, self._holes_before)
        if status.missing and not self._allow_missing:
            text = holes.words(acquisition, *span, status.missing)
            return f"{text}, and on_missing is 'fail'"
        if acquisition.rows >= status.target:
            return None
        if acquisition.state == INTERRUPTED:
            return "the service was restarted"
        if acquisition.is_over:
            return "the acquisition ended"
        if time.monotonic() - self._moved_s > self._stall_s:
            return f"no new frame for {self._stall_s:g} s"
        return None

    def _explain(self, status: FramesStatus, cause: str) -> str:
        acquisition = self._latest
        state = acquisition.state
        if acquisition.error:
            state = f"{state} ({acquisition.error})"
        counts = "".join(
            f", {acquisition.counts[name]} {name}"
            for name in TOLD_COUNTS
            if acquisition.counts.get(name)
        )
        return (
            f"{cause}, at frame {status.count}; acquisition {acquisition.id} is {state}"
            f"{counts}{self._detector_text()}; file {acquisition.file}"
        )

    def _detector_text(self) -> str:
        try:
            state = self._detector_state()
        except RemoteError as error:
            state = str(error)
        return f"; {state}" if state else ""

    def _note_failure(self, status: FramesStatus | None, error: Exception) -> None:
        if status is not None:
            self.fail(status, error)
            return
        # Nobody waits: it may be back before somebody does.
        logger.warning("acquisition %s: %s", self._latest.id, error)


def _is_forgotten(cause: Exception) -> bool:
    """True when the service knows nothing of an acquisition that it armed."""
    return isinstance(cause, ServiceError) and cause.status == 404
