"""Heavy transforms in a pool, their results handed on in the order of submission.

Without a transform to apply, and with nothing under way, a batch passes straight
through.
"""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from msgspec.structs import replace

from srx_service.errors import ProtocolError
from srx_service.messages import NO_PIXELS, Image, Message, Start
from srx_service.orders import Batch, Rows

logger = logging.getLogger(__name__)

Apply = Callable[[Image, Start | None], Image]


class Workers:
    """Applies transforms to batches.

    Args:
        count: Threads; the kernels of transforms release the GIL.
        needs: Says whether images after this header are to be transformed.
        apply: The transform; what it raises makes the image one without pixels.
        hand_on: Takes each batch, in the order submitted.
    """

    def __init__(
        self,
        count: int,
        *,
        needs: Callable[[Start | None], bool],
        apply: Apply,
        hand_on: Callable[[Batch], None],
    ) -> None:
        self._count = count
        self._needs = needs
        self._apply = apply
        self._hand_on = hand_on
        self._pool: ThreadPoolExecutor | None = None
        self._under_way: queue.SimpleQueue[tuple[Batch, Future[Batch]] | None] = (
            queue.SimpleQueue()
        )
        self._put_bytes = 0
        self._done_bytes = 0
        self._put = 0
        self._done = 0
        self._idle = threading.Condition()
        self._has_failed = False

    @property
    def queued_bytes(self) -> int:
        """Bytes of the images under way."""
        return self._put_bytes - self._done_bytes

    def submit(self, batch: Batch) -> None:
        """Take a batch: at once to the next stage, or through the pool."""
        is_idle = self._put == self._done
        if is_idle and not self._concerns(batch):
            self._hand_on(batch)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._count, thread_name_prefix="transform")
        self._put += 1
        self._put_bytes += batch.size_bytes
        self._under_way.put((batch, self._pool.submit(self._transform, batch)))

    def _concerns(self, batch: Batch) -> bool:
        if self._needs(batch.start):
            return True
        if batch.live_start is batch.start:  # no header in between
            return False
        return any(type(m) is Start and self._needs(m) for m in batch.messages)

    def _transform(self, batch: Batch) -> Batch:
        start = batch.start
        changed: dict[int, Image] = {}
        messages: list[Message] = []
        for message in batch.messages:
            if isinstance(message, Start):
                start = message
            elif isinstance(message, Image) and self._needs(start):
                original, message = message, self._one(message, start)
                changed[id(original)] = message
            messages.append(message)
        for order in batch.orders:
            if isinstance(order, Rows):
                order.images = [changed.get(id(i), i) for i in order.images]
        live = batch.live
        if live is not None:
            live = changed.get(id(live), live)
        return replace(batch, messages=messages, live=live)

    def _one(self, image: Image, start: Start | None) -> Image:
        if image.encoding == NO_PIXELS:
            return image
        try:
            return self._apply(image, start)
        except (ValueError, ProtocolError) as error:
            if not self._has_failed:
                self._has_failed = True
                text = "frame %d cannot be transformed (further ones are counted): %s"
                logger.warning(text, image.frame, error)
            return replace(image, encoding=NO_PIXELS, blobs=())

    def run(self) -> None:
        """Hand results on, in order, until `stop`."""
        try:
            while (item := self._under_way.get()) is not None:
                batch, result = item
                self._hand_on(result.result())
                self._done_bytes += batch.size_bytes
                with self._idle:
                    self._done += 1
                    self._idle.notify_all()
        finally:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)

    def settle(self) -> None:
        """Wait until nothing is under way."""
        with self._idle:
            self._idle.wait_for(lambda: self._put == self._done)

    def stop(self) -> None:
        """Let `run` return once all that was submitted is handed on."""
        self._under_way.put(None)
