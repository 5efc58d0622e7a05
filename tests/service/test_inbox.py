import threading
from queue import Empty

import pytest

from srx_service.inbox import Inbox


def test_items_come_in_the_order_they_were_put():
    inbox = Inbox()
    for item in range(5):
        inbox.put(item)
    assert [inbox.get() for _ in range(5)] == list(range(5))


def test_nothing_within_the_timeout_is_told():
    inbox = Inbox()
    for _ in range(3):  # the later ones nap first
        with pytest.raises(Empty):
            inbox.get(0.001)


def test_a_reader_that_sleeps_is_woken():
    inbox, got = Inbox(), []
    reader = threading.Thread(target=lambda: got.append(inbox.get()))
    reader.start()
    inbox.put("news")
    reader.join(30)
    assert got == ["news"]


def test_nothing_is_lost_between_threads():
    inbox, got, count = Inbox(), [], 20_000
    reader = threading.Thread(
        target=lambda: got.extend(inbox.get(30) for _ in range(count))
    )
    reader.start()
    for item in range(count):
        inbox.put(item)
    reader.join(60)
    assert got == list(range(count))


def test_an_item_put_during_a_nap_is_found_after_it():
    inbox = Inbox()
    for _ in range(2):
        with pytest.raises(Empty):
            inbox.get(0)
    putter = threading.Timer(0.0005, inbox.put, ["late"])
    putter.start()
    assert inbox.get(30) == "late"
    putter.join()
