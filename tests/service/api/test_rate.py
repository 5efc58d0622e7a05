"""Who asks too often waits."""

import asyncio

import pytest

from srx_service.api import rate
from srx_service.api.limits import Limits
from srx_service.api.rate import BURST_S, MAX_CLIENTS, MAX_WAIT_S, Rate


@pytest.fixture
def slept(monkeypatch):
    """How long each request waited, without a wait."""
    waits = []

    async def sleep(wait_s):
        waits.append(wait_s)

    monkeypatch.setattr(rate.asyncio, "sleep", sleep)
    return waits


def test_who_asks_seldom_never_waits():
    limited = Rate(10)
    assert {limited.wait_s("a", 0.1 * k) for k in range(100)} == {0}


def test_a_burst_is_free_and_what_follows_waits_for_its_turn():
    limited = Rate(10)
    waits = [limited.wait_s("a", 0.0) for _ in range(13)]
    assert waits == pytest.approx([0] * int(10 * BURST_S) + [0.1, 0.2, 0.3])


def test_a_client_that_waits_each_time_has_its_rate():
    limited, now_s = Rate(100), 0.0
    for _ in range(1000):
        now_s += limited.wait_s("a", now_s)
    assert now_s == pytest.approx(1000 / 100 - BURST_S)


def test_others_do_not_wait_for_it():
    limited = Rate(10)
    for _ in range(100):
        limited.wait_s("a", 0.0)
    assert limited.wait_s("b", 0.0) == 0


def test_who_would_wait_too_long_is_refused_and_not_counted():
    limited = Rate(10)
    waits = [limited.wait_s("a", 0.0) for _ in range(100)]
    assert MAX_WAIT_S < waits[-1] < MAX_WAIT_S + 0.2
    assert limited.wait_s("a", MAX_WAIT_S + BURST_S) == 0


def test_less_than_one_a_second_can_be_asked_for():
    limited = Rate(0.5)
    assert [limited.wait_s("a", now_s) for now_s in (0, 2, 4, 5)] == [0, 0, 0, 1]


def test_no_number_of_clients_takes_more_memory():
    limited = Rate(10)
    for client in range(3 * MAX_CLIENTS):
        limited.wait_s(client, 0.0)
    assert len(limited._due_s) == MAX_CLIENTS


def test_requests_that_come_too_fast_are_answered_later(asker, slept):
    ask = asker(limits=Limits(rate_hz=2))
    assert {ask("GET", "/status").status_code for _ in range(4)} == {200}
    assert len(slept) == 2


def test_far_too_many_are_told_to_come_back(asker, slept):
    ask = asker(limits=Limits(rate_hz=2))
    answer = [ask("GET", "/status") for _ in range(9)][-1]
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert "more than 2 requests a second" in answer.json()["detail"]
    assert max(slept) <= MAX_WAIT_S


def test_a_flood_of_requests_holds_up_no_probe(asker, slept):
    ask = asker(limits=Limits(rate_hz=2))
    for _ in range(9):
        ask("GET", "/status")
    slept.clear()
    assert ask("GET", "/readyz").status_code == 200
    assert slept == []


def test_without_a_rate_nobody_waits(asker, slept):
    ask = asker(limits=Limits(rate_hz=None))
    assert {ask("GET", "/status").status_code for _ in range(50)} == {200}
    assert slept == []


def test_what_is_no_request_passes():
    passed = []

    async def app(scope, receive, send):
        passed.append(scope["type"])

    middleware = rate.RateMiddleware(app, 1.0)
    for _ in range(5):
        asyncio.run(middleware({"type": "lifespan"}, None, None))
    assert passed == ["lifespan"] * 5
