"""A bound on what a request may bring."""

import asyncio

import pytest

from srx_service.api.limits import MAX_DRAINED_BYTES, BodyLimitMiddleware, Limits

MAX_BODY_BYTES = Limits().body_bytes
JSON = {"content-type": "application/json"}


LIMITS = Limits(body_bytes=4, timeout_s=0.05)


async def in_parts(size):
    for _ in range(0, size, 65536):
        yield b" " * 65536


def test_a_body_of_the_limit_is_read(ask, line):
    content = b"{}".ljust(MAX_BODY_BYTES)
    answer = ask("POST", "/api/v1/acquisitions", content=content, headers=JSON)
    assert answer.status_code == 201


@pytest.mark.parametrize("content", [bytes(MAX_BODY_BYTES + 1), in_parts(2**21)])
def test_a_larger_body_is_refused(ask, line, content):
    answer = ask("POST", "/api/v1/acquisitions", content=content, headers=JSON)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert f"{MAX_BODY_BYTES} bytes" in answer.json()["detail"]
    assert line.calls == []


def test_another_limit_can_be_set(asker, line):
    ask = asker(limits=Limits(body_bytes=10))
    answer = ask("POST", "/api/v1/acquisitions", content=b"{}".ljust(11), headers=JSON)
    assert answer.status_code == 413
    assert "10 bytes (api_body_limit)" in answer.json()["detail"]


def passed(messages):
    """Return what an application behind a limit of 4 bytes read, and the answer."""
    read, sent = [], []

    async def app(scope, receive, send):
        read.append(await receive())

    async def receive():
        if not messages:
            await asyncio.Event().wait()  # for ever
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "headers": [(b"transfer-encoding", b"chunked")]}
    asyncio.run(BodyLimitMiddleware(app, LIMITS)(scope, receive, send))
    return read, sent


def test_a_body_in_parts_arrives_as_one():
    part = {"type": "http.request", "body": b"ab", "more_body": True}
    read, _ = passed([part, {**part, "more_body": False}])
    assert read == [{"type": "http.request", "body": b"abab", "more_body": False}]


def test_half_a_body_never_arrives():
    part = {"type": "http.request", "body": b"{}", "more_body": True}
    read, _ = passed([part, {"type": "http.disconnect"}])
    assert read == []


def test_a_body_without_end_is_not_read_for_ever():
    part = {"type": "http.request", "body": bytes(2**20), "more_body": True}
    messages = [part] * 100
    _, sent = passed(messages)
    assert sent[0]["status"] == 413
    assert len(messages) == 100 - MAX_DRAINED_BYTES // 2**20 - 1


def test_a_body_that_does_not_come_is_not_waited_for_for_ever():
    part = {"type": "http.request", "body": b"a", "more_body": True}
    read, sent = passed([part])
    assert (read, sent[0]["status"]) == ([], 408)
    assert (b"connection", b"close") in sent[0]["headers"]
