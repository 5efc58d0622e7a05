"""The one client of the secondary port that must get every image."""

import threading
from typing import Any

import msgspec
import zmq

POLLED_MS = 20


class Head(msgspec.Struct):
    """What every message begins with; the rest of it is passed over."""

    htype: str
    msg_number: int


_read = msgspec.json.Decoder(Head).decode


class Listener:
    """Takes all that the secondary port sends, until it is closed."""

    def __init__(self, port: int) -> None:
        self.images = 0
        self.skipped = 0
        """Numbers left out between two messages: there may be none."""
        self._number: int | None = None
        self._is_over = threading.Event()
        self._context = zmq.Context()
        self._socket: zmq.Socket[Any] = self._context.socket(zmq.PULL)
        self._socket.rcvhwm = 0
        self._socket.connect(f"tcp://127.0.0.1:{port}")
        self._thread = threading.Thread(target=self._listen, name="listener")
        self._thread.start()

    def _listen(self) -> None:
        while not self._is_over.is_set():
            if self._socket.poll(POLLED_MS):
                self._take(self._socket.recv_multipart(copy=False)[0].buffer)

    def _take(self, part: memoryview) -> None:
        head = _read(part)
        self.images += head.htype == "image"
        if self._number is not None:
            self.skipped += abs(head.msg_number - self._number - 1)
        self._number = head.msg_number

    def close(self) -> None:
        """Disconnect."""
        self._is_over.set()
        self._thread.join()
        self._context.destroy(linger=0)
