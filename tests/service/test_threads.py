import sys
import threading
from pathlib import Path

import pytest

from srx_service.threads import Threads

PATIENCE_S = 20.0


@pytest.fixture
def told():
    return []


@pytest.fixture
def threads(told):
    return Threads(told.append)


@pytest.fixture
def end():
    """Lets threads return; set in any case."""
    end = threading.Event()
    yield end
    end.set()


def test_threads_are_well_while_all_run(threads, end):
    for name in ("one", "two"):
        threads.start(name, end.wait)
    assert threads.are_well


def test_who_ends_when_told_to_has_not_died(threads, end, told):
    for name in ("one", "two"):
        threads.start(name, end.wait)
    threads.may_end()
    assert not threads.are_well
    end.set()
    threads.join()
    assert (threads.failure, told) == (None, [])


def test_one_that_dies_is_told_of_with_its_cause(threads, told, end, caplog):
    threads.start("well", end.wait)
    threads.start("ill", lambda: 1 // 0)
    assert threads.is_over("ill", PATIENCE_S)
    assert isinstance(threads.failure, ZeroDivisionError)
    assert told == ["thread ill died"]
    assert not threads.are_well
    assert "thread ill died" in caplog.text
    assert "ZeroDivisionError: integer division" in caplog.text


def test_one_that_returns_too_early_has_died(threads, told):
    threads.start("hasty", lambda: None)
    assert threads.is_over("hasty", PATIENCE_S)
    assert "hasty ended before it was told to" in str(threads.failure)
    assert told == ["thread hasty died"]


def test_the_first_death_is_the_cause(threads):
    for error in (KeyError("first"), ValueError("second")):
        threads.start("ill", lambda error=error: _raise(error))
        assert threads.is_over("ill", PATIENCE_S)
    assert isinstance(threads.failure, KeyError)


def test_the_calling_thread_is_watched_like_others(threads, told):
    threads.watch("http", lambda: sys.exit(3))
    assert isinstance(threads.failure, SystemExit)
    assert told == ["thread http died"]


def test_every_step_is_taken_though_one_fails(threads, caplog):
    taken = []
    threads.may_end()
    threads.take_steps(lambda: taken.append(1), lambda: 1 // 0, lambda: taken.append(3))
    assert taken == [1, 3]
    assert isinstance(threads.failure, ZeroDivisionError)
    assert "on the way out" in caplog.text


def test_one_that_does_not_end_is_told(threads, end, monkeypatch, caplog):
    monkeypatch.setattr("srx_service.threads.JOIN_S", 0.01)
    threads.start("deaf", end.wait)
    threads.may_end()
    threads.join()
    assert "thread deaf does not end" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_system_knows_them_by_name(threads):
    told = []
    threads.may_end()
    threads.start(
        "write behind and more",
        lambda: told.append(Path("/proc/thread-self/comm").read_text()),
    ).join(PATIENCE_S)
    assert told == ["write behind an\n"]


def _raise(error):
    raise error
