"""The stages of a line from one configuration; `service` joins them and owns them."""

import logging
import os
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from srx_service import curve
from srx_service.acquisitions import Acquisitions
from srx_service.api.limits import Limits as ApiLimits
from srx_service.api.line import ApiSettings
from srx_service.config import DetectorConfig
from srx_service.forwarder import Forwarder
from srx_service.h5file import FileOptions
from srx_service.messages import Image, Start
from srx_service.nxmx import NxmxOptions
from srx_service.ordering import CounterOrdering, Limits, Ordering, SeriesOrdering
from srx_service.orders import Batch
from srx_service.recovery import LastLife
from srx_service.rescue import Rescue
from srx_service.routing import Router
from srx_service.source import Source
from srx_service.space import Space
from srx_service.steps import transforms
from srx_service.transforms.rotate import rotate
from srx_service.workers import Workers
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
        keys=curve.client_keys(config.curve_key, config.curve_source),
    )


def io_threads(connections: int) -> int:
    """Return how many threads ZeroMQ reads with: one a connection, one a core at most.

    libzmq reads one connection with one thread, and gives a new one to the thread that
    has the fewest.
    """
    return max(1, min(connections, len(os.sched_getaffinity(0))))


def forwarder(config: DetectorConfig) -> Forwarder:
    """Return the secondary port, open.

    Raises:
        ConfigError: It is taken, or its keys cannot be read.
    """
    made = Forwarder(
        address=f"tcp://{config.data_host}:{config.forward_port}",
        limit_bytes=config.forward_limit,
        on_slow_client=config.on_slow_client,
        to=config.announce,
    )
    made.open(curve.server_keys(config.curve_key, config.curve_clients))
    return made


def publisher(config: DetectorConfig) -> Forwarder | None:
    """Return the publishing port, open; None where none is wanted.

    Raises:
        ConfigError: As `forwarder`.
    """
    if config.pub_port is None:
        return None
    made = Forwarder(
        address=f"tcp://{config.data_host}:{config.pub_port}",
        limit_bytes=config.forward_limit,
        on_slow_client="drop",
        to="subscribers",
    )
    made.open(curve.server_keys(config.curve_key, config.curve_clients))
    return made


def api_settings(config: DetectorConfig, token: str | None) -> ApiSettings:
    """Return who may do what over HTTP.

    Raises:
        ConfigError: It would look like protection and be none.
    """
    return ApiSettings(
        token=token,
        protect_reads=config.protect_reads,
        pickle_route=config.pickle_route,
        origins=frozenset(config.cors_origins),
        limits=ApiLimits(
            body_bytes=config.api_body_limit,
            connections=config.api_connections,
            connections_per_client=config.api_connections_per_client,
            rate_hz=config.api_rate,
            timeout_s=config.api_timeout,
        ),
    )


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


def rescue(config: DetectorConfig, last_life: LastLife) -> Rescue | None:
    """Return what looks for the rest of a series that a crash interrupted."""
    entry = last_life.interrupted
    if entry is None or entry.told["file"] is None or not config.rescue:
        return None
    file, order = Path(entry.told["file"]), config.decoder_class.order
    return Rescue(file, entry.told["id"], order)


def router(config: DetectorConfig, acquisitions: Acquisitions) -> Router:
    """Return what keeps the books of a line."""
    return Router(
        acquisitions,
        dataset=config.dataset,
        missing=config.missing_rule,
        leaves_out=config.leaves_out,
        write_root=config.write_root,
        idle_timeout_s=config.idle_timeout,
    )


def workers(config: DetectorConfig, hand_on: Callable[[Batch], None]) -> Workers:
    """Return what transforms images, on their way to where the line forks."""
    steps = transforms(config)

    def needs(start: Start | None) -> bool:
        return bool(steps) or (start is not None and start.rotate != 0)

    def apply(image: Image, start: Start | None) -> Image:
        for step in steps:
            image = step.apply(image, start)
        return rotate(image, start.rotate) if start is not None else image

    count = config.transform_workers or config.connections
    return Workers(count, needs=needs, apply=apply, hand_on=hand_on)


def file_options(
    config: DetectorConfig, own: str, write_behind: WriteBehind, space: Space
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
        checksum=config.checksum,
        nexus=nxmx_options(config),
        space=space,
    )


def nxmx_options(config: DetectorConfig) -> NxmxOptions | None:
    """Return what files of NXmx have besides; None where they are none."""
    if config.nexus is None:
        return None
    return NxmxOptions(
        instrument_name=config.instrument_name,
        source_name=config.source_name,
        goniometer=config.goniometer,
    )


def own_version() -> str:
    """Return the installed version of srx."""
    try:
        return version("srx")
    except PackageNotFoundError:
        return "unknown"
