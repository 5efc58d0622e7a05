import httpx
import pytest

from srx_service.errors import ConfigError
from srx_service.simulators.answers import BadAnswer, BadAnswers

CONFIG = "/detector/api/1.8.0/config"


def set_images(client, count=5):
    return client.put(f"{CONFIG}/nimages", json={"value": count})


def test_each_spoils_the_next_request_that_it_is_meant_for():
    bad = BadAnswers("lost@command/arm, slow=0.5@status/state,lost@command/arm")
    assert bad.take("/detector/api/1.8.0/command/disarm") is None
    assert bad.take("/d/command/arm") == BadAnswer("lost", "command/arm")
    assert bad.take("/d/status/state") == BadAnswer("slow", "status/state", 0.5)
    assert bad.take("/d/command/arm") == BadAnswer("lost", "command/arm")
    assert bad.take("/d/command/arm") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("late@status/state", "'late' is not one of deaf, lost, cut"),
        ("lost", "lacks the path's end"),
        ("slow@status/state", "seconds stand behind slow="),
        ("lost=3@status/state", "seconds stand behind slow="),
        ("slow=x@status/state", "could not convert"),
        ("slow=-1@status/state", "-1 s are not from 0"),
    ],
)
def test_what_cannot_be_read_is_refused(text, told):
    with pytest.raises(ConfigError, match=told):
        BadAnswers(text)


@pytest.mark.parametrize(("kind", "is_done"), [("deaf", 0), ("lost", 1), ("cut", 1)])
def test_a_connection_breaks_before_or_after_it_is_done(eiger, client, kind, is_done):
    eiger.answers.add(f"{kind}@config/nimages")
    with pytest.raises(httpx.RemoteProtocolError):
        set_images(client)
    assert eiger.config.count("nimages") == (5 if is_done else 1)
    assert set_images(client).json() == ["nimages"]


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        ("empty", 200, ""),
        ("garbled", 200, "<html>the proxy is out of order</html>"),
        ("fail", 500, "the simulator was told to fail"),
        ("slow=0.2", 200, '["nimages"]'),
    ],
)
def test_an_answer_may_be_odd_or_late(eiger, client, kind, status, text):
    eiger.answers.add(f"{kind}@config/nimages")
    answer = set_images(client)
    assert (answer.status_code, answer.text) == (status, text)
    assert set_images(client, 6).json() == ["nimages"]


def test_they_can_be_asked_for_while_it_runs(client):
    url = "/simulator/answers"
    assert client.put(url, json={"value": "fail@config/nimages"}).status_code == 200
    assert set_images(client).status_code == 500
    assert set_images(client).status_code == 200
    refused = client.put(url, json={"value": "fail"})
    assert (refused.status_code, "lacks the path" in refused.text) == (400, True)
