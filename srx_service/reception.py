"""The receive thread: sockets → decoder → ordering → rows → batches.

It alone owns source, ordering and router; whoever wants something of them calls
`call`, and it is done between two rounds.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Literal, TypeVar

from srx_service.calls import Calls
from srx_service.errors import Ignored, ProtocolError
from srx_service.messages import NO_PIXELS, Buffer, Image, Message
from srx_service.ordering import Ordering, Stray, size_of
from srx_service.orders import Batch
from srx_service.protocols import Decoder, RunDecoder
from srx_service.rescue import Rescue
from srx_service.routing import Router
from srx_service.source import COPY_BELOW_BYTES, Socket, Source
from srx_service.status import Status
from srx_service.turns import Turns

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
RESUME_AT = 3 / 4
"""Of the limit: reading resumes once the queues have sunk to this. In small steps more
is paid for changing places; in larger ones ZeroMQ's share does not bridge the pause."""
MANY = 4
"""Messages in a batch, from which on they are decoded together where that is known."""
SIZE_CHANGE = 1.5
"""A change of image size by this factor sets the high-water marks anew."""


class Reception:
    """Receives until it is stopped; `run` is the body of its thread.

    Args:
        hand_on: Takes each batch to the next stage; never waits. is_full: Why reading
        is to be held now, or None; told whether it is held already. turns: Taken with
        the writer. drain_timeout_s: An arm or stop waits at most so long for the
        sockets to be empty. rescue: Looks for the rest of a series that a crash
        interrupted.
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
        turns: Turns,
        drain_timeout_s: float,
        rescue: Rescue | None = None,
    ) -> None:
        self._source = source
        self._decoder = decoder
        self._run_decoder = decoder if isinstance(decoder, RunDecoder) else None
        self._ordering = ordering
        self._router = router
        self._status = status
        self._hand_on = hand_on
        self._is_full = is_full
        self._drain_timeout_s = drain_timeout_s
        self._turns = turns
        self._rescue = rescue
        self._calls = Calls(source.wake, self._send_orders)
        self._is_held = False
        self._is_stopping = False
        self._image_bytes = 0
        self._joining_bytes = 0
        """Read since the last message: of modules, say, that wait for another."""
        self._ticked_s = 0.0

    @property
    def ticked_s(self) -> float:
        """When it last looked after what waits for its time, by the monotonic clock."""
        return self._ticked_s

    # -- requests, from any thread ----------------------------------------------------

    def call(self, do: Callable[[], T]) -> Future[T]:
        """Have something done between two rounds."""
        return self._calls.put(do)

    def call_after_drain(self, do: Callable[[], T]) -> Future[T]:
        """Have something done once the sockets are empty, or after the timeout."""
        return self._calls.put(do, self._drain_timeout_s)

    def stop(self) -> None:
        """Let `run` return after this round."""
        self._is_stopping = True
        self._source.wake()

    @property
    def lost(self) -> int:
        """Messages that never came, by the numbers left out; since the start."""
        return self._ordering.lost

    # -- the thread -------------------------------------------------------------------

    def run(self) -> None:
        """Receive, round after round, until `stop`."""
        try:
            while not self._is_stopping:
                self._round()
            self._calls.run()
            self._calls.run_after_drain(time.monotonic(), is_quiet=True)
        finally:
            self._calls.end()
            self._source.close()

    def _round(self) -> None:
        self._calls.run()
        self._hold_or_resume()
        ready = self._source.poll(self._timeout_ms())
        is_our_turn = self._turns.take()
        try:
            now_s, drained = self._take_in(ready)
        finally:
            if is_our_turn:
                self._turns.give_back()
        if self._calls.are_waiting:
            is_quiet = drained and now_s - self._status.received_s >= QUIET_S
            self._calls.run_after_drain(now_s, is_quiet=is_quiet)
        if now_s - self._ticked_s >= TICK_S:
            self._ticked_s = now_s
            self._source.mend(now_s)
            self._router.tick(now_s, drained)
            self._send_orders()

    def _take_in(self, ready: Sequence[Socket]) -> tuple[float, bool]:
        """Hand on a batch; return when it came, and whether all was read."""
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
        return now_s, drained

    def _timeout_ms(self) -> int:
        if self._is_held:
            return POLL_HELD_MS
        if self._calls.are_waiting:
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

    def _decode(self, batch: Sequence[tuple[list[Buffer], int]]) -> Sequence[Message]:
        run = self._run_of(batch) if len(batch) >= MANY else None
        return self._one_by_one(batch) if run is None else run

    def _run_of(
        self, batch: Sequence[tuple[list[Buffer], int]]
    ) -> Sequence[Message] | None:
        """Return what a batch is that can be decoded at once."""
        decoder = self._run_decoder
        run = None if decoder is None else decoder.decode_run(batch)
        if decoder is not None and run is not None:
            is_small = size_of(run[-1]) < COPY_BELOW_BYTES
            self._source.expect(decoder.beginning if is_small else b"")
        return run

    def _one_by_one(
        self, batch: Sequence[tuple[list[Buffer], int]]
    ) -> Sequence[Message]:
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
        if self._rescue is not None:
            messages = self._rescued(messages, "series")
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
        if self._rescue is not None:
            passed = self._rescued(passed, "counter")
        router, start = self._router, self._router.start
        strays = self._ordering.take_strays()
        orders = router.route(passed, now_s, time.time(), strays)
        if not (passed or orders or strays):
            return None
        live = _last_image(passed, strays)
        self._status.images += [*map(type, passed)].count(Image)
        self._status.image_bytes += size
        self._hand_on(Batch(passed, orders, start, live, router.start, size))
        return live

    def _rescued(
        self, messages: Sequence[Message], order: Literal["counter", "series"]
    ) -> list[Message]:
        """Return them with a Start, where the rest of a series would have none."""
        rescue = self._rescue
        assert rescue is not None
        if rescue.is_over or self._router.current is not None:
            self._rescue = None
        elif rescue.order == order:
            return rescue.begin(messages)
        return [*messages]

    def _fit(self, size: int) -> None:
        known = self._image_bytes
        if size > known * SIZE_CHANGE or size * SIZE_CHANGE < known:
            self._image_bytes = size
            self._source.fit_to(size)

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
    for kind, image, _ in reversed(strays):
        if kind == "orphan" and image.blobs:
            return image
    return None
