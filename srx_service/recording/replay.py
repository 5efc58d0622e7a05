"""`srx replay`: a recording as a stream again, to whoever connects."""

import argparse
import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import zmq
from zmq.utils.monitor import recv_monitor_message

from srx_service.console import complain, print_line, stop_signals, within
from srx_service.recording import container, retouch
from srx_service.recording.container import Parts

logger = logging.getLogger(__name__)

DETECTORS_PORT = 9999

POLL_MS = 50
SEND_TIMEOUT_S = 60.0
"""So long may a receiver, or the lack of one, hold up the recording."""
LINGER_MS = 30_000
"""So long may the receiver take for what is under way at the end."""


class NobodyReceivesError(OSError):
    """No receiver connected, or none takes more."""


class Outlet:
    """A bound PUSH (or PUB) socket that knows when somebody receives.

    Args:
        host: The address to listen on.
        port: 0: any free one, see the attribute.
        is_pub: Publish to all subscribers; else each message goes to one receiver.
    """

    def __init__(self, host: str, port: int, *, is_pub: bool = False) -> None:
        self._is_pub = is_pub
        self._context = zmq.Context()
        # XPUB shows subscriptions as messages, and can wait where PUB would drop.
        self._socket = self._context.socket(zmq.XPUB if is_pub else zmq.PUSH)
        if is_pub:
            self._socket.setsockopt(zmq.XPUB_NODROP, 1)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        self._socket.setsockopt(zmq.SNDTIMEO, int(SEND_TIMEOUT_S * 1000))
        try:
            self._socket.bind(f"tcp://{host}:{port or '*'}")
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise OSError(f"port {port} of {host}: {error}") from None
        endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.port = int(endpoint.strip("\0").rsplit(":", 1)[1])

    def wait_for_receiver(self, timeout_s: float, stop: threading.Event) -> bool:
        """Return True once somebody receives, False when `stop` is set before.

        Raises:
            NobodyReceivesError: Nobody did in time.
        """
        sign = self._socket if self._is_pub else self._monitor
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            if stop.is_set():
                return False
            if sign.poll(POLL_MS):
                if not self._is_pub:
                    recv_monitor_message(self._monitor)
                return True
        raise NobodyReceivesError(
            f"nobody connected to port {self.port} for {timeout_s:g} s"
        )

    def send(self, parts: Parts) -> None:
        """Hand over a message; waits while the receivers are busy.

        Raises:
            NobodyReceivesError: They do not take it.
        """
        try:
            self._socket.send_multipart(parts, copy=False)
        except zmq.Again:
            raise NobodyReceivesError(
                f"no receiver on port {self.port} took a message for "
                f"{SEND_TIMEOUT_S:g} s"
            ) from None

    def close(self) -> None:
        """Wait until all is handed over, for at most LINGER_MS, and close."""
        self._socket.disable_monitor()
        self._monitor.close(linger=0)
        self._socket.close()
        self._context.term()


def replay(
    path: Path,
    outlet: Outlet,
    *,
    filename: str | None = None,
    end: bool = False,
    rate: float | None = None,
    repeat: int = 1,
    stream: str | None = None,
    stop: threading.Event | None = None,
) -> dict[str, object]:
    """Send a recording; return counts of what was sent.

    Args:
        path: The recording.
        outlet: Where to; somebody receives there.
        filename: In place of the recorded ones, in every header.
        end: Add the End where the last series has none.
        rate: Images a second; None: as fast as they are taken.
        repeat: How many times over.
        stream: Which one, of a recording of several.
        stop: Ends it from elsewhere.

    Raises:
        ConfigError: The file does not hold messages.
        OSError: It cannot be read, or nobody takes the messages.
    """
    stop = stop or threading.Event()
    counts: dict[str, int] = {"messages": 0, "images": 0, "ends_added": 0, "bytes": 0}
    due_s = begin_s = time.monotonic()
    for parts, role in _messages(path, filename, end, repeat, stream):
        if role == "image" and rate:
            due_s += 1 / rate
            stop.wait(max(0.0, due_s - time.monotonic()))
        if stop.is_set():
            break
        outlet.send(parts)
        counts["messages"] += 1
        counts["bytes"] += sum(map(len, parts))
        counts["images"] += role == "image"
        counts["ends_added"] += role == "added"
    return {**counts, "seconds": round(time.monotonic() - begin_s, 3)}


def _messages(
    path: Path, filename: str | None, end: bool, repeat: int, stream: str | None
) -> Iterator[tuple[Parts, str]]:
    for _ in range(repeat):
        series = retouch.OpenSeries()
        for recorded in container.read(path, stream):
            series.see(recorded)
            parts = (
                recorded if filename is None else retouch.renamed(recorded, filename)
            )
            yield parts, retouch.role(recorded)
        missing = series.missing_end() if end else None
        if missing:
            yield missing, "added"


def main(argv: list[str]) -> int:
    """Run `srx replay FILE --port P`."""
    options = _parser().parse_args(argv)
    with stop_signals() as stop:
        try:
            sent = _serve(options, stop)
        except OSError as error:
            return complain("srx replay", error)
    print_line({"file": str(options.file), **sent})
    return 0


def _serve(options: argparse.Namespace, stop: threading.Event) -> dict[str, object]:
    with contextlib.closing(container.read(options.file, options.stream)) as messages:
        next(messages)  # what is wrong with the file shows before anybody connects
    outlet = Outlet(options.host, options.port, is_pub=options.pub)
    with contextlib.closing(outlet):
        logger.info("waiting for a receiver on port %d", outlet.port)
        sent: dict[str, object] = {"port": outlet.port, "messages": 0}
        if outlet.wait_for_receiver(options.connect_timeout, stop):
            sent |= replay(
                options.file,
                outlet,
                filename=options.filename,
                end=options.end,
                rate=options.rate,
                repeat=options.repeat,
                stream=options.stream,
                stop=stop,
            )
    return sent


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "srx replay", description="Send a recording to whoever connects."
    )
    add = parser.add_argument
    add("file", type=Path, help="a recording: .cbors, .pkls, or a .zip of one")
    add(
        "--port",
        type=within(int, 0, 65535),
        default=DETECTORS_PORT,
        help="to listen on (9999, as detectors do); 0: any free one",
    )
    add("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for all")
    add("--filename", help="in place of the recorded ones; '': write no file")
    add("--end", action="store_true", help="add the End that the last series lacks")
    add(
        "--rate",
        type=within(float, 0.0, 1e9),
        metavar="HZ",
        help="images a second; default: no pauses",
    )
    add(
        "--repeat", type=within(int, 1, 10**9), default=1, help="send all so many times"
    )
    add("--connect-timeout", type=within(float, 0.0, 1e6), default=30.0, metavar="S")
    add("--pub", action="store_true", help="publish to all, for receivers that SUB")
    add("--stream", help="which one, of a recording of several")
    return parser
