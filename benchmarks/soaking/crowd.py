"""Clients that come and go, polite ones and others, while series are received."""

import contextlib
import http.client
import itertools
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import zmq
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from benchmarks.clients import PULL

HOST = "127.0.0.1"
PATHS = (
    "/status",
    "/received_frames",
    "/downsample",
    "/last_frame",
    "/metrics",
    "/readyz",
    "/docs",
    "/api/v1/acquisitions",
    "/api/v1/acquisitions/nobody",
    "/api/v1/detector",
    "/api/v1/frame/latest",
    "/api/v1/frame/latest.png",
    "/api/v1/frame/latest.jpg",
    "/api/v1/frame/latest.npy",
    "/api/v1/frame/latest.png?downsample=0",
)
JUNK = (
    b"\0\1\2\3",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /status HTTP/1.1\r\nHost: x\r\n",
    b"POST /api/v1/acquisitions HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{",
    b"POST /downsample HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
)
UPGRADE = (
    b"GET /api/v1/live?rate=20 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: c3JlYW1pbmcgcmVjZWl2ZQ==\r\n\r\n"
)
"""A live view that is asked for by hand."""
GREETING = b"\xff\0\0\0\0\0\0\0\1\x7f\3"
"""How ZMTP 3 begins (rfc.zeromq.org/spec/23): a client that stops there."""
RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: closed at once, without a farewell."""
AT_A_TIME = 4
AT_ONCE = 32
"""As many threads as asyncio has for what blocks, at most."""
STAYS_S = 0.4
TIMEOUT_S = 10.0
GONE_WRONG = (OSError, http.client.HTTPException, WebSocketException, zmq.ZMQError)
"""What a client may meet that is none of the service's business."""


