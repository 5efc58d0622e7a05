"""Counters of the running line, read by HTTP and metrics; each has one owner."""

import logging
import math
import time
import traceback
from collections.abc import Callable
from typing import Any

from srx_service.errors import ProtocolError
from srx_service.messages import Buffer

logger = logging.getLogger(__name__)

EXAMPLE_BYTES = 1000
KINDS_KEPT = 50
RECEIVING_S = 0.1
"""A source that was silent for so long is not being received."""
SHOWN_AFTER_S = 1.0
"""Reading that is held for longer is told in /status."""


class Status:
    """What reception sees: messages, what could not be read, how long it was held.

    Args:
        clock: Seconds, ever growing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.messages = 0
        self.images = 0
        self.image_bytes = 0
        self.received_s = -math.inf
        """When messages came last, by the clock."""
        self.undecodable: dict[str, int] = {}
        self.examples: dict[str, dict[str, str]] = {}
        self.ignored: dict[str, int] = {}
        """Messages that carry nothing for the line, by kind."""
        self.decoder_faults = 0
        self.held_reason: str | None = None
        self._held_since: float | None = None
        self._held_s = 0.0

    def count_error(self, error: ProtocolError, parts: list[Buffer]) -> None:
        """Count a message that cannot be read; keep and log the first of its kind."""
        kind = _count(self.undecodable, error.kind)
        if self.undecodable[kind] == 1:
            example = bytes(parts[0][:EXAMPLE_BYTES]) if parts else b""
            text = example.decode(errors="backslashreplace")[:EXAMPLE_BYTES]
            self.examples[kind] = {"error": str(error)[:EXAMPLE_BYTES], "part": text}
            logger.warning("a message is dropped (further ones are counted): %s", error)

    def count_ignored(self, kind: str) -> None:
        """Count a message that carries nothing for the line."""
        _count(self.ignored, kind)

    def count_fault(self, error: Exception) -> None:
        """Count an exception out of a decoder; log the first one's traceback."""
        self.decoder_faults += 1
        if self.decoder_faults == 1:
            text = "".join(traceback.format_exception(error))
            logger.error("decoder fault (further ones are counted): %s", text)

    @property
    def held_s(self) -> float:
        """Seconds during which reading was held, in all."""
        since = self._held_since
        return self._held_s + (self._clock() - since if since is not None else 0.0)

    def hold(self, reason: str) -> None:
        """Reading stops."""
        if self._held_since is None:
            self._held_since = self._clock()
        self.held_reason = reason

    def release(self) -> None:
        """Reading goes on."""
        if self._held_since is not None:
            self._held_s += self._clock() - self._held_since
        self._held_since, self.held_reason = None, None

    @property
    def is_receiving(self) -> bool:
        """True while messages come."""
        return self._clock() - self.received_s < RECEIVING_S

    @property
    def is_held(self) -> bool:
        """True once reading has been held for long enough to be told."""
        since = self._held_since
        return since is not None and self._clock() - since >= SHOWN_AFTER_S

    def as_dict(self) -> dict[str, Any]:
        """Return what /status shows of it."""
        shown: dict[str, Any] = {
            "messages": self.messages,
            "held": self.is_held,
            "held_s": round(self.held_s, 3),
            "undecodable": dict(self.undecodable),
            "examples": dict(self.examples),
            "ignored": dict(self.ignored),
            "decoder_faults": self.decoder_faults,
        }
        if self.is_held:
            shown["held_reason"] = self.held_reason
        return shown


def _count(counts: dict[str, int], kind: str) -> str:
    """Count one more of a kind; return its name, "other" beyond KINDS_KEPT of them."""
    if kind not in counts and len(counts) >= KINDS_KEPT:
        kind = "other"
    counts[kind] = counts.get(kind, 0) + 1
    return kind
