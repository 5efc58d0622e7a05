"""Builds the line from one configuration, starts and stops it; owns every thread.

source → decoder → ordering → router → workers ─┬─▶ writer ──▶ HDF5
 (receive thread)                 (pool)        ├─▶ forwarder ═▶ live processing
                                                └─▶ latest ◀── HTTP
"""

import logging
import threading
import time
from queue import SimpleQueue
from typing import Any

from srx_service import building, repair
from srx_service.acquisitions import Acquisitions
from srx_service.admission import Admission
from srx_service.api.app import create_app
from srx_service.api.server import Server, serve
from srx_service.config import DetectorConfig, Settings
from srx_service.control import Control
from srx_service.ending import Ending
from srx_service.idle import IdleCores
from srx_service.journal import Journal
from srx_service.latest import Latest
from srx_service.openfiles import OpenFiles
from srx_service.orders import Batch, Rows
from srx_service.reception import RESUME_AT, Reception
from srx_service.recovery import arm_again, recover
from srx_service.rest import Rest
from srx_service.space import Space
from srx_service.status import Status
from srx_service.systemd import Systemd
from srx_service.threads import Threads
from srx_service.turns import Turns
from srx_service.waiting import Notice
from srx_service.writebehind import WriteBehind
from srx_service.writer import Writer

logger = logging.getLogger(__name__)

FILE_FIRST_AT = 1 / 8
"""Of what the queues may hold: with more waiting to be written, forwarding, which takes
cores and memory from the file, is for a few images only."""
STALLED_S = 10.0
"""A receive thread that has not looked at its clock for so long does not live."""