class Crowd:
    """Some clients at a time, each for a moment, until it is sent home.

    Args:
        api_port: Of the HTTP interface.
        forward_port: The secondary port.
        seed: Decides who comes.
    """

    def __init__(self, api_port: int, forward_port: int, seed: int) -> None:
        self.visits: Counter[str] = Counter()
        """By what they came for."""
        self.answers: Counter[int] = Counter()
        """By HTTP status."""
        self._api, self._forward = api_port, forward_port
        self._seeds = itertools.count(seed * 1000)
        self._is_over = threading.Event()
        self._guests: ThreadPoolExecutor | None = None
        self._asked: list[Callable[[], None]] = []

    def come(self, *, may_pull: bool) -> None:
        """Let them in; `may_pull`: to the secondary port, too."""
        self._is_over.clear()
        self._guests = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="guest")
        kinds: dict[Callable[[random.Random], None], int] = {
            self._ask: 12,
            self._poll: 4,
            self._hang_up: 3,
            self._view: 3,
            self._stare: 1,
            self._post_too_much: 1,
            self._talk_junk: 3,
            self._scan: 3,
        }
        if may_pull:
            kinds |= {self._pull: 4, self._half_open: 2, self._be_killed: 1}
        self._visiting = [
            self._guests.submit(self._stay, kinds, next(self._seeds))
            for _ in range(AT_A_TIME)
        ]

    def leave(self) -> None:
        """Send them home; raises what should not have happened to one of them."""
        self._is_over.set()
        if self._guests is not None:
            self._guests.shutdown()
            self._guests = None
            for visit in self._visiting:
                visit.result()

    def rush(self) -> None:
        """Ask for a picture each, all at once: whatever threads that takes are made."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="rush") as guests:
            list(guests.map(self._look, range(1, AT_ONCE + 1)))

    def _look(self, downsample: int) -> None:
        with self._http() as asked, contextlib.suppress(*GONE_WRONG):
            asked.request("GET", f"/api/v1/frame/latest.png?downsample={downsample}")
            self._answer(asked)

    def _stay(
        self, kinds: dict[Callable[[random.Random], None], int], seed: int
    ) -> None:
        rng = random.Random(seed)
        while not self._is_over.wait(rng.random() * STAYS_S / 4):
            (visit,) = rng.choices([*kinds], [*kinds.values()])
            with contextlib.suppress(*GONE_WRONG):
                visit(rng)
            self.visits[visit.__name__.strip("_").replace("_", " ")] += 1

    # -- over HTTP --------------------------------------------------------------------

    def _http(self) -> contextlib.closing[http.client.HTTPConnection]:
        found = http.client.HTTPConnection(HOST, self._api, timeout=TIMEOUT_S)
        return contextlib.closing(found)

    def _answer(self, asked: http.client.HTTPConnection) -> None:
        answer = asked.getresponse()
        answer.read()
        self.answers[answer.status] += 1

    def _ask(self, rng: random.Random) -> None:
        with self._http() as asked:
            for _ in range(rng.randrange(1, 6)):
                asked.request("GET", rng.choice(PATHS))
                self._answer(asked)

    def _poll(self, rng: random.Random) -> None:
        """Wait for rows that never come, of whatever is there."""
        with self._http() as asked:
            asked.request("GET", "/status")
            answer = asked.getresponse()
            told = answer.read().decode()
            found = told.partition('"acquisition":"')[2][:12]
            timeout = rng.random() * STAYS_S
            path = f"/api/v1/acquisitions/{found}?wait_frames=9999&timeout={timeout}"
            asked.request("GET", path)
            self._answer(asked)

    def _hang_up(self, rng: random.Random) -> None:
        with self._http() as asked:
            asked.request("GET", rng.choice(PATHS))
            if rng.random() < 0.5 and asked.sock is not None:
                asked.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def _post_too_much(self, rng: random.Random) -> None:
        with self._http() as asked:
            asked.request("POST", "/api/v1/acquisitions", bytes(rng.choice([9, 2**21])))
            self._answer(asked)

    def _view(self, rng: random.Random) -> None:
        url = f"ws://{HOST}:{self._api}/api/v1/live?rate=20"
        with connect(url, ping_interval=None, close_timeout=1.0) as viewer:
            for _ in range(rng.randrange(1, 8)):
                viewer.recv(timeout=STAYS_S)

    def _stare(self, rng: random.Random) -> None:
        """Take nothing of a live view, and go without a farewell."""
        with socket.create_connection((HOST, self._api), TIMEOUT_S) as sock:
            sock.sendall(UPGRADE)
            sock.recv(16)
            self._is_over.wait(STAYS_S * rng.random())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    # -- over TCP ---------------------------------------------------------------------

    def _talk_junk(self, rng: random.Random) -> None:
        with socket.create_connection((HOST, self._api), TIMEOUT_S) as sock:
            sock.sendall(rng.choice(JUNK))
            self._is_over.wait(STAYS_S * rng.random())
            if rng.random() < 0.5:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def _scan(self, rng: random.Random) -> None:
        for _ in range(rng.randrange(1, 10)):
            port = rng.choice([self._api, self._forward])
            socket.create_connection((HOST, port), TIMEOUT_S).close()

    def _half_open(self, rng: random.Random) -> None:
        with socket.create_connection((HOST, self._forward), TIMEOUT_S) as sock:
            sock.sendall(GREETING[: rng.randrange(len(GREETING) + 1)])
            self._is_over.wait(STAYS_S * rng.random())
            if rng.random() < 0.5:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    # -- live processing --------------------------------------------------------------

    def _pull(self, rng: random.Random) -> None:
        is_lazy = rng.random() < 0.3
        with zmq.Context() as context, context.socket(zmq.PULL) as client:
            client.linger, client.rcvhwm = 0, rng.choice([1, 1000])
            client.connect(f"tcp://{HOST}:{self._forward}")
            until_s = time.monotonic() + STAYS_S * rng.random()
            while time.monotonic() < until_s and not self._is_over.is_set():
                if is_lazy:
                    self._is_over.wait(0.05)
                elif client.poll(50):
                    client.recv_multipart(copy=False)

    def _be_killed(self, rng: random.Random) -> None:
        words = [sys.executable, str(PULL), str(self._forward)]
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        with subprocess.Popen(words, stdout=pipe, stderr=null) as client:
            try:
                assert client.stdout is not None
                # it tells that it is connected
                select.select([client.stdout], [], [], TIMEOUT_S)
                self._is_over.wait(STAYS_S * rng.random())
            finally:
                client.send_signal(signal.SIGKILL)
