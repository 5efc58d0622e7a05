"""Every message again, as the generic stream, to live processing on the secondary port.

To whom: see `To`. `msg_number` is the service's own counter and has no gaps: it is
given after the decision to drop.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Literal

from srx_service.curve import ServerKeys
from srx_service.exposure import exposure_of
from srx_service.fanout import Fanout
from srx_service.headers import UNSENDABLE, with_metadata_as_sent
from srx_service.marks import InTurn, ToAll
from srx_service.messages import NO_PIXELS, End, Image, Message, Start
from srx_service.ordering import size_of
from srx_service.outlet import HIGH_WATER_MARK, Outlet
from srx_service.protocols.stins import encode
from srx_service.publication import Publication

logger = logging.getLogger(__name__)

QUEUE_SHARE = 1 / 4
"""Of `limit_bytes`: what the queue has at least, however much is in ZeroMQ's pipes."""
PATIENCE_MS = 20
"""How long an image waits for a client that takes none before images are dropped."""
SAMPLED_EVERY_S = 0.1
"""While the file is behind, clients get an image so often."""
FAREWELL_S = 0.7
"""How long, at the end, what is queued may wait for clients in all."""
To = Literal["one", "all", "subscribers"]
"""Who gets headers and ends: one client, as every message; all of them, while images go
to one; or whoever subscribes, who gets images too."""


