"""What is refused, told in the log so that nobody can fill it."""

import logging

logger = logging.getLogger(__name__)


class Refusals:
    """Counts refusals by kind; tells the first, the tenth, the hundredth … of each."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def count(self, kind: str, client: str | None) -> None:
        """Count one.

        Args:
            kind: A few words of ours, nothing that a client sent.
            client: Its address.
        """
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        if count == 10 ** (len(str(count)) - 1):
            text = "refused %d times so far (%s), now for %s"
            logger.warning(text, count, kind, client)
