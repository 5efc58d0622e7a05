"""What grows in the file beside the rows: headers, losses, counts.

Made before SWMR begins, kept in memory between flushes. Each is opened when it is first
needed: a series without losses opens half of them.
"""

import h5py
import numpy as np

from srx_service import layout
from srx_service.extendable import Extendable
from srx_service.orders import LossReason


class Logs:
    """The logs of one file; those that the file lacks are not kept.

    Args:
        file: With the detector's group.
        dataset: Of the frames, whose rows may be lost.
    """

    def __init__(self, file: h5py.File, dataset: str) -> None:
        self._file = file
        self._dataset = dataset
        self._found: dict[str, Extendable | None] = {}
        self._lines: list[bytes] = []
        self._losses: list[tuple[int, int]] = []
        self._counts: list[int] = []
        self._count_row: int | None = None

    def add_line(self, line: str) -> None:
        """Keep what the source says of a series."""
        self._lines.append(line.encode() + b"\n")

    def add_losses(self, rows: list[int] | range, reason: LossReason) -> None:
        """Keep rows that are empty, and why."""
        code = layout.REASONS[reason]
        self._losses.extend((row, code) for row in rows)

    def add_counts(self) -> None:
        """Add the row for the counts of this acquisition."""
        log = self._find(layout.COUNTS_PATH)
        if log is not None and self._count_row is None:
            self._count_row = log.rows
            log.resize(log.rows + 1)

    def write(self, counts: list[int]) -> None:
        """Write what was kept since the last call, and the counts if they changed."""
        self._write_losses()
        if self._lines:
            lines, self._lines = b"".join(self._lines), []
            self._append(layout.HEADER_LOG, np.frombuffer(lines, np.uint8))
        if self._count_row is None or counts == self._counts:
            return
        log = self._find(layout.COUNTS_PATH)
        if log is not None:
            # a file of before has a column less
            width = log.row_shape[0]
            log.put(self._count_row, np.array([counts[:width]], log.dtype))
            self._counts = counts

    def truncate(self, rows: int) -> None:
        """Forget the losses of the rows from `rows` on."""
        self._write_losses()
        listed, reasons = self._find(layout.MISSING), self._find(layout.REASON)
        if listed is not None and reasons is not None:
            kept = int(np.count_nonzero(listed.read() < rows))
            listed.resize(kept)
            reasons.resize(kept)

    def _write_losses(self) -> None:
        if self._losses:
            rows, reasons = zip(*self._losses, strict=True)
            self._losses.clear()
            self._append(layout.MISSING, np.array(rows, np.uint64))
            self._append(layout.REASON, np.array(reasons, np.uint8))

    def _append(self, name: str, values: np.ndarray) -> None:
        log = self._find(name)
        if log is not None:
            log.append(values)

    def _find(self, name: str) -> Extendable | None:
        if name not in self._found:
            group = layout.group_of(self._file, self._dataset)
            self._found[name] = Extendable.find(group, name)
        return self._found[name]
