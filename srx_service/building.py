"""The stages of a line from one configuration; `service` joins them and owns them."""

import logging
import os
from importlib.metadata import PackageNotFoundError, version

from srx_service.config import DetectorConfig
from srx_service.h5file import FileOptions
from srx_service.ordering import CounterOrdering, Limits, Ordering, SeriesOrdering
from srx_service.source import Source
from srx_service.writebehind import WriteBehind

logger = logging.getLogger(__name__)

SOCKETS_SHARE = 1 / 4
"""Of `buffer_limit`: what ZeroMQ may hold; the queues share the rest."""


def source(config: DetectorConfig) -> Source:
    """Return the sockets of a line, connected.

    Raises:
        ConfigError: They cannot be.
    """
    connections = config.connections
    if config.socket_type == "sub" and connections > 1:
        text = "nworkers %d: a SUB socket gets everything on one connection; 1 is used"
        logger.warning(text, connections)
        connections = 1
    modules = len(config.decoder_class.ports)
    if modules > 1 and connections > 1:
        text = "nworkers %d: each of %d modules has one connection; 1 is used"
        logger.warning(text, connections, modules)
        connections = 1
    return Source(
        config.endpoints,
        config.socket_type,
        connections=connections,
        modules=modules,
        budget_bytes=int(config.buffer_limit * SOCKETS_SHARE),
        io_threads=io_threads(connections * len(config.endpoints)),
    )


def io_threads(connections: int) -> int:
    """Return how many threads ZeroMQ reads with: one a connection, one a core at most.

    libzmq reads one connection with one thread, and gives a new one to the thread that
    has the fewest.
    """
    return max(1, min(connections, len(os.sched_getaffinity(0))))


def ordering(config: DetectorConfig, connections: int) -> Ordering:
    """Return what brings the protocol's messages back into order.

    Args:
        config: Names the protocol and the bounds.
        connections: To each endpoint.
    """
    limits = Limits(
        gap_timeout_s=config.gap_timeout_s,
        end_grace_s=config.end_grace,
        limit_bytes=config.reorder_limit,
        max_gap=config.max_gap,
    )
    order = config.decoder_class.order
    kind = CounterOrdering if order == "counter" else SeriesOrdering
    return kind(limits, connections=connections)


def file_options(
    config: DetectorConfig, own: str, write_behind: WriteBehind
) -> FileOptions:
    """Return how files are made; our own version is told in them."""
    return FileOptions(
        file_mode=config.file_mode,
        dir_mode=config.dir_mode,
        frames_per_chunk=config.frames_per_chunk,
        fill_value=config.fill_value,
        fsync=config.fsync,
        version=own,
        write_behind=write_behind,
    )


def own_version() -> str:
    """Return the installed version of srx."""
    try:
        return version("srx")
    except PackageNotFoundError:
        return "unknown"
