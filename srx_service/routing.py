"""Messages to orders: the book-keeping of the receive thread.

Messages come in order; a jump of `number` is frames that are missing. What leaves are
orders to the writer, in which rows have no jump and every loss is spelled out. Between
two batches clients' requests are carried out here, too.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from operator import attrgetter
from pathlib import Path
from typing import Literal

from srx_service.acquisitions import Acquisition, Acquisitions, ArmRequest, State
from srx_service.binding import Binding
from srx_service.books import Books
from srx_service.confinement import api_path
from srx_service.errors import RequestError
from srx_service.messages import NO_PIXELS, End, Image, Message, Start
from srx_service.ordering import Stray, StrayKind
from srx_service.ordering.holding import Clock, are_images_from
from srx_service.orders import Order

_DISCARD = attrgetter("discard")
GIVES_WAY_S = 10.0
"""A series named by the stream that is silent for so long gives way to an arm."""


class Router:
    """Messages and requests in, orders out. Used by the receive thread alone."""

    def __init__(
        self,
        acquisitions: Acquisitions,
        *,
        dataset: str,
        missing: Literal["fill", "skip"],
        write_root: Path | None,
        idle_timeout_s: float | None,
        leaves_out: bool = False,
    ) -> None:
        self._write_root = write_root
        self._books = Books(leaves_out=leaves_out)
        self._binding = Binding(
            acquisitions,
            self._books,
            dataset=dataset,
            missing=missing,
            write_root=write_root,
            idle_timeout_s=idle_timeout_s,
        )
        self._clock = Clock()
        self._active_s = 0.0
        """When the last message came, by the clock."""
        self._arrival_s = 0.0
        self.start: Start | None = None
        """The header in force, for live view and forwarding."""
        self.received = 0
        """Images since the last header, the predecessor's `received_frames`."""
        self.orphans = 0

    @property
    def current(self) -> Acquisition | None:
        """The acquisition that is armed or running."""
        return self._binding.current

    def take_orders(self) -> list[Order]:
        """Return the orders given since the last call."""
        return self._books.take_orders()

    # -- messages ---------------------------------------------------------------------

    def route(
        self,
        messages: Sequence[Message],
        now_s: float,
        arrival_s: float,
        strays: Sequence[Stray] = (),
    ) -> list[Order]:
        """Return the orders that these messages, in order, amount to.

        Args:
            messages: What is in order.
            now_s: By the monotonic clock.
            arrival_s: By the wall clock.
            strays: Images that found no place: each is counted with the acquisition it
                came into.
        """
        if messages:
            self._clock.advance(now_s, drained=False)
            self._active_s = self._clock.now
        self._arrival_s = arrival_s
        done = 0
        for kind, image, place in strays:
            self._route(messages[done:place])
            self._count_stray(kind, image)
            done = place
        self._route(messages[done:] if done else messages)
        return self._books.take_orders()

    def _route(self, messages: Sequence[Message]) -> None:
        binding = self._binding
        expected = -1 if binding.bound is None else binding.next
        if are_images_from(messages, expected) and not any(map(_DISCARD, messages)):
            self._end_run([*messages])
            return
        run: list[Image] = []
        for message in messages:
            if (
                type(message) is Image
                and message.number == expected
                and not message.discard
            ):
                run.append(message)
                expected += 1
                continue
            self._end_run(run)
            run = []
            self._out_of_run(message)
            expected = -1 if binding.bound is None else binding.next
        self._end_run(run)

    def _end_run(self, run: list[Image]) -> None:
        acquisition = self._binding.bound
        if run and acquisition is not None:
            self.received += len(run)
            self._binding.next += len(run)
            self._books.write(acquisition, run, self._arrival_s)

    def _out_of_run(self, message: Message) -> None:
        match message:
            case Start():
                self.start, self.received = message, 0
                self._binding.begin(message)
            case Image():
                self._on_image(message)
            case End():
                self._on_end(message)

    def _on_image(self, image: Image) -> None:
        """An image discarded, without pixels, after a loss, or not bound."""
        acquisition = self._binding.bound
        if acquisition is None:
            self._unbound(image)
            return
        self._miss_until(image.number, acquisition)
        if image.encoding == NO_PIXELS:
            self._binding.next += 1
            self._books.reject(acquisition)
        elif image.discard:
            self._binding.next += 1
            self.received += 1
            self._books.discard(acquisition)
        else:
            self._end_run([image])

    def _on_end(self, end: End) -> None:
        acquisition = self._binding.bound
        if acquisition is not None:
            self._miss_until(end.number, acquisition)
        self._binding.end()

    def _miss_until(self, number: int | None, acquisition: Acquisition) -> None:
        if number is not None:
            self._books.miss(acquisition, number - self._binding.next)
            self._binding.next = number

    def _unbound(self, image: Image) -> None:
        current = self._binding.current
        if current is None:
            self._orphan(image)
        else:
            current.counts.received += 1
            current.counts.stale += 1

    def _orphan(self, image: Image) -> None:
        if image.encoding != NO_PIXELS:
            self.received += 1
            self.orphans += 1

    def _count_stray(self, kind: StrayKind, image: Image) -> None:
        acquisition = self._binding.current
        if acquisition is None or kind == "orphan":
            self._orphan(image)
            return
        counts = acquisition.counts
        counts.received += 1
        match kind:
            case "late":
                counts.late += 1
            case "duplicate":
                counts.duplicate += 1
            case "stale" | "rejected":
                counts.stale += 1

    # -- requests ---------------------------------------------------------------------

    def arm(
        self, request: ArmRequest, now_s: float
    ) -> tuple[Acquisition, Future[None]]:
        """Make the acquisition a client asks for; what comes until `begin` is stale.

        Raises:
            RequestError: 409 busy, 422 a file that may not be written.
        """
        self._clock.advance(now_s, drained=True)
        in_the_way = self._binding.current
        if in_the_way is not None:
            self._must_give_way(in_the_way)
        path = None
        if request.file is not None:
            path = str(api_path(request.file, self._write_root))
        if in_the_way is not None:
            self._binding.close(in_the_way, "done")
        created = self._binding.arm(request, path)
        assert self._binding.current is not None
        return self._binding.current, created

    def arm_again(self, request: ArmRequest, identifier: str) -> Acquisition:
        """Arm what was armed at a crash, with its file made anew; see `take_orders`."""
        return self._binding.arm_again(request, identifier)

    def begin(self) -> None:
        """From here on a Start binds: what came before the arm has been read."""
        self._binding.is_draining = False

    def _must_give_way(self, busy: Acquisition) -> None:
        silent_s = self._clock.now - self._active_s
        if busy.origin == "stream" and silent_s >= GIVES_WAY_S:
            return
        text = (
            f"acquisition {busy.id} is {busy.state}, file {busy.file or 'none'}; "
            f"POST /api/v1/acquisitions/{busy.id}/stop or /abort ends it"
        )
        raise RequestError(409, "busy", text)

    def patch(
        self, acquisition: Acquisition, *, expected: int | None, series_id: int | None
    ) -> None:
        """Set what was not known when it was armed.

        Raises:
            RequestError: 409, it is over, or has more frames than are now expected.
        """
        _must_live(acquisition)
        places = acquisition.places_given
        if expected is not None and expected < places:
            text = f"{places} frames have come already, {expected} cannot be expected"
            raise RequestError(409, "too late", text)
        acquisition.expected = expected
        if series_id is not None:
            self._binding.pin(acquisition, series_id)

    def rewind(self, acquisition: Acquisition, row: int) -> Future[None]:
        """Take back rows; the bound series is over, the next Start goes on at `row`.

        Raises:
            RequestError: 409, it is over, or has not so many rows.
        """
        _must_live(acquisition)
        if not 0 <= row <= acquisition.rows_given:
            text = f"rows 0 to {acquisition.rows_given} can be rewound to, not {row}"
            raise RequestError(409, "no such row", text)
        return self._binding.rewind(acquisition, row)

    def finish(self, acquisition: Acquisition, state: State) -> Future[None]:
        """Stop or abort: close with what is there; told once it is closed."""
        return self._binding.close(acquisition, state)

    # -- time -------------------------------------------------------------------------

    def tick(self, now_s: float, drained: bool = True) -> None:
        """End what has been silent or forgotten for too long; see `take_orders`.

        Silence counts only while the sockets are found empty: with `drained` false the
        receiver is behind, or reading is held.
        """
        self._clock.advance(now_s, drained)
        acquisition = self._binding.current
        if acquisition is None:
            return
        idle_s = acquisition.request.idle_timeout_s
        silent_s = self._clock.now - self._active_s
        lease_s = acquisition.lease_until_s
        if acquisition.is_series_open and idle_s is not None and silent_s >= idle_s:
            self._binding.fail(acquisition, f"no message for {idle_s} s (idle_timeout)")
            self._binding.close(acquisition, "done")
        elif lease_s is not None and now_s > lease_s:
            text = f"client gone: no call for {acquisition.request.lease_s} s"
            acquisition.fail(text)
            self._binding.close(acquisition, "aborted")
        elif acquisition.error is not None and acquisition.origin == "api":
            self._binding.close(acquisition, "done")


def _must_live(acquisition: Acquisition) -> None:
    if acquisition.closing is not None:
        text = f"acquisition {acquisition.id} is {acquisition.state} already"
        raise RequestError(409, "over", text)
