import sys
import threading
from pathlib import Path

import pytest

from srx_service.threads import Threads

PATIENCE_S = 20.0


@pytest.fixture
def deaths():
    return []


@pytest.fixture
def threads(deaths):
    return Threads(lambda: deaths.append(threading.current_thread().name))


def test_threads_are_well_while_all_run(threads, deaths):
    end = threading.Event()
    running = [threads.start(name, end.wait) for name in ("one", "two")]
    assert threads.are_well
    end.set()
    for thread in running:
        thread.join(PATIENCE_S)
    assert not threads.are_well
    assert (threads.failure, deaths) == (None, [])


def test_one_that_dies_is_told_of_with_its_cause(threads, deaths, caplog):
    end = threading.Event()
    threads.start("well", end.wait)
    threads.start("ill", lambda: 1 // 0).join(PATIENCE_S)
    assert isinstance(threads.failure, ZeroDivisionError)
    assert deaths == ["ill"]
    assert not threads.are_well
    assert "thread ill died" in caplog.text
    end.set()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_system_knows_them_by_name(threads):
    told = []
    threads.start(
        "write behind and more",
        lambda: told.append(Path("/proc/thread-self/comm").read_text()),
    ).join(PATIENCE_S)
    assert told == ["write behind an\n"]
