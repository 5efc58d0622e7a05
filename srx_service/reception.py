"""The receive thread: sockets → decoder → ordering → rows → batches.

It alone owns source, ordering and router; whoever wants something of them calls
`call`, and it is done between two rounds.
"""

import logging
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from srx_service.errors import Ignored, ProtocolError, RequestError
from srx_service.messages import NO_PIXELS, Buffer, Image, Message
from srx_service.ordering import Ordering, Stray, size_of
from srx_service.orders import Batch
from srx_service.protocols import Decoder
from srx_service.routing import Router
from srx_service.source import Source
from srx_service.status import Status

logger = logging.getLogger(__name__)

T = TypeVar("T")
POLL_MS = 100
POLL_WAITING_MS = 10
"""While a gap or an End waits for its time."""
POLL_HELD_MS = 8
POLL_QUIET_MS = 2
QUIET_S = 0.02
"""Sockets that were empty for so long have nothing on its way: one that was emptied is
filled again from the network a moment later, and a large message takes its time."""
TICK_S = 0.05
RESUME_AT = 15 / 16
"""Of the limit: reading resumes once the queues have sunk to this. In small steps
network, reading and writing go on side by side; in large ones they take turns."""
SIZE_CHANGE = 1.5
"""A change of image size by this factor sets the high-water marks anew."""


