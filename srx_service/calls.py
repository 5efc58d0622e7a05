"""What other threads want of the receive thread: done between two rounds of its own."""

import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from srx_service.errors import RequestError

T = TypeVar("T")


class Calls:
    """Any thread puts, the receive thread carries out.

    Args:
        wake: Lets the receive thread look.
        sent: Called after each that was carried out.
    """

    def __init__(self, wake: Callable[[], None], sent: Callable[[], None]) -> None:
        self._wake = wake
        self._sent = sent
        self._new: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._after_drain: list[_Call] = []
        self._is_over = False

    # -- any thread -------------------------------------------------------------------

    def put(self, do: Callable[[], T], patience_s: float | None = None) -> Future[T]:
        """Have something done.

        Args:
            do: What; what it returns or raises is the future's.
            patience_s: How long it waits for the sockets to be empty; None: not at all.
        """
        call = _Call(do, Future(), patience_s)
        self._new.put(call)
        self._wake()
        if self._is_over:
            self._refuse_all()  # nobody else does any more
        return call.future

    # -- the receive thread -----------------------------------------------------------

    @property
    def are_waiting(self) -> bool:
        """True while some wait for the sockets to be empty."""
        return bool(self._after_drain)

    def run(self) -> None:
        """Carry out what was put; what is to wait waits from now on."""
        if self._new.empty():
            return
        for call in self._take():
            if call.patience_s is None:
                self._settle(call)
            else:
                call.deadline_s = time.monotonic() + call.patience_s
                self._after_drain.append(call)

    def run_after_drain(self, now_s: float, *, is_quiet: bool) -> None:
        """Carry out what waits, if the sockets are empty or its time is over."""
        waiting, self._after_drain = self._after_drain, []
        for call in waiting:
            if is_quiet or now_s >= call.deadline_s:
                self._settle(call)
            else:
                self._after_drain.append(call)

    def end(self) -> None:
        """Refuse what waits, and whatever still comes."""
        self._is_over = True
        self._refuse_all()

    def _settle(self, call: "_Call") -> None:
        call.settle()
        self._sent()

    def _take(self) -> Iterator["_Call"]:
        with suppress(queue.Empty):
            while True:
                yield self._new.get_nowait()

    def _refuse_all(self) -> None:
        waiting, self._after_drain = self._after_drain, []
        for call in [*waiting, *self._take()]:
            call.refuse()


@dataclass(slots=True)
class _Call:
    """Something to be done."""

    do: Callable[[], Any]
    future: Future[Any]
    patience_s: float | None
    deadline_s: float = 0.0

    def settle(self) -> None:
        """Do it, unless who asked has given up."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.do()
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
            self.future.set_exception(error)
        else:
            self.future.set_result(result)

    def refuse(self) -> None:
        """Do it no more."""
        text = "the service is stopping"
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(RequestError(503, "stopping", text))
