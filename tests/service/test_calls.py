import threading
import time

import pytest

from srx_service.calls import Calls
from srx_service.errors import RequestError

PATIENCE_S = 20.0


class Thread:
    """Stands for the receive thread: counts what it is asked to do."""

    def __init__(self):
        self.woken, self.sent = 0, 0
        self.calls = Calls(self._wake, self._send)

    def _wake(self):
        self.woken += 1

    def _send(self):
        self.sent += 1


@pytest.fixture
def thread():
    return Thread()


def test_what_is_put_is_done_once_and_its_orders_are_sent(thread):
    done = thread.calls.put(lambda: 7)
    assert (thread.woken, done.done()) == (1, False)
    thread.calls.run()
    thread.calls.run()
    assert (done.result(), thread.sent) == (7, 1)


def test_what_it_raises_belongs_to_who_asked(thread):
    done = thread.calls.put(lambda: 1 // 0)
    thread.calls.run()
    with pytest.raises(ZeroDivisionError):
        done.result()


def test_what_is_to_wait_waits_for_the_sockets_to_be_empty(thread):
    done = thread.calls.put(lambda: 7, PATIENCE_S)
    thread.calls.run()
    thread.calls.run_after_drain(time.monotonic(), is_quiet=False)
    assert thread.calls.are_waiting
    assert not done.done()
    thread.calls.run_after_drain(time.monotonic(), is_quiet=True)
    assert done.result() == 7
    assert not thread.calls.are_waiting


def test_it_waits_no_longer_than_its_patience(thread):
    done = thread.calls.put(lambda: 7, PATIENCE_S)
    thread.calls.run()
    late_s = time.monotonic() + PATIENCE_S + 1
    thread.calls.run_after_drain(late_s, is_quiet=False)
    assert done.result() == 7


def test_what_was_given_up_is_not_done(thread):
    done = thread.calls.put(lambda: pytest.fail("it was done"))
    assert done.cancel()
    thread.calls.run()


def test_at_the_end_what_waits_and_what_comes_is_refused(thread):
    waiting = thread.calls.put(lambda: 7, PATIENCE_S)
    thread.calls.run()
    new = thread.calls.put(lambda: 7)
    thread.calls.end()
    late = thread.calls.put(lambda: 7)
    for done in (waiting, new, late):
        with pytest.raises(RequestError, match="stopping"):
            done.result(PATIENCE_S)


def test_none_is_lost_between_threads(thread):
    count, stop = 200, threading.Event()

    def run():
        while not stop.is_set():
            thread.calls.run()
        thread.calls.end()

    running = threading.Thread(target=run)
    running.start()
    done = [thread.calls.put(lambda k=k: k) for k in range(count)]
    assert [each.result(PATIENCE_S) for each in done] == list(range(count))
    stop.set()
    running.join(PATIENCE_S)
    assert thread.sent == count
