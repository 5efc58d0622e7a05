"""How a line ends: stage after stage, so that the file is closed whatever has died."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from srx_service.orders import Batch
from srx_service.reception import Reception
from srx_service.routing import Router
from srx_service.threads import Threads
from srx_service.workers import Workers
from srx_service.writer import Writer

logger = logging.getLogger(__name__)


@dataclass
class Ending:
    """The steps to be taken in turn; one that fails is no reason to leave others out.

    Their threads are "receive", "transformed" and "write".
    """

    threads: Threads
    reception: Reception
    router: Router
    workers: Workers
    writer: Writer
    hand_on: Callable[[Batch], None]
    """To where the line forks."""
    timeout_s: float
    """For each stage; what is queued by then is given up."""
    is_stuck: bool = False
    """True once the writer did not end in time."""

    def reading(self) -> None:
        """Stop reading."""
        self.reception.stop()
        if not self.threads.is_over("receive", self.timeout_s):
            text = f"the receive thread does not end within {self.timeout_s} s"
            raise TimeoutError(text)

    def acquisition(self) -> None:
        """Finish what is open; the receive thread is over, so that this one may."""
        if not self.threads.is_over("receive"):
            return
        failure = self.threads.failure
        if failure is None:
            self.reception.release()
        acquisition = self.router.current
        if acquisition is None:
            return
        cause = "was stopped" if failure is None else f"ends: {failure!r}"
        acquisition.fail(f"the service {cause}")
        self.router.finish(acquisition, "aborted" if failure is None else "done")
        start = self.router.start
        is_over = self.threads.is_over("transformed")
        hand_on = self.hand_on if is_over else self.workers.submit
        hand_on(Batch([], self.router.take_orders(), start, None, start, 0))

    def transforming(self) -> None:
        """Hand on what is in the pool."""
        self.workers.stop()
        self.threads.is_over("transformed", self.timeout_s)

    def writing(self) -> None:
        """Write what is queued; close the file."""
        self.writer.stop()
        self.is_stuck = not self.threads.is_over("write", self.timeout_s)
        if self.is_stuck:
            logger.error("not all was written within %s s", self.timeout_s)
