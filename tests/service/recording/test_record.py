import threading
import time

import pytest
import zmq

from srx_service.recording.container import read
from srx_service.recording.record import record

MESSAGES = [
    [b'{"htype": "header"}'],
    [b'{"htype": "image"}', b"\1" * 100_000],
    [b"end"],
]


@pytest.fixture
def source():
    """source(kind): a bound socket of this kind and its endpoint."""
    context = zmq.Context()
    sockets = []

    def bound(kind):
        socket = context.socket(kind)
        sockets.append(socket)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        return socket, f"tcp://127.0.0.1:{port}"

    yield bound
    for socket in sockets:
        socket.close(linger=0)
    context.term()


def test_messages_are_kept_as_received(source, tmp_path):
    socket, endpoint = source(zmq.PUSH)
    push = threading.Thread(target=lambda: [*map(socket.send_multipart, MESSAGES)])
    push.start()
    done = record(endpoint, tmp_path / "a.cbors", messages=3)
    push.join()
    assert list(read(tmp_path / "a.cbors")) == MESSAGES
    assert done["messages"] == 3
    assert done["bytes"] == (tmp_path / "a.cbors").stat().st_size


def test_a_publisher_is_subscribed_to(source, tmp_path):
    socket, endpoint = source(zmq.XPUB)
    publish = threading.Thread(
        target=lambda: (socket.recv(), socket.send_multipart(MESSAGES[1]))
    )
    publish.start()
    record(endpoint, tmp_path / "a.cbors", socket="sub", messages=1)
    publish.join()
    assert list(read(tmp_path / "a.cbors")) == MESSAGES[1:2]


def test_what_came_is_on_disk_while_the_stream_pauses(source, tmp_path):
    socket, endpoint = source(zmq.PUSH)
    stop, path = threading.Event(), tmp_path / "a.cbors"
    recorder = threading.Thread(
        target=record, args=(endpoint, path), kwargs={"stop": stop}
    )
    recorder.start()
    socket.send_multipart(MESSAGES[0])
    deadline_s = time.monotonic() + 10
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert list(read(path)) == MESSAGES[:1]
    stop.set()
    recorder.join(10)


def test_the_time_may_be_up_before_anything_came(source, tmp_path):
    _, endpoint = source(zmq.PUSH)
    done = record(endpoint, tmp_path / "a.cbors", seconds=0.2)
    assert (done["messages"], done["bytes"]) == (0, 0)


def test_an_existing_file_is_never_written_over(tmp_path):
    (tmp_path / "a.cbors").write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        record("tcp://127.0.0.1:1", tmp_path / "a.cbors", messages=1)
    assert (tmp_path / "a.cbors").read_bytes() == b"precious"


@pytest.mark.parametrize("endpoint", ["", "here", "tcp://", "udp://a:1", "tcp://a:b"])
def test_an_endpoint_that_is_none_is_told(tmp_path, endpoint):
    with pytest.raises(OSError, match="for example tcp://"):
        record(endpoint, tmp_path / "a.cbors", messages=1)
    assert not (tmp_path / "a.cbors").exists()
