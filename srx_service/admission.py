"""Whether what a client asks for has room on the disk, before the detector begins."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from srx_service.acquisitions import Acquisition, ArmRequest
from srx_service.confinement import api_path
from srx_service.errors import RequestError
from srx_service.forecast import amount
from srx_service.mounts import Room, look
from srx_service.space import Space

PATIENCE_S = 2.5
"""Less than clients wait, 3 s of a Bluesky device: they learn that it is the disk."""
TITLE = "no room on the disk"


class Admission:
    """Refuses with 507 what cannot be written whole.

    Args:
        space: Knows the disk.
        write_root: Under which files may be written.
    """

    def __init__(self, space: Space, write_root: Path | None) -> None:
        self._space = space
        self._root = write_root

    async def must_fit(self, request: ArmRequest) -> None:
        """Look at the disk that a file is asked for on.

        Raises:
            RequestError: 507, it is full, is too small for the frames expected, or does
                not answer.
        """
        file, root = request.file, self._root
        if file is None or self._space.keep_free is None:
            return
        asked = self._space.ask(lambda: look(api_path(file, root).parent))
        try:
            async with asyncio.timeout(PATIENCE_S):
                room = await asyncio.wrap_future(asked)
        except RequestError:
            return  # a name that may not be: told in its turn, as where it is busy
        except TimeoutError:
            text = (
                f"the disk of {file} gave no answer within {PATIENCE_S:g} s: is its "
                "server gone?"
            )
            raise RequestError(507, "the disk does not answer", text) from None
        except OSError as error:
            text = f"the disk of {file} cannot be looked at: {error.strerror}"
            raise RequestError(507, "the disk does not answer", text) from error
        self._must_hold(room, request.expected, request.shape, request.dtype)

    def must_hold(self, acquisition: Acquisition, expected: int | None) -> None:
        """See that the frames fit that are now to be expected; who knows asks no disk.

        Raises:
            RequestError: 507, they do not.
        """
        free_bytes = self._space.free_bytes
        if acquisition.file is None or expected is None or free_bytes is None:
            return
        if self._space.keep_free is None or expected <= (acquisition.expected or 0):
            return
        folder = Path(acquisition.file).parent
        more = max(0, expected - acquisition.places_given)
        shape, dtype = acquisition.shape, acquisition.dtype
        self._must_hold(Room(folder, folder, free_bytes), more, shape, dtype)

    def _must_hold(
        self,
        room: Room,
        frames: int | None,
        shape: Sequence[int] | None,
        dtype: str | None,
    ) -> None:
        keep_free = self._space.keep_free or 0
        left_bytes = room.free_bytes - keep_free
        there = (
            f"{room.folder} has {amount(room.free_bytes)} free, of which "
            f"{amount(keep_free)} stay free (keep_free)"
        )
        if left_bytes <= 0:
            raise RequestError(507, TITLE, f"{there}: free space first")
        size = self._space.forecast.size_of(shape, dtype)
        if frames is None or size is None or frames * size.nbytes <= left_bytes:
            return
        how = "each as the last ones" if size.is_measured else "uncompressed"
        fit = int(left_bytes / size.nbytes)
        text = f"{there}; {frames} frames take {amount(frames * size.nbytes)} ({how})"
        if not size.is_measured:
            text += ", what they take compressed is known after a first, shorter one"
        raise RequestError(
            507, TITLE, f"{text}: {fit} fit; free space, or ask for less"
        )
