"""What the simulators' tests share: a socket that pulls, HTTP without ceremony."""

import contextlib
from collections.abc import Callable, Iterator

import httpx
import pytest
import zmq

from srx_service.simulators.eiger import EigerSimulator

Pull = Callable[..., list[list[bytes]]]


@pytest.fixture
def connect() -> Iterator[Callable[[str], Pull]]:
    """connect(endpoint) -> pull(n): the next n messages, or all until a pause.

    With kind="sub" for a detector that publishes.
    """
    context = zmq.Context()
    sockets = []

    def to(endpoint: str, high_water: int = 1000, kind: str = "pull") -> Pull:
        socket = context.socket(zmq.PULL if kind == "pull" else zmq.SUB)
        if kind == "sub":
            socket.subscribe(b"")
        socket.setsockopt(zmq.RCVHWM, high_water)
        socket.connect(endpoint)
        sockets.append(socket)

        def pull(count: int | None = None) -> list[list[bytes]]:
            found: list[list[bytes]] = []
            while count is None or len(found) < count:
                is_more_sure = len(found) == 0 or count is not None
                if not socket.poll(10_000 if is_more_sure else 300):
                    break
                found.append(socket.recv_multipart())
            return found

        return pull

    yield to
    for socket in sockets:
        socket.close()
    context.destroy(linger=0)


@pytest.fixture
def http() -> Iterator[Callable[[str], httpx.Client]]:
    """http(url): a client of it, closed after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda url: stack.enter_context(httpx.Client(base_url=url, timeout=20))


@pytest.fixture
def eiger() -> Iterator[EigerSimulator]:
    """A control unit whose images nobody takes."""
    with EigerSimulator(shape=(60, 50), rate=0, send_timeout_s=0) as simulator:
        yield simulator


@pytest.fixture
def client(eiger: EigerSimulator, http: Callable[[str], httpx.Client]) -> httpx.Client:
    """Talks to it."""
    return http(eiger.url)
