"""When memory goes back to the system."""

import ctypes
import threading
from pathlib import Path

import pytest

from srx_service import rest
from srx_service.rest import WORTH_BYTES, Rest


class Line:
    """What a rest is told of the line."""

    def __init__(self):
        self.received, self.queued, self.given = 0, 0, 0
        self.rest = Rest(lambda: self.received, lambda: self.queued, self._give)

    def _give(self):
        self.given += 1

    def look(self):
        self.rest.look()
        return self.given


@pytest.fixture
def line():
    return Line()


def test_memory_goes_back_once_after_each_flood(line):
    for flood in (1, 2):
        line.received += WORTH_BYTES
        assert [line.look() for _ in range(4)] == [flood - 1, *3 * [flood]]


def test_nothing_is_given_back_while_images_come(line):
    for _ in range(5):
        line.received += WORTH_BYTES
        assert line.look() == 0


def test_nothing_is_given_back_while_some_wait_to_be_written(line):
    line.received, line.queued = WORTH_BYTES, 1
    assert [line.look() for _ in range(3)] == [0, 0, 0]
    line.queued = 0
    assert line.look() == 1


def test_little_is_not_worth_it_until_it_adds_up(line):
    for _ in range(2):
        line.received += WORTH_BYTES // 2
        assert line.look() == 0
    assert line.look() == 1


def test_its_thread_looks_until_it_is_stopped(line, monkeypatch):
    monkeypatch.setattr(rest, "LOOK_EVERY_S", 0.001)
    line.received = WORTH_BYTES
    given = threading.Event()
    line.rest = Rest(lambda: line.received, lambda: line.queued, given.set)
    thread = threading.Thread(target=line.rest.run)
    thread.start()
    assert given.wait(60)
    line.rest.stop()
    thread.join(60)
    assert not thread.is_alive()


def test_malloc_gives_back_what_it_kept():
    if getattr(ctypes.CDLL(None), "malloc_trim", None) is None:
        rest.give_back()  # no glibc: nothing to do, and no error
        return
    kept = [bytearray(50_000) for _ in range(2000)]
    last = bytearray(50_000)  # above them: they cannot go back of themselves
    full = resident_bytes()
    del kept
    rest.give_back()
    assert resident_bytes() < full - 50_000_000
    del last


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