class Reception:
    """Receives until it is stopped; `run` is the body of its thread.

    Args:
        hand_on: Takes each batch to the next stage; never waits. is_full: Why reading
        is to be held now, or None; told whether it is held already. drain_timeout_s: An
        arm or stop waits at most so long for the sockets to be empty.
    """

    def __init__(
        self,
        source: Source,
        decoder: Decoder,
        ordering: Ordering,
        router: Router,
        status: Status,
        *,
        hand_on: Callable[[Batch], None],
        is_full: Callable[[bool], str | None],
        drain_timeout_s: float,
    ) -> None:
        self._source = source
        self._decoder = decoder
        self._ordering = ordering
        self._router = router
        self._status = status
        self._hand_on = hand_on
        self._is_full = is_full
        self._drain_timeout_s = drain_timeout_s
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._after_drain: list[_Call] = []
        self._is_held = False
        self._is_stopping = False
        self._is_over = False
        self._image_bytes = 0
        self._joining_bytes = 0
        """Read since the last message: of modules, say, that wait for another."""
        self._ticked_s = 0.0

    # -- requests, from any thread ----------------------------------------------------

    def call(self, do: Callable[[], T]) -> Future[T]:
        """Have something done between two rounds."""
        return self._put(_Call(do, Future()))

    def call_after_drain(self, do: Callable[[], T]) -> Future[T]:
        """Have something done once the sockets are empty, or after the timeout."""
        return self._put(_Call(do, Future(), self._drain_timeout_s))

    def _put(self, call: "_Call") -> Future[Any]:
        self._calls.put(call)
        self._source.wake()
        if self._is_over:
            self._refuse_calls()  # nobody else does any more
        return call.future

    def stop(self) -> None:
        """Let `run` return after this round."""
        self._is_stopping = True
        self._source.wake()

    # -- the thread -------------------------------------------------------------------

    def run(self) -> None:
        """Receive, round after round, until `stop`."""
        try:
            while not self._is_stopping:
                self._round()
            self._run_calls()
            self._run_after_drain(time.monotonic(), is_quiet=True)
        finally:
            self._is_over = True
            self._refuse_calls()
            self._source.close()

    def _round(self) -> None:
        self._run_calls()
        self._hold_or_resume()
        ready = self._source.poll(self._timeout_ms())
        received = self._source.receive(ready)
        now_s = time.monotonic()
        drained = received.drained and not self._is_held
        messages: Sequence[Message] = ()
        if received.messages:
            self._status.received_s = now_s
            self._status.messages += len(received.messages)
            messages = self._decode(received.messages)
        size = self._joining_bytes + received.size_bytes
        self._joining_bytes = 0 if messages else size
        if messages or self._ordering.is_waiting:
            self._pass_on(messages, size if messages else 0, now_s, drained)
        if self._after_drain:
            is_quiet = drained and now_s - self._status.received_s >= QUIET_S
            self._run_after_drain(now_s, is_quiet)
        if now_s - self._ticked_s >= TICK_S:
            self._ticked_s = now_s
            self._router.tick(now_s, drained)
            self._send_orders()

    def _timeout_ms(self) -> int:
        if self._is_held:
            return POLL_HELD_MS
        if self._after_drain:
            return POLL_QUIET_MS
        return POLL_WAITING_MS if self._ordering.is_waiting else POLL_MS

    def _hold_or_resume(self) -> None:
        reason = self._is_full(self._is_held)
        if reason is not None:
            self._source.pause()
            self._status.hold(reason)
        elif self._is_held:
            self._source.resume()
            self._status.release()
        self._is_held = reason is not None

    def _decode(self, batch: Sequence[tuple[list[Buffer], int]]) -> list[Message]:
        messages: list[Message] = []
        extend, decode = messages.extend, self._decoder.decode
        for parts, module in batch:
            try:
                extend(decode(parts, module))
            except ProtocolError as error:
                self._status.count_error(error, parts)
                if error.number is not None:
                    messages.append(_place_of(error))
            except Ignored as message:
                self._status.count_ignored(message.kind)
            except Exception as error:  # noqa: BLE001 - a site's own decoder
                self._status.count_fault(error)
        return messages

    def _pass_on(
        self,
        messages: Sequence[Message],
        arriving_bytes: int,
        now_s: float,
        drained: bool,
    ) -> None:
        before = self._ordering.held_bytes
        passed = self._ordering.push(messages, now_s, drained)
        size = max(0, arriving_bytes + before - self._ordering.held_bytes)
        live = self._deliver(passed, size, now_s)
        if live is not None:
            self._fit(size_of(live))

    def release(self) -> None:
        """Pass on what waits behind gaps: an acquisition ends, and waits no longer.

        For the receive thread, or once that is over.
        """
        before = self._ordering.held_bytes
        passed = self._ordering.release()
        self._deliver(passed, before - self._ordering.held_bytes, time.monotonic())

    def _deliver(self, passed: list[Message], size: int, now_s: float) -> Image | None:
        """Hand on what is in order; return the last image there was to see."""
        router, start = self._router, self._router.start
        strays = self._ordering.take_strays()
        orders = router.route(passed, now_s, time.time())
        if strays:
            router.count_strays(strays)
        if not (passed or orders or strays):
            return None
        live = _last_image(passed, strays)
        self._status.images += [*map(type, passed)].count(Image)
        self._status.image_bytes += size
        self._hand_on(Batch(passed, orders, start, live, router.start, size))
        return live

    def _fit(self, size: int) -> None:
        known = self._image_bytes
        if size > known * SIZE_CHANGE or size * SIZE_CHANGE < known:
            self._image_bytes = size
            self._source.fit_to(size)

    def _run_calls(self) -> None:
        if self._calls.empty():
            return
        for call in self._take_calls():
            if call.patience_s is None:
                call.settle()
                self._send_orders()
            else:
                call.deadline_s = time.monotonic() + call.patience_s
                self._after_drain.append(call)

    def _take_calls(self) -> Iterator["_Call"]:
        with suppress(queue.Empty):
            while True:
                yield self._calls.get_nowait()

    def _refuse_calls(self) -> None:
        waiting, self._after_drain = self._after_drain, []
        for call in [*waiting, *self._take_calls()]:
            call.refuse()

    def _run_after_drain(self, now_s: float, is_quiet: bool) -> None:
        waiting, self._after_drain = self._after_drain, []
        for call in waiting:
            if is_quiet or now_s >= call.deadline_s:
                call.settle()
                self._send_orders()
            else:
                self._after_drain.append(call)

    def _send_orders(self) -> None:
        orders = self._router.take_orders()
        if orders:
            start = self._router.start
            self._hand_on(Batch([], orders, start, None, start, 0))


def _place_of(error: ProtocolError) -> Image:
    """Return what holds the place of an image that could not be read."""
    return Image(
        series=error.series,
        number=error.number,
        frame=-1,
        shape=(),
        dtype="",
        encoding=NO_PIXELS,
        blobs=(),
        discard=True,
    )


def _last_image(passed: Sequence[Message], strays: Sequence[Stray]) -> Image | None:
    for message in reversed(passed):
        if type(message) is Image and message.encoding != NO_PIXELS:
            return message
    for kind, image in reversed(strays):
        if kind == "orphan" and image.encoding != NO_PIXELS:
            return image
    return None


@dataclass(slots=True)
class _Call:
    """Something to be done between two rounds."""

    do: Callable[[], Any]
    future: Future[Any]
    patience_s: float | None = None
    """How long it waits for the sockets to be empty; None: not at all."""
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
