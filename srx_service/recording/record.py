"""`srx record`: every message of a stream into a file, as received."""

import argparse
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

import zmq

from srx_service.console import complain, print_line, stop_signals, within
from srx_service.recording import container

POLL_MS = 100


def record(
    endpoint: str,
    path: Path,
    *,
    socket: Literal["pull", "sub"] = "pull",
    messages: int | None = None,
    seconds: float | None = None,
    stream: str = "stream",
    stop: threading.Event | None = None,
) -> dict[str, object]:
    """Write what comes until enough came, the time is up or `stop` is set.

    Args:
        endpoint: Where the source listens: tcp://host:9999.
        path: A file that does not exist yet.
        socket: A source that pushes gives each message to one receiver only: to us, or
            to the service.
        messages: How many are enough.
        seconds: How long to record.
        stream: The name of the stream in the file.
        stop: Ends it from elsewhere.

    Raises:
        OSError: The file exists or cannot be written, the endpoint is none.
    """
    count = size = 0
    with path.open("xb") as file, _connect(endpoint, socket, path) as source:
        for parts in _received(source, file, seconds, stop or threading.Event()):
            size += file.write(container.event(count, stream, parts, time.time()))
            count += 1
            if count == messages:
                break
    return {"file": str(path), "messages": count, "bytes": size}


def _received(
    source: zmq.Socket[bytes],
    file: BinaryIO,
    seconds: float | None,
    stop: threading.Event,
) -> Iterator[list[bytes]]:
    until_s = time.monotonic() + (seconds if seconds is not None else float("inf"))
    while not stop.is_set() and time.monotonic() < until_s:
        if source.poll(POLL_MS):
            yield source.recv_multipart()
        else:  # the stream pauses: what came shall survive whatever happens next
            file.flush()


def _connect(
    endpoint: str, socket: Literal["pull", "sub"], path: Path
) -> "_Connection":
    try:
        return _Connection(endpoint, socket)
    except OSError:
        path.unlink()  # only now made: as a PULL socket connects it takes messages
        raise


class _Connection:
    """A socket that receives from an endpoint, for as long as the block runs."""

    def __init__(self, endpoint: str, socket: Literal["pull", "sub"]) -> None:
        self._context = zmq.Context()
        kind = zmq.PULL if socket == "pull" else zmq.SUB
        self._socket = self._context.socket(kind)
        if socket == "sub":
            self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise OSError(f"{endpoint}: {error}; for example tcp://host:9999") from None

    def __enter__(self) -> zmq.Socket[bytes]:
        return self._socket

    def __exit__(self, *_: object) -> None:
        self._context.destroy(linger=0)


def main(argv: list[str]) -> int:
    """Run `srx record ENDPOINT FILE`."""
    parser = argparse.ArgumentParser(
        "srx record", description="Keep every message of a stream, as received."
    )
    add = parser.add_argument
    add("endpoint", help="where the source listens: tcp://host:9999")
    add("file", type=Path, help="to be written, .cbors; must not exist")
    add("--socket", choices=("pull", "sub"), default="pull", help="default: pull")
    add("--messages", type=within(int, 1, 10**12), help="stop after so many")
    add("--seconds", type=within(float, 0.0, 1e9), help="stop after so long")
    add("--stream", default="stream", help="its name in the file")
    options = vars(parser.parse_args(argv))
    with stop_signals() as stop:
        try:
            done = record(
                options.pop("endpoint"), options.pop("file"), stop=stop, **options
            )
        except OSError as error:
            return complain("srx record", error)
    print_line(done)
    return 0
