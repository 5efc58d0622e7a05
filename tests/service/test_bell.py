"""A bell that ends a poll."""

import select

import pytest

from srx_service.bell import Bell


@pytest.fixture
def bell():
    made = Bell()
    yield made
    made.close()


def is_heard(bell):
    return bool(select.select([bell], [], [], 0)[0])


def test_it_is_heard_until_it_is_hushed(bell):
    assert not is_heard(bell)
    bell.ring()
    assert is_heard(bell)
    assert is_heard(bell)
    bell.hush()
    assert not is_heard(bell)


def test_many_rings_never_wait_and_one_hush_is_not_late(bell):
    for _ in range(100_000):
        bell.ring()
    for _ in range(100):
        bell.hush()
    assert not is_heard(bell)


def test_to_hush_what_nobody_rang_waits_for_nothing(bell):
    bell.hush()
    assert not is_heard(bell)


def test_it_may_be_rung_once_it_is_closed(bell):
    bell.close()
    bell.ring()
    assert bell.fileno() < 0