class Service:
    """One detector's line.

    Args:
        config: The detector's entry.
        name: Of that entry.
        settings: What comes from the environment.
        told: Brings why to stop, maybe before there is a service to be stopped.

    Raises:
        ConfigError: A port is taken, or a directory cannot be used.
    """

    def __init__(
        self,
        config: DetectorConfig,
        name: str,
        settings: Settings,
        told: SimpleQueue[str] | None = None,
    ) -> None:
        self._config = config
        self._name = name
        self._version = building.own_version()
        # not an event: one signal may come while another is taken note of
        self._told: SimpleQueue[str] = SimpleQueue() if told is None else told
        self._threads = Threads(self.stop)
        self._systemd = Systemd(settings.notify_socket, settings.watchdog_s)
        self.status = Status()
        self.latest = Latest(IdleCores())
        self._notice = Notice()
        self._turns = Turns()
        self._open_files = OpenFiles(settings.state_dir, name)
        self._journal = Journal(settings.state_dir, name)
        last_life = recover(self._journal, self._open_files, config.dataset)
        self.acquisitions = Acquisitions(
            past=last_life.past, on_state=self._journal.note
        )
        self._queue_limit = int(config.buffer_limit * (1 - building.SOCKETS_SHARE))
        self._forwarder = building.forwarder(config)
        self._publisher = building.publisher(config)
        self._ports = {"forward": self._forwarder}
        if self._publisher is not None:
            self._ports["publish"] = self._publisher
        self._write_behind = WriteBehind(config.write_behind)
        self._space = Space(config.keep_free, config.write_root)
        self._writer = self._make_writer()
        self._workers = building.workers(config, self._hand_on)
        self._source = building.source(config)
        self._router = building.router(config, self.acquisitions)
        arm_again(last_life, self._router)
        self._rest = Rest(lambda: self.status.image_bytes, self._queued_bytes)
        self._reception = Reception(
            self._source,
            config.decoder_class(),
            building.ordering(config, self._source.connections),
            self._router,
            self.status,
            hand_on=self._workers.submit,
            is_full=self._is_full,
            turns=self._turns,
            drain_timeout_s=config.drain_timeout,
            rescue=building.rescue(config, last_life),
        )
        self._ending = Ending(
            self._threads,
            self._reception,
            self._router,
            self._workers,
            self._writer,
            self._hand_on,
            config.shutdown_timeout,
        )
        self._server = self._make_server(settings)

    # -- building ---------------------------------------------------------------------

    def _make_writer(self) -> Writer:
        config = self._config
        return Writer(
            building.file_options(
                config, self._version, self._write_behind, self._space
            ),
            self._open_files,
            flush_interval_s=config.flush_interval,
            notify=self._notice.notify,
            on_error=self._note_error,
            turns=self._turns,
            repair=lambda path, rows: repair.repair(path, durable_rows=rows),
        )

    def _note_error(self, text: str) -> None:
        self.acquisitions.error = text

    def _make_server(self, settings: Settings) -> Server:
        config = self._config
        control = Control(
            self._reception,
            self._router,
            self.acquisitions,
            self.status,
            self._notice,
            configuration={"name": self._name} | config.public(),
            gauges=self._gauges,
            is_ready=self._is_ready,
            admission=Admission(self._space, config.write_root),
            timings=self._writer.timings,
        )
        access = building.api_settings(config, settings.api_token)
        app = create_app(control, self.latest, access)
        host, port = config.api_host, config.api_port
        server = serve(app, host, port, limits=access.limits)
        server.on_beat = self._beat
        return server

    # -- the line ---------------------------------------------------------------------

    def _hand_on(self, batch: Batch) -> None:
        """Where the line forks; called by one thread at a time, in order."""
        if batch.live is not None:
            # First: who learns that a row is durable finds its image here.
            self.latest.put(batch.live_start, batch.live, batch.live_row)
        if batch.orders:
            has_rows = Rows in map(type, batch.orders)
            self._writer.put(batch.orders, batch.size_bytes if has_rows else 0)
        if batch.messages:
            is_behind = self._writer.queued_bytes >= self._queue_limit * FILE_FIRST_AT
            for port in self._ports.values():
                port.put(batch.messages, batch.size_bytes, is_behind=is_behind)

    def _is_full(self, is_held: bool) -> str | None:
        """Return why reading is to be held: a queue is full, or still too full."""
        limit = self._queue_limit * (RESUME_AT if is_held else 1)
        queued = self._queued_bytes()
        if queued >= limit:
            return f"{queued >> 20} MiB wait to be written: the disk is too slow"
        if self._forwarder.is_full:
            return "a client on the secondary port is slow (on_slow_client: wait)"
        return None

    def _queued_bytes(self) -> int:
        return self._writer.queued_bytes + self._workers.queued_bytes

    def _is_ready(self) -> bool:
        ticked_s = time.monotonic() - self._reception.ticked_s
        return self._threads.are_well and ticked_s < STALLED_S

    def _beat(self) -> None:
        """Called while HTTP answers."""
        if self._is_ready():
            self._systemd.well()

    def _gauges(self) -> dict[str, Any]:
        return {
            "version": self._version,
            "clients": self._forwarder.clients,
            "forwarded": self._forwarder.sent_images,
            "dropped_for_slow_client": self._forwarder.dropped_images,
            "queued_bytes": self._queued_bytes(),
            "queue_limit_bytes": self._queue_limit,
            "forward_queued_bytes": self._forwarder.queued_bytes,
            "forward_queue_limit_bytes": self._forwarder.queue_limit,
            "buffer_limit": self._config.buffer_limit,
            "high_water_mark": self._source.high_water_mark,
            **self._published(),
            **self._space.shown(),
            **self._journal.shown(),
        }

    def _published(self) -> dict[str, int]:
        port = self._publisher
        if port is None:
            return {}
        return {
            "subscribers": port.clients,
            "published": port.sent_images,
            "dropped_for_slow_subscriber": port.dropped_images + port.missed,
        }

    # -- life -------------------------------------------------------------------------

    @property
    def api_port(self) -> int:
        """The port the HTTP interface listens on."""
        return self._server.port

    def run(self) -> int:
        """Run until told to stop; return the exit code."""
        bodies = {
            "receive": self._reception.run,
            "transformed": self._workers.run,
            "write": self._writer.run,
            "write behind": self._write_behind.run,
            "space": self._space.run,
            "rest": self._rest.run,
            **{name: port.run for name, port in self._ports.items()},
            "journal": self._journal.run,
        }
        for name, body in bodies.items():
            self._threads.start(name, body)
        logger.info(
            "%s: receiving from %s, HTTP on port %d, live processing on %s",
            self._name,
            ", ".join(self._config.endpoints),
            self.api_port,
            self._forwarder.endpoint,
        )
        stopper = threading.Thread(target=self._end, name="stop")
        stopper.start()
        self._threads.watch("http", self._server.run)
        stopper.join()
        failure = self._threads.failure
        if failure is not None:
            logger.critical("the service ends: %r", failure)
        return 0 if failure is None and not self.is_stuck else 1

    @property
    def is_stuck(self) -> bool:
        """True once `run` has returned while the writer still writes."""
        return self._ending.is_stuck

    def stop(self, why: str = "told to") -> None:
        """Let `run` return; any thread may call it, and as often as it likes."""
        self._told.put(why)

    def _end(self) -> None:
        """Once told to stop, end the line first: who polls learns how it ended."""
        why = self._told.get()
        logger.info("%s: stopping", why)
        self._threads.may_end()
        self._systemd.ending(why)
        # the file is closed, whatever else cannot be ended
        self._threads.take_steps(
            self._ending.reading,
            self._ending.acquisition,
            self._ending.transforming,
            self._ending.writing,
            self._write_behind.stop,
            self._space.stop,
            self._rest.stop,
            *(port.stop for port in self._ports.values()),
            self._journal.stop,
            self._threads.join,
            self._open_files.close,
        )
        self._server.should_exit = True
