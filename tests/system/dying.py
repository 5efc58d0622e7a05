"""Lets a thread of a running service die, or hang, as a file says."""

import ctypes
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from srx_service import service
from srx_service.api.server import Server
from srx_service.ending import Ending
from srx_service.source import Received, Socket, Source


class KilledError(Exception):
    """What the thread dies of."""


def install(victim: Path) -> None:
    """Be ready for it.

    Args:
        victim: Names the thread that dies on SIGUSR1; "http" is the main one. While it
            is there with the suffix ".wait", the file is not closed yet; with ".hang",
            the receive thread stands still, which is noticed within a second.
    """

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        name = victim.read_text()
        for thread in threading.enumerate():
            if thread.name == name:
                raise_in(thread)

    signal.signal(signal.SIGUSR1, on_signal)
    _let_http_die(victim)
    _let_closing_wait(victim.with_suffix(".wait"))
    _let_reading_hang(victim.with_suffix(".hang"))


def raise_in(thread: threading.Thread) -> None:
    """Raise in a thread, the next time it is about to do something."""
    set_error = ctypes.pythonapi.PyThreadState_SetAsyncExc
    assert thread.ident is not None
    set_error(ctypes.c_ulong(thread.ident), ctypes.py_object(KilledError))


def _let_http_die(victim: Path) -> None:
    on_tick = Server.on_tick

    def is_victim() -> bool:
        return victim.exists() and victim.read_text() == "http"

    async def dying(self: Server, counter: int) -> bool:
        if is_victim():
            raise KilledError
        return await on_tick(self, counter)

    Server.on_tick = dying


def _let_closing_wait(gate: Path) -> None:
    writing = Ending.writing

    def waiting(self: Ending) -> None:
        while gate.exists():
            time.sleep(0.01)
        writing(self)

    Ending.writing = waiting


def _let_reading_hang(gate: Path) -> None:
    receive = Source.receive

    def hanging(self: Source, ready: Sequence[Socket]) -> Received:
        while gate.exists():
            service.STALLED_S = 1.0
            time.sleep(0.01)
        return receive(self, ready)

    Source.receive = hanging
