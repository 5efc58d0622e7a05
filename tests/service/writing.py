"""The writer without its thread: orders in, an HDF5 file out, time as the test says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from srx_service import codecs
from srx_service.acquisitions import Acquisition, ArmRequest, State
from srx_service.h5file import FileOptions
from srx_service.messages import Image, Start
from srx_service.openfiles import OpenFiles
from srx_service.orders import Close, Create, Header, Holes, Order, Rewind, Rows
from srx_service.repair import repair
from srx_service.writer import Writer

GROUP = "/entry/instrument/eiger"
DATASET = f"{GROUP}/data"
SHAPE = (6, 8)


def pixels(frame: int, shape: Sequence[int] = SHAPE, dtype: str = "u2") -> np.ndarray:
    """The pixels of a frame: no two frames are alike."""
    return (np.arange(np.prod(shape)).reshape(shape) + 100 * frame).astype(dtype)


def image(
    frame: int,
    encoding: str = "none",
    *,
    shape: tuple[int, ...] = SHAPE,
    dtype: str = "uint16",
    parts: int = 1,
    **fields: Any,
) -> Image:
    split = np.split(pixels(frame, shape, dtype), parts)
    blobs = tuple(bytes(codecs.encode(part, encoding)) for part in split)
    given = {"shape": shape, "dtype": dtype, "encoding": encoding, "blobs": blobs}
    return Image(number=frame, frame=frame, **given | fields)


def images(*frames: int, **fields: Any) -> list[Image]:
    return [image(frame, **fields) for frame in frames]


def acquisition(file: Path | None, **request: Any) -> Acquisition:
    """One that the stream names, or a client, where a request is given."""
    dataset = request.pop("dataset", DATASET)
    origin: Literal["api", "stream"] = "api" if request else "stream"
    made = Acquisition(
        ArmRequest(**request), origin=origin, dataset=dataset, skip_missing=False
    )
    made.file = None if file is None else str(file)
    return made


class Desk:
    """A writer, and what it told."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.now_s = 100.0
        self.errors: list[str] = []
        self.notices = 0
        self.open_files = OpenFiles(folder / "state", "test")
        self.writer = Writer(
            FileOptions(**options),
            self.open_files,
            flush_interval_s=0.5,
            notify=self._count,
            on_error=self.errors.append,
            repair=lambda path, rows: repair(path, durable_rows=rows),
            clock=lambda: self.now_s,
        )

    def _count(self) -> None:
        self.notices += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything, whatever the test left open."""
        self.writer._filing.close()
        self.open_files.close()

    @property
    def file(self) -> Path:
        return self.folder / "a.h5"

    def do(self, *orders: Order) -> None:
        for order in orders:
            self.writer._carry_out(order)

    def flush(self) -> None:
        self.writer._filing.flush()

    def begin(
        self, made: Acquisition | None = None, start: Start | None = None
    ) -> Acquisition:
        """Open the file of an acquisition, and a series in it."""
        made = made or acquisition(self.file)
        self.do(Create(made, append=made.origin == "stream"))
        self.do(Header(made, start or Start(), 0))
        return made

    def write(self, made: Acquisition, *frames: Image, arrival_s: float = 5.0) -> None:
        """Give rows to images, as the router does."""
        made.counts.received += len(frames)
        row = made.rows_given
        made.rows_given += len(frames)
        self.do(Rows(made, row, list(frames), [arrival_s] * len(frames)))

    def lose(self, made: Acquisition, count: int, reason: Any = "missing") -> None:
        row = made.rows_given
        made.rows_given += count
        made.counts.received += count if reason == "rejected" else 0
        self.do(Holes(made, row, count, reason))

    def rewind(self, made: Acquisition, row: int) -> None:
        made.rows_given = row
        self.do(Rewind(made, row))

    def end(self, made: Acquisition, state: State = "done") -> Acquisition:
        self.do(Close(made, state))
        assert made.counts.imbalance(made.expected) is None
        return made

    def series(
        self, *frames: Image, start: Start | None = None, file: Path | None = None
    ) -> Acquisition:
        """Write a whole series that the stream names."""
        made = self.begin(acquisition(file or self.file), start)
        if frames:
            self.write(made, *frames)
        return self.end(made)
