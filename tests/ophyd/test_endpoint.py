import socket
import threading

import pytest

from srx_ophyd import endpoint
from srx_ophyd.endpoint import Endpoint, RemoteError


@pytest.fixture
def replies():
    """Answer each connection with the next of these bytes; None: just close it."""
    listener = socket.create_server(("127.0.0.1", 0))
    todo, seen = [], []

    def serve():
        while todo:
            connection, _ = listener.accept()
            with connection:
                seen.append(connection.recv(65536).split(b"\r\n")[0])
                if (reply := todo.pop(0)) is not None:
                    connection.sendall(reply)

    thread = threading.Thread(target=serve)

    def answer_with(*some):
        todo.extend(some)
        thread.start()
        return Endpoint("server", f"http://127.0.0.1:{listener.getsockname()[1]}"), seen

    yield answer_with
    listener.close()
    thread.join(5)


def reply(body, status="200 OK", kind="application/json"):
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}"
    return f"{head}\r\nconnection: close\r\n\r\n{body}".encode()


def test_returns_what_was_answered(replies):
    server, seen = replies(reply('{"value": 1}'))
    assert server.request("GET", "/thing") == {"value": 1}
    assert seen == [b"GET /thing HTTP/1.1"]


def test_an_empty_answer_is_none(replies):
    server, _ = replies(reply(""))
    assert server.request("PUT", "/thing") is None


def test_reading_is_repeated_when_a_connection_breaks(replies):
    server, seen = replies(None, None, reply("3"))
    assert server.request("GET", "/thing") == 3
    assert len(seen) == 3


def test_what_changes_something_is_never_sent_twice(replies):
    server, seen = replies(None)
    with pytest.raises(RemoteError, match="unreachable") as caught:
        server.request("POST", "/thing")
    assert (len(seen), caught.value.may_be_done) == (1, True)


def test_a_server_that_is_not_there_is_tried_again_and_named(free_port):
    server = Endpoint("server", f"http://127.0.0.1:{free_port}/base/")
    text = (
        f"^server http://127.0.0.1:{free_port}/base unreachable .ConnectError. on PUT"
    )
    with pytest.raises(RemoteError, match=text) as caught:
        server.request("PUT", "/thing")
    assert caught.value.may_be_done is False


def test_a_server_that_appears_in_time_is_reached(replies, monkeypatch):
    server, _ = replies(reply("1"))
    port = server.url.rpartition(":")[2]
    late = Endpoint("server", server.url.replace(port, "9"))

    def appear(_delay_s):
        late.close()
        late.url = server.url

    monkeypatch.setattr(endpoint.time, "sleep", appear)
    assert late.request("PUT", "/thing") == 1


def test_a_refusal_tells_status_and_reason(replies):
    problem = '{"title": "busy", "detail": "acquisition 9c is armed"}'
    server, _ = replies(reply(problem, "409 Conflict"))
    text = "refused POST /thing: 409 busy: acquisition 9c is armed$"
    with pytest.raises(RemoteError, match=text) as caught:
        server.request("POST", "/thing", {})
    assert caught.value.status == 409


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("no such key", "404 no such key$"),
        ("", "404 Not Found$"),
        ('["a"]', r"404 \['a'\]$"),
        ('{"title": "unknown"}', "404 unknown$"),
    ],
)
def test_any_refusal_is_told_somehow(replies, body, text):
    server, _ = replies(reply(body, "404 Not Found"))
    with pytest.raises(RemoteError, match=text):
        server.request("GET", "/thing")


def test_a_server_that_speaks_no_json_is_the_wrong_one(replies):
    server, _ = replies(reply("<html>", kind="text/html"))
    with pytest.raises(RemoteError, match="text/html, not with JSON: is this its addr"):
        server.request("GET", "/thing")


def test_the_token_is_sent(replies):
    server, _ = replies(reply("1"))
    assert Endpoint("x", server.url, token="abc").request("GET", "/") == 1


def test_the_class_of_the_error_is_the_callers(free_port):
    class Mine(RemoteError):
        pass

    server = Endpoint("x", f"http://127.0.0.1:{free_port}", error=Mine)
    with pytest.raises(Mine):
        server.request("GET", "/")
