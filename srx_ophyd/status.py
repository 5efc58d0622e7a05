"""The status a plan waits for: how many frames of how many are durable, and why not."""

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any, Protocol

from ophyd.status import DeviceStatus
from ophyd.utils import InvalidState


class Named(Protocol):
    """A device, of ophyd or of ophyd-async."""

    @property
    def name(self) -> str:
        """What its texts begin with."""
        ...


class CauseStatus(DeviceStatus):
    """A status whose text is its cause.

    The RunEngine writes that text, and nothing else, into the RunStop document and into
    the exception a user sees.
    """

    def __init__(self, device: Named) -> None:
        # The device must not be stopped because of a failure: unstage does that, and
        # it knows whether the service can still be reached.
        super().__init__(device, call_stop_on_failure=False)

    def give_up(self) -> None:
        """Finish as it is, without an error, unless it is done already."""
        with contextlib.suppress(InvalidState):
            self.set_finished()

    def fail(self, cause: Exception) -> None:
        """Finish with an error, unless it is done already."""
        with contextlib.suppress(InvalidState):
            self.set_exception(cause)

    def __str__(self) -> str:
        if self.done and self._exception is not None:
            return f"{self.device.name}: {self._exception}"
        state = f"done={self.done}{self._details()}"
        return f"{type(self).__name__}({self.device.name}, {state})"

    __repr__ = __str__

    def _details(self) -> str:
        return ""


class FramesStatus(CauseStatus):
    """Done when the file has `target` durable rows; tells how far it is.

    Args:
        device: Whose frames they are.
        start: Rows of the file that belong to what was before.
        target: Rows of the file when this is done.
    """

    def __init__(self, device: Named, start: int, target: int) -> None:
        self.start = start
        self.target = target
        self.rows = start
        """Durable rows, as far as is known."""
        self.has_all = False
        """True when the frames came; a pause finishes a status without them."""
        self.wants_total = False
        """True: its last frame is to be summed before it is done."""
        self.total_counts = math.nan
        """The sum of its last frame; NaN where it is not known."""
        self.missing = 0
        """Of these frames, those that never came or could not be read."""
        self._begun_s = time.monotonic()
        super().__init__(device)

    @property
    def count(self) -> str:
        """How far it got, in words: "3 of 10"."""
        return f"{self.rows - self.start} of {self.target - self.start}"

    def progress(self, rows: int) -> None:
        """Tell the watchers how many rows are durable now."""
        self.rows = min(rows, self.target)
        self._tell()

    def succeed(self) -> None:
        """Finish with all frames there, unless it was given up before."""
        if self.done:
            return
        self.rows = self.target
        self.has_all = True
        self.give_up()

    def watch(self, func: Callable[..., None]) -> None:
        """Call `func` with every progress from now on; for progress bars."""
        self._watchers.append(func)
        func(**self._progress())

    def _progress(self) -> dict[str, Any]:
        done, whole = self.rows - self.start, self.target - self.start
        elapsed_s = time.monotonic() - self._begun_s
        return {
            "name": self.device.name,
            "current": done,
            "initial": 0,
            "target": whole,
            "unit": "frames",
            "precision": 0,
            # What remains, as ophyd's MoveStatus has it.
            "fraction": 1 - done / whole if whole else 0.0,
            "time_elapsed": elapsed_s,
            "time_remaining": (whole - done) * elapsed_s / done if done else None,
        }

    def _tell(self) -> None:
        for watcher in list(self._watchers):
            watcher(**self._progress())

    def _settled(self) -> None:
        # ophyd's own tells name and fraction only, from which no bar can be drawn.
        self._tell()

    def _details(self) -> str:
        return f", {self.count} frames"
