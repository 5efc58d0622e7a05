"""Headers as clients of the secondary port get them."""

import logging

import msgspec

from srx_service.messages import Start
from srx_service.protocols.stins import encode

logger = logging.getLogger(__name__)

UNSENDABLE = (TypeError, ValueError, OverflowError, RecursionError, NotImplementedError)
"""What encoding raises for values that JSON cannot hold."""


def with_metadata_as_sent(start: Start) -> Start:
    """Return a header with what clients of this port expect, and JSON can hold."""
    if start.metadata is None:
        return start
    metadata = {k: v for k, v in start.metadata.items() if _is_sendable(start, k, v)}
    if "count_time" in metadata:  # DECTRIS, whose clients look for it here
        metadata.setdefault("rotate", start.rotate)
    return msgspec.structs.replace(start, metadata=metadata)


def _is_sendable(start: Start, key: str, value: object) -> bool:
    try:
        encode(msgspec.structs.replace(start, metadata={key: value}), 0)
    except UNSENDABLE:
        logger.warning("metadata %r cannot be forwarded: JSON cannot hold it", key)
        return False
    return True
