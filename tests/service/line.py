"""The middle of the line without sockets, threads and HDF5: messages in, rows out.

The writer here keeps rows in lists, and counts with the ledger of the real one. It
asserts what that relies on: orders come in order, rows without a jump.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from srx_service.acquisitions import Acquisition, Acquisitions, ArmRequest
from srx_service.errors import WriteError
from srx_service.ledger import Ledger
from srx_service.messages import NO_PIXELS, End, Image, Message, Start
from srx_service.ordering import CounterOrdering, Limits, Ordering, SeriesOrdering
from srx_service.orders import Close, Create, Header, Holes, Order, Rewind, Rows, Tally
from srx_service.routing import Router

ROOT = Path("/nowhere")
"""Files are named under it and never made."""
FILE = str(ROOT / "a.h5")
"""The one that a Start names unless told otherwise."""
UNFIT = "unfit"
"""The encoding of images that the writer here rejects."""


def image(number: int | None, frame: int | None = None, **fields: Any) -> Image:
    frame = (number or 0) if frame is None else frame
    blob = fields.pop("blob", b"pixels")
    given = {"shape": (2, 3), "dtype": "uint8", "encoding": "none", "blobs": (blob,)}
    return Image(number=number, frame=frame, **given | fields)


def rejected(number: int, series: int | None = None) -> Image:
    """What reception makes of an image that could not be read."""
    return image(number, -1, series=series, encoding=NO_PIXELS, blobs=(), discard=True)


def images(*numbers: int, series: int | None = None) -> list[Image]:
    return [image(number, series=series) for number in numbers]


def dectris_start(series: int, **fields: Any) -> Start:
    return Start(series=series, number=-1, **fields)


def start(number: int | None = 0, name: str = "a.h5", **fields: Any) -> Start:
    return Start(number=number, filename=name, **fields)


def series(first: int, count: int) -> list[Message]:
    """A Start, so many images and an End of the generic stream."""
    end = first + 1 + count
    return [start(first), *images(*range(first + 1, end)), End(number=end)]


def dectris_series(identifier: int, count: int, **fields: Any) -> list[Message]:
    between = images(*range(count), series=identifier)
    begin = dectris_start(identifier, **fields)
    return [begin, *between, End(series=identifier)]


class FakeWriter:
    """Carries out orders in memory; every row is durable at once."""

    def __init__(self) -> None:
        self.files: dict[str, list[Image | None]] = {}
        """Rows by file; None is a hole."""
        self.broken: set[str] = set()
        """Files that cannot be made."""
        self._ledger: Ledger | None = None
        self._rows: list[Image | None] | None = None
        """Of the file that is open."""
        self._base = 0
        self._last = -1
        """Number of the last image of the series."""
        self._do: dict[type, Callable[[Any], None]] = {
            Create: self._create,
            Header: self._header,
            Rows: self._write,
            Holes: self._holes,
            Tally: self._tally,
            Rewind: self._rewind,
            Close: self._close,
        }

    def frames(self, acquisition: Acquisition) -> list[int | None]:
        """The frames in the rows of its file."""
        rows = self.files[acquisition.file or ""]
        return [None if row is None else row.frame for row in rows]

    def fail(self, text: str = "disk full") -> None:
        """Lose the file that is open, as after an error while writing."""
        if self._rows is not None and self._ledger is not None:
            self._rows = None
            self._ledger.acquisition.fail(text)

    def carry_out(self, orders: Sequence[Order]) -> None:
        for order in orders:
            acquisition = order.acquisition
            assert not acquisition.is_over, f"{order} came after the close"
            before = acquisition.counts.ever(is_over=False)
            self._do[type(order)](order)
            if self._ledger is not None:
                self._ledger.durable()
            after = acquisition.counts.ever(is_over=acquisition.is_over)
            sunk = [name for name, number in before.items() if after[name] < number]
            assert not sunk, f"{order} made totals sink: {sunk}"

    @property
    def _row(self) -> int:
        assert self._rows is not None
        return len(self._rows) - self._base

    def _ledger_of(self, acquisition: Acquisition) -> Ledger:
        ledger = self._ledger
        if ledger is None or ledger.acquisition is not acquisition:
            return Ledger(acquisition)
        return ledger

    def _create(self, order: Create) -> None:
        acquisition = order.acquisition
        file = acquisition.file
        assert file is not None
        self._ledger, self._rows, error = Ledger(acquisition), None, None
        if file in self.broken:
            error = WriteError(f"{file}: permission denied")
            acquisition.fail(str(error))
        else:
            assert order.append or file not in self.files
            self._rows = self.files.setdefault(file, [])
            self._base = len(self._rows)
        if order.done and error:
            order.done.set_exception(error)
        elif order.done:
            order.done.set_result(None)

    def _header(self, order: Header) -> None:
        assert self._rows is None or order.row == self._row
        self._last = -1

    def _tally(self, order: Tally) -> None:
        self._ledger_of(order.acquisition).tally(order)

    def _write(self, order: Rows) -> None:
        assert order.images
        ledger, count = self._ledger_of(order.acquisition), len(order.images)
        if self._rows is None:
            ledger.lost(count)
            return
        assert order.row == self._row
        rejected = []
        for index, each in enumerate(order.images):
            assert each.number is not None
            assert each.number > self._last
            self._last = each.number
            is_unfit = each.encoding == UNFIT
            self._rows.append(None if is_unfit else each)
            rejected += [(index, "does not fit")] * is_unfit
        ledger.wrote(order, count, rejected)

    def _holes(self, order: Holes) -> None:
        assert order.count > 0
        ledger = self._ledger_of(order.acquisition)
        ledger.missed(order)
        if order.row is not None and self._rows is not None:
            assert order.row == self._row
            self._rows += [None] * order.count
            ledger.left_empty(order)

    def _rewind(self, order: Rewind) -> None:
        if self._rows is not None:
            assert order.row <= self._row
            del self._rows[self._base + order.row :]
            self._ledger_of(order.acquisition).taken_back(order)
        if order.done:
            order.done.set_result(None)

    def _close(self, order: Close) -> None:
        acquisition = order.acquisition
        ledger = self._ledger_of(acquisition)
        if ledger is self._ledger:
            self._rows = self._ledger = None
        ledger.settle()
        acquisition.finish(order.state)
        assert order.done is not None
        order.done.set_result(None)


class Line:
    """Ordering, router and writer; time is what the test says."""

    def __init__(
        self,
        order: Literal["counter", "series"] = "counter",
        *,
        connections: int = 1,
        limits: Limits | None = None,
        missing: Literal["fill", "skip"] = "fill",
        write_root: Path | None = ROOT,
        idle_timeout_s: float | None = None,
        leaves_out: bool = False,
    ) -> None:
        kind = CounterOrdering if order == "counter" else SeriesOrdering
        self.ordering: Ordering = kind(limits or Limits(), connections=connections)
        self.acquisitions = Acquisitions()
        self.router = Router(
            self.acquisitions,
            dataset="/entry/instrument/detector/data",
            missing=missing,
            write_root=write_root,
            idle_timeout_s=idle_timeout_s,
            leaves_out=leaves_out,
        )
        self.writer = FakeWriter()
        self.queue: list[Order] | None = None
        """A list: orders wait there until `write`; None: they are carried out at
        once."""
        self.now_s = 0.0

    def push(
        self, *messages: Message, drained: bool = True, after_s: float = 0.0
    ) -> None:
        """Let messages arrive together, so long after the last ones."""
        self.now_s += after_s
        passed = self.ordering.push(messages, self.now_s, drained)
        strays = self.ordering.take_strays()
        orders = self.router.route(passed, self.now_s, self.now_s, strays)
        self._hand_on(orders)

    def _hand_on(self, orders: Sequence[Order]) -> None:
        if self.queue is None:
            self.writer.carry_out(orders)
        else:
            self.queue += orders

    def write(self, count: int) -> None:
        """Carry out so many of the orders that wait."""
        assert self.queue is not None
        self.writer.carry_out(self.queue[:count])
        del self.queue[:count]

    def wait(self, seconds: float, drained: bool = True) -> None:
        """Let time pass in which nothing arrives."""
        self.push(after_s=seconds, drained=drained)
        self.router.tick(self.now_s, drained)
        self._hand_on(self.router.take_orders())

    def arm(self, name: str | None = None, **fields: Any) -> Acquisition:
        """Arm for a file under ROOT and find the sockets empty."""
        acquisition = self.arm_only(name, **fields)
        self.router.begin()
        return acquisition

    def arm_only(self, name: str | None = None, **fields: Any) -> Acquisition:
        file = None if name is None else str(ROOT / name)
        request = ArmRequest(file=file, **fields)
        acquisition, _ = self.router.arm(request, self.now_s)
        self._hand_on(self.router.take_orders())
        return acquisition

    def rewind(self, acquisition: Acquisition, row: int) -> None:
        self.router.rewind(acquisition, row)
        self._hand_on(self.router.take_orders())

    def pin(self, acquisition: Acquisition, series_id: int) -> None:
        expected = acquisition.expected
        self.router.patch(acquisition, expected=expected, series_id=series_id)
        self._hand_on(self.router.take_orders())

    def stop(
        self, acquisition: Acquisition, state: Literal["done", "aborted"] = "done"
    ) -> None:
        self.router.finish(acquisition, state)
        self._hand_on(self.router.take_orders())

    @property
    def newest(self) -> Acquisition:
        return next(iter(self.acquisitions))

    def frames(self, acquisition: Acquisition | None = None) -> list[int | None]:
        """The frames in the rows of a file, of the newest acquisition by default."""
        return self.writer.frames(acquisition or self.newest)

    def counts(self, acquisition: Acquisition | None = None) -> dict[str, int]:
        """What is not zero of its counts, after checking that they add up."""
        acquisition = acquisition or self.newest
        counts = acquisition.counts
        # a file that failed cannot be rewound: its places may be counted twice
        is_whole = acquisition.is_over and acquisition.error is None
        expected = acquisition.expected if is_whole else None
        assert counts.imbalance(expected) is None
        return {name: n for name, n in counts.as_dict().items() if n}
