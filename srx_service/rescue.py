"""The Start of a series whose own came before a crash: made up, to keep the rest.

What still comes of an interrupted series has no Start, and would be shown but not
written. With one in front of its first image the rest of the line takes it as a series
of its own, in a file beside the first.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from srx_service.messages import NO_PIXELS, Image, Message, Start

logger = logging.getLogger(__name__)


class Rescue:
    """Looks for the first image after a crash. Used by the receive thread alone.

    Args:
        file: Of the acquisition that was interrupted.
        acquisition: Its id.
        order: Of the stream. In order of a counter, messages are looked at once they
            are ordered; images of a series have no order without their Start.
    """

    def __init__(
        self, file: Path, acquisition: str, order: Literal["counter", "series"]
    ) -> None:
        self.order = order
        self.is_over = False
        """True from the first image, Start or End on."""
        self._file = file
        self._acquisition = acquisition

    def begin(self, messages: Sequence[Message]) -> list[Message]:
        """Return the messages, with a Start if the first of them is an image."""
        for place, message in enumerate(messages):
            if not isinstance(message, Image):
                self.is_over = True
                break
            if message.encoding != NO_PIXELS and message.number is not None:
                self.is_over = True
                start = self._start(message, message.number)
                return [*messages[:place], start, *messages[place:]]
        return [*messages]

    def _start(self, image: Image, number: int) -> Start:
        file = rescued_name(self._file)
        text = "images come of acquisition %s, which was interrupted: they go to %s"
        logger.warning(text, self._acquisition, file)
        return Start(
            series=image.series,
            number=number - 1,
            filename=str(file),
            metadata={
                "rescued_acquisition": self._acquisition,
                "rescued_file": str(self._file),
            },
        )


def rescued_name(file: Path) -> Path:
    """Return the first free name of a file for what comes after another was broken off.

    /data/a.h5 gives /data/a_rescued_1.h5.
    """
    k = 1
    while (name := file.with_name(f"{file.stem}_rescued_{k}{file.suffix}")).exists():
        k += 1
    return name