class Forwarder:
    """The secondary port.

    Without a client, messages are passed over. With one that is too slow, images are
    dropped and counted, headers and ends kept for it, or the line waits. What is in the
    pipe of a client that dies is lost, and counts as sent.

    Args:
        address: ZeroMQ's, as "tcp://*:5556"; port 0: any free one.
        limit_bytes: What may wait for the clients, ZeroMQ's own pipes included.
        on_slow_client: "drop", or "wait", where `is_full` is to hold the line.
        to: Who gets headers and ends.
    """

    def __init__(
        self,
        *,
        address: str,
        limit_bytes: int,
        on_slow_client: Literal["drop", "wait"],
        to: To = "one",
    ) -> None:
        self.endpoint = address
        """What it is bound to; the true port once it is open."""
        self.clients = 0
        """Those whose handshake succeeded, and who are still connected."""
        self.sent_images = 0
        self.sent_bytes = 0
        """Of images, their headers included."""
        self._to: To = to
        self._limit_bytes = limit_bytes
        self._frame_bytes = 0
        """The largest of this series."""
        self._must_wait = on_slow_client == "wait"
        self._queue: deque[tuple[Sequence[Message], int]] = deque()
        # Each is written by one thread alone, so that none needs a lock:
        self._put_bytes, self._refused, self._sampled_s = 0, 0, 0.0  # the line's
        self._taken_bytes, self._dropped = 0, 0  # ours
        self._is_asleep = self._is_stopping = self._is_closed = False
        self._start: Start | None = None
        """The header of the open series, which a first client gets first."""
        self._exposure_s: float | None = None
        self._is_patient = True
        self._number = 0

    # -- the line's side ---------------------------------------------------------------

    def put(
        self, messages: Sequence[Message], size_bytes: int, *, is_behind: bool = False
    ) -> None:
        """Take a batch, which the caller does not change any more.

        Args:
            messages: In order.
            size_bytes: Of its images.
            is_behind: The file is behind: unless a client is waited for, it comes first
                and only some images are forwarded.
        """
        if self._is_closed:
            return
        if not self.clients or (self._is_at_limit and not self._must_wait):
            # then only headers and ends matter
            messages, size_bytes = self._with_one(None, messages)
        elif is_behind and not self._must_wait:
            messages, size_bytes = self._with_one(self._sample(messages), messages)
        if not messages:
            return
        self._queue.append((messages, size_bytes))
        self._put_bytes += size_bytes
        if self._is_asleep:
            self._outlet.ring()

    def _with_one(
        self, chosen: Image | None, messages: Sequence[Message]
    ) -> tuple[Sequence[Message], int]:
        """Return the messages without images, but for one; and the bytes of that."""
        kept = [m for m in messages if type(m) is not Image or m is chosen]
        if self.clients:
            unread = [m.encoding for m in messages if type(m) is Image].count(NO_PIXELS)
            self._refused += len(messages) - len(kept) - unread
        return kept, 0 if chosen is None else size_of(chosen)

    def _sample(self, messages: Sequence[Message]) -> Image | None:
        """Return the last image, if it is time for one."""
        now_s = time.monotonic()
        if now_s < self._sampled_s + SAMPLED_EVERY_S:
            return None
        images = [m for m in messages if type(m) is Image and m.encoding != NO_PIXELS]
        if not images:
            return None
        self._sampled_s = now_s
        return images[-1]

    @property
    def _is_at_limit(self) -> bool:
        return self.queued_bytes >= self.queue_limit

    @property
    def queued_bytes(self) -> int:
        """What waits for our thread; ZeroMQ's pipes come on top."""
        return self._put_bytes - self._taken_bytes

    @property
    def queue_limit(self) -> int:
        """What may wait for our thread: the limit without what the pipes may hold."""
        in_pipes = self.clients * HIGH_WATER_MARK * self._frame_bytes
        return max(self._limit_bytes - in_pipes, int(self._limit_bytes * QUEUE_SHARE))

    @property
    def is_full(self) -> bool:
        """True while the line should hold reading, for a client that is waited for."""
        return self._must_wait and self._is_at_limit

    @property
    def dropped_images(self) -> int:
        """Images that no client got, though one should have; they were too slow."""
        return self._refused + self._dropped

    @property
    def missed(self) -> int:
        """Messages that some subscriber did not get; others may have."""
        return self._outlet.missed if isinstance(self._outlet, Publication) else 0

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self.endpoint.rpartition(":")[2])

    # -- life --------------------------------------------------------------------------

    def open(self, keys: ServerKeys | None = None) -> None:
        """Bind; with keys (of no use to "all") for the clients that they name alone.

        Raises:
            ConfigError: The port is taken, or not ours to take.
        """
        if self._to == "all":
            self._outlet = Fanout(self.endpoint)
            self._marks = ToAll(self._outlet)
        else:
            made = Outlet if self._to == "one" else Publication
            self._outlet = made(self.endpoint, keys)
            self._marks = InTurn(self._outlet)
        self.endpoint = self._outlet.endpoint

    def run(self) -> None:
        """Forward until `stop`; the body of a thread of its own."""
        try:
            while not self._is_stopping:
                self._watch()
                self._send_pending()
                if self._queue:
                    self._forward(*self._queue.popleft())
                else:
                    self._sleep()
            while self._queue:
                self._forward(*self._queue.popleft())
        finally:
            self.close()

    def stop(self) -> None:
        """Let `run` send what is queued, as far as clients take it, and end."""
        self._farewell_s = time.monotonic() + FAREWELL_S
        self._is_stopping = True
        self._outlet.ring()

    def close(self) -> None:
        """Unbind; for who has called `open`, but not `run`."""
        if not self._is_closed:
            self._is_closed = True
            self._queue.clear()
            self._outlet.close()

    def _sleep(self) -> None:
        self._is_asleep = True
        # Looked at again: what was put before the flag was set rang no bell.
        if not self._queue and not self._is_stopping:
            self._outlet.poll(-1, for_room=self._marks.are_waiting)
        self._is_asleep = False

    def _watch(self) -> None:
        for had, clients in self._outlet.changes():
            self.clients = clients
            logger.info("%s: %d clients", self.endpoint, clients)
            self._is_patient = True
            self._marks.changed(had, clients, self._start)

    # -- messages ----------------------------------------------------------------------

    def _forward(self, messages: Sequence[Message], size_bytes: int) -> None:
        for message in messages:
            if not isinstance(message, Image):
                self._mark(message)
            elif self.clients and message.encoding != NO_PIXELS:
                self._image(message)
        self._taken_bytes += size_bytes

    def _mark(self, message: Start | End) -> None:
        if isinstance(message, Start):
            message = with_metadata_as_sent(message)
            self._start = message
            self._exposure_s = exposure_of(message)
            self._frame_bytes = 0
        else:
            self._start = None
        if not self.clients:
            return
        self._marks.add(message)
        while self.clients and not self._send_pending() and self._wait():
            pass

    def _send_pending(self) -> bool:
        """Send the headers and ends that wait; False if some still do."""
        if not self._marks.are_waiting:
            return True
        before, self._number = self._number, self._marks.send(self._number)
        self._is_patient |= self._number != before
        return not self._marks.are_waiting

    def _image(self, image: Image) -> None:
        while self.clients:
            if self._send_pending() and self._send_image(image):
                return
            if not self._wait():
                self._dropped += self.clients > 0
                return

    def _send_image(self, image: Image) -> bool:
        """Send it; True as well where it can never be sent."""
        try:
            parts = encode(image, self._number, self._exposure_s)
        except UNSENDABLE:
            logger.exception("frame %d cannot be forwarded", image.frame)
            self._dropped += 1
            return True
        size = sum(map(len, parts))
        self._frame_bytes = max(self._frame_bytes, size)
        if not self._outlet.send(parts):
            return False
        self._number += 1
        self._is_patient = True
        self.sent_images += 1
        self.sent_bytes += size
        return True

    def _wait(self) -> bool:
        """Wait for room; False where it is no use to try again."""
        timeout_ms = self._timeout_ms()
        if timeout_ms == 0:
            return False
        self._is_patient = self._outlet.poll(timeout_ms, for_room=True)
        self._watch()
        return self._is_patient

    def _timeout_ms(self) -> int:
        """Return how long to wait for room; -1: as long as it takes."""
        if self._is_stopping:
            return max(0, int((self._farewell_s - time.monotonic()) * 1000))
        if self._must_wait:
            return -1
        return PATIENCE_MS if self._is_patient else 0
