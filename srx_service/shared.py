"""The last chunk of a dataset whose chunks hold several frames.

HDF5 takes direct chunks whole: frames wait here until theirs is full, and at each flush
it is written as far as it goes, the rest filled up, to be written again later.
"""

from collections.abc import Callable, Sequence

import h5py

from srx_service.messages import Buffer


class SharedChunk:
    """Puts frames together to chunks.

    Args:
        dataset: Of the frames.
        frames: In a chunk.
        put: Writes a chunk.
        fill: A frame that is missing.
        mask: Filter mask of what is written, which is not compressed.
    """

    def __init__(
        self,
        dataset: h5py.Dataset,
        frames: int,
        *,
        put: Callable[..., None],
        fill: bytes,
        mask: int,
    ) -> None:
        self._dataset = dataset
        self._put = put
        self._frames = frames
        self._fill = fill
        self._mask = mask
        self._tail = (0,) * (dataset.ndim - 1)
        self._pending: list[Buffer] = []
        self._is_dirty = False
        self.rows: int = 0
        """Of the dataset, those that wait included."""
        self.reload()

    def extend(self, blobs: Sequence[Buffer]) -> None:
        """Take frames for the rows that follow.

        Where the storage refuses, `rows` tells what was taken before.
        """
        pending = [*self._pending, *blobs]
        first, done = self.rows - len(self._pending), 0
        while len(pending) - done >= self._frames:
            self._write(first + done, pending[done : done + self._frames])
            done += self._frames
            self.rows, self._pending, self._is_dirty = first + done, [], False
        if blobs:
            self._pending = pending[done:]
            self._is_dirty = bool(self._pending)
            self.rows = first + len(pending)

    def _write(self, row: int, blobs: Sequence[Buffer]) -> None:
        chunk = b"".join(blobs)
        self._put((row, *self._tail), chunk, filter_mask=self._mask)

    def skip(self, count: int) -> None:
        """Leave rows empty; a chunk with no frame at all is not written."""
        here = min(count, -self.rows % self._frames)
        self.extend([self._fill] * here)
        behind = (count - here) % self._frames
        self.rows += count - here - behind
        self.extend([self._fill] * behind)

    def settle(self) -> None:
        """Write the chunk that is not yet full."""
        if self._is_dirty:
            missing = self._frames - len(self._pending)
            first = self.rows - len(self._pending)
            self._write(first, [*self._pending, *[self._fill] * missing])
            self._is_dirty = False

    def reload(self, *, is_cut: bool = False) -> None:
        """Read back what the last chunk holds, after the dataset was cut or opened.

        HDF5 writes a chunk that it has cut by its own means, not as we do: it is
        written once more.
        """
        self.rows = self._dataset.shape[0]
        count = self.rows % self._frames
        frames = self._dataset[self.rows - count : self.rows] if count else ()
        self._pending = [frame.tobytes() for frame in frames]
        self._is_dirty = is_cut and count > 0
