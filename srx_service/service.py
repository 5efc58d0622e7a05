"""Builds the line from one configuration, starts and stops it; owns every thread.

source → decoder → ordering → router → workers ─┬─▶ writer ──▶ HDF5
 (receive thread)                 (pool)        ├─▶ forwarder ═▶ live processing
                                                └─▶ latest ◀── HTTP
"""

import gc
import logging
import signal
import threading
from types import FrameType
from typing import Any

from srx_service import building, repair
from srx_service.acquisitions import Acquisitions
from srx_service.api.app import create_app
from srx_service.api.line import ApiSettings
from srx_service.api.server import Server, serve
from srx_service.config import DetectorConfig, Settings
from srx_service.control import Control, Notice
from srx_service.forwarder import Forwarder
from srx_service.latest import Latest
from srx_service.messages import Image, Start
from srx_service.openfiles import OpenFiles
from srx_service.orders import Batch, Rows
from srx_service.reception import RESUME_AT, Reception
from srx_service.routing import Router
from srx_service.status import Status
from srx_service.steps import transforms
from srx_service.threads import Threads
from srx_service.transforms.rotate import rotate
from srx_service.turns import Turns
from srx_service.workers import Workers
from srx_service.writebehind import WriteBehind
from srx_service.writer import Writer

logger = logging.getLogger(__name__)

FILE_FIRST_AT = 1 / 8
"""Of what the queues may hold: with more waiting to be written, forwarding, which takes
cores and memory from the file, is for a few images only."""
GC_THRESHOLD = 50_000
"""Objects made, beyond those freed, between two searches for cycles."""


