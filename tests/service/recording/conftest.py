"""What the tests of recording share: receivers."""

import threading
from collections.abc import Callable, Iterator

import pytest
import zmq


@pytest.fixture
def receive() -> Iterator[Callable[..., Callable[[], list[list[bytes]]]]]:
    """receive(port, n) -> result(): n messages, pulled in a thread from then on."""
    threads: list[threading.Thread] = []

    def begin(port: int, count: int, kind: int = zmq.PULL):
        found: list[list[bytes]] = []
        thread = threading.Thread(target=_pull, args=(port, count, kind, found))
        thread.start()
        threads.append(thread)

        def result() -> list[list[bytes]]:
            thread.join(30)
            return found

        return result

    yield begin
    for thread in threads:
        thread.join()


def _pull(port: int, count: int, kind: int, found: list[list[bytes]]) -> None:
    with zmq.Context() as context, context.socket(kind) as socket:
        if kind == zmq.SUB:
            socket.setsockopt(zmq.SUBSCRIBE, b"")
        socket.setsockopt(zmq.RCVTIMEO, 10_000)
        socket.connect(f"tcp://127.0.0.1:{port}")
        while len(found) < count:
            found.append(socket.recv_multipart())
