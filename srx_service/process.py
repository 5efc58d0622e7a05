"""A service as a process: its signals, its exit code."""

import gc
import logging
import os
import signal
from queue import SimpleQueue
from types import FrameType

from srx_service.config import DetectorConfig, Settings
from srx_service.service import Service

GC_THRESHOLD = 50_000
"""Objects made, beyond those freed, between two searches for cycles."""


def main(config: DetectorConfig, name: str, settings: Settings) -> int:
    """Run one detector's service until SIGTERM or SIGINT; return the exit code.

    Raises:
        ConfigError: It cannot start as configured.
    """
    told: SimpleQueue[str] = SimpleQueue()

    def on_signal(number: int, _: FrameType | None) -> None:
        told.put(signal.Signals(number).name)

    # before anything is opened, or repaired: that is not to be broken off half-way
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    service = Service(config, name, settings, told)
    # what was made so far stays, and what a batch makes holds no cycles: looking for
    # them at every 700th object cost a tenth of the receive thread
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    code = service.run()
    if service.is_stuck:
        # HDF5 would tidy up at the exit while a thread of it still writes
        logging.shutdown()
        os._exit(code)
    return code