class Service:
    """One detector's line.

    Raises:
        ConfigError: A port is taken, or a directory cannot be used.
    """

    def __init__(self, config: DetectorConfig, name: str, settings: Settings) -> None:
        self._config = config
        self._name = name
        self._version = building.own_version()
        self._stopping = threading.Event()
        self._threads = Threads(self.stop)
        self.acquisitions = Acquisitions()
        self.status = Status()
        self.latest = Latest()
        self._notice = Notice()
        self._turns = Turns()
        self._open_files = OpenFiles(settings.state_dir, name)
        repair.repair_left_over(self._open_files)
        self._queue_limit = int(config.buffer_limit * (1 - building.SOCKETS_SHARE))
        self._forwarder = Forwarder(
            address=f"tcp://*:{config.forward_port}",
            limit_bytes=config.forward_limit,
            on_slow_client=config.on_slow_client,
        )
        self._forwarder.open()
        self._write_behind = WriteBehind(config.write_behind)
        self._writer = self._make_writer()
        self._workers = self._make_workers()
        self._source = building.source(config)
        self._router = Router(
            self.acquisitions,
            dataset=config.dataset,
            missing=config.missing_rule,
            leaves_out=config.leaves_out,
            write_root=config.write_root,
            idle_timeout_s=config.idle_timeout,
        )
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
        )
        self._server = self._make_server(settings)

    # -- building ---------------------------------------------------------------------

    def _make_writer(self) -> Writer:
        config = self._config
        return Writer(
            building.file_options(config, self._version, self._write_behind),
            self._open_files,
            flush_interval_s=config.flush_interval,
            notify=self._notice.notify,
            on_error=self._note_error,
            turns=self._turns,
            repair=lambda path, rows: repair.repair(path, durable_rows=rows),
        )

    def _note_error(self, text: str) -> None:
        self.acquisitions.error = text

    def _make_workers(self) -> Workers:
        config = self._config
        steps = transforms(config)

        def needs(start: Start | None) -> bool:
            return bool(steps) or (start is not None and start.rotate != 0)

        def apply(image: Image, start: Start | None) -> Image:
            for step in steps:
                image = step.apply(image, start)
            return rotate(image, start.rotate) if start is not None else image

        return Workers(
            config.transform_workers or config.connections,
            needs=needs,
            apply=apply,
            hand_on=self._hand_on,
        )

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
        )
        access = ApiSettings(
            token=settings.api_token, protect_reads=config.protect_reads
        )
        app = create_app(control, self.latest, access)
        return serve(app, config.api_host, config.api_port)

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
            self._forwarder.put(batch.messages, batch.size_bytes, is_behind=is_behind)

    def _is_full(self, is_held: bool) -> str | None:
        """Return why reading is to be held: a queue is full, or still too full."""
        limit = self._queue_limit * (RESUME_AT if is_held else 1)
        queued = self._writer.queued_bytes + self._workers.queued_bytes
        if queued >= limit:
            return f"{queued >> 20} MiB wait to be written: the disk is too slow"
        if self._forwarder.is_full:
            return "a client on the secondary port is slow (on_slow_client: wait)"
        return None

    def _is_ready(self) -> bool:
        return self._threads.are_well

    def _gauges(self) -> dict[str, Any]:
        return {
            "version": self._version,
            "clients": self._forwarder.clients,
            "forwarded": self._forwarder.sent_images,
            "dropped_for_slow_client": self._forwarder.dropped_images,
            "queued_bytes": self._writer.queued_bytes + self._workers.queued_bytes,
            "forward_queued_bytes": self._forwarder.queued_bytes,
            "buffer_limit": self._config.buffer_limit,
            "high_water_mark": self._source.high_water_mark,
        }

    # -- life -------------------------------------------------------------------------

    @property
    def api_port(self) -> int:
        """The port the HTTP interface listens on."""
        return self._server.port

    def run(self) -> int:
        """Run until told to stop; return the exit code."""
        start = self._threads.start
        receive = start("receive", self._reception.run)
        workers = start("transformed", self._workers.run)
        writer = start("write", self._writer.run)
        start("write behind", self._write_behind.run)
        forwarder = start("forward", self._forwarder.run)
        logger.info(
            "%s: receiving from %s, HTTP on port %d, live processing on %s",
            self._name,
            ", ".join(self._config.endpoints),
            self.api_port,
            self._forwarder.endpoint,
        )
        line = (receive, workers, writer, forwarder)
        stopper = threading.Thread(target=self._end, args=line, name="stop")
        stopper.start()
        try:
            self._server.run()
        finally:
            self.stop()
            stopper.join()
        if self._threads.failure is not None:
            logger.critical("the service ends: %r", self._threads.failure)
            return 1
        return 0

    def stop(self, *_: object) -> None:
        """Let `run` return; may be called from a signal handler."""
        self._stopping.set()

    def _end(self, *line: threading.Thread) -> None:
        """Once told to stop, end the line first: who polls learns how it ended."""
        self._stopping.wait()
        try:
            self._stop(*line)
        finally:
            self._server.should_exit = True

    def _stop(self, *threads: threading.Thread) -> None:
        """Stop reading, write what is queued, close; the stages in the line's order."""
        receive, workers, writer, forwarder = threads
        timeout_s = self._config.shutdown_timeout
        self._reception.stop()
        receive.join(timeout_s)
        self._close_current()
        self._workers.stop()
        workers.join(timeout_s)
        self._writer.stop()
        writer.join(timeout_s)
        if writer.is_alive():
            logger.error("not all was written within %s s", timeout_s)
        self._write_behind.stop()
        self._forwarder.stop()
        forwarder.join(2.0)
        self._open_files.close()

    def _close_current(self) -> None:
        """Finish the open acquisition; the receive thread is over, so this one may."""
        self._reception.release()
        acquisition = self._router.current
        if acquisition is None:
            return
        acquisition.fail("the service was stopped")
        self._router.finish(acquisition, "aborted")
        start = self._router.start
        self._workers.submit(
            Batch([], self._router.take_orders(), start, None, start, 0)
        )


def main(config: DetectorConfig, name: str, settings: Settings) -> int:
    """Run one detector's service until SIGTERM or SIGINT; return the exit code.

    Raises:
        ConfigError: It cannot start as configured.
    """
    service = Service(config, name, settings)
    # what was made so far stays, and what a batch makes holds no cycles: looking for
    # them at every 700th object cost a tenth of the receive thread
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)

    def on_signal(number: int, _: FrameType | None) -> None:
        logger.info("%s: stopping", signal.Signals(number).name)
        service.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return service.run()
