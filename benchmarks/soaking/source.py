"""A detector on one connection, whose network does to its messages what was planned."""

import errno
import time
from collections.abc import Iterable

import zmq

from benchmarks.soaking.series import UNSEEN, Frame, Kind, Series
from srx_service.messages import Buffer, End, Start
from srx_service.protocols.stins import encode

PATIENCE_S = 60.0
NO_IMAGE = b'{"htype":"image","msg_number":%d,"frame":-1}'
GARBLED = b'\xff\xfe{"htype'


class Source:
    """Numbers its messages over all series, as a real one does, until it restarts."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self.messages = 0
        """Sent so far, in all."""
        self.lost = 0
        """Numbers that no message was seen of, though later ones were."""
        self._unseen = 0
        """Those after which nothing was seen yet."""
        self.restarts = 0
        self._context = zmq.Context()
        self._bind()

    def _bind(self) -> None:
        self._number = 0
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.sndtimeo = self._socket.linger = int(1e3 * PATIENCE_S)
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._socket.bind(self.endpoint)
                return
            except zmq.ZMQError as error:  # the one before is still being closed
                if error.errno != errno.EADDRINUSE or time.monotonic() > deadline_s:
                    raise
                time.sleep(0.01)

    @property
    def is_new(self) -> bool:
        """True until it has sent something, or lost it."""
        return self._number == 0

    def restart(self, *, loses: bool = False) -> None:
        """Begin anew with number 0.

        Args:
            loses: What is not on its way yet is never sent.
        """
        self.restarts += 1
        self._unseen = 0
        self._socket.close(0 if loses else None)
        self._bind()

    def wait_until_connected(self) -> None:
        """Return once somebody is there to send to."""
        if not self._socket.poll(int(1e3 * PATIENCE_S), zmq.POLLOUT):
            raise RuntimeError(f"nobody connects to {self.endpoint}")

    def close(self) -> None:
        """End it, whatever is still to be sent."""
        self._context.destroy(linger=0)

    # -- series -----------------------------------------------------------------------

    def send(self, series: Series, file: str = "", **metadata: object) -> None:
        """Send a whole series that names a file, or none."""
        self.begin(file if series.start == "sent" else None, **metadata)
        first = self._number
        self._frames(series.kind, series.in_wire_order(), first)
        for frame in series.frames:
            self._pass(is_seen=frame.fate not in UNSEEN)
        self.end(0 if series.end == "lost" else 1 + (series.end == "twice"))
        late = [frame for frame in series.frames if frame.fate == "after the end"]
        self._frames(series.kind, late, first)

    def begin(self, file: str | None, **metadata: object) -> None:
        """Send the header of a series; None: it is lost."""
        if file is not None:
            start = Start(filename=file, metadata=dict(metadata))
            self._put(encode(start, self._number))
        self._pass(is_seen=file is not None)

    def frames(self, kind: Kind, frames: Iterable[Frame]) -> None:
        """Send frames that nothing goes wrong with."""
        for frame in frames:
            self._put(encode(kind.image(frame), self._number))
            self._pass(is_seen=True)

    def end(self, times: int = 1) -> None:
        """Send the end of a series."""
        for _ in range(times):
            self._put(encode(End(), self._number))
        self._pass(is_seen=times > 0)

    def _pass(self, *, is_seen: bool) -> None:
        """Go on to the next number."""
        self._number += 1
        self._unseen += 1
        if is_seen:
            self.lost += self._unseen - 1
            self._unseen = 0

    def _frames(self, kind: Kind, frames: Iterable[Frame], first: int) -> None:
        for frame in frames:
            number = first + frame.index
            match frame.fate:
                case "lost":
                    continue
                case "broken":
                    self._put([NO_IMAGE % number, b""])
                case "garbled":
                    self._put([GARBLED, b""])
                case _:
                    parts = encode(kind.image(frame), number)
                    for _ in range(2 if frame.fate == "twice" else 1):
                        self._put(parts)

    def _put(self, parts: list[Buffer]) -> None:
        self._socket.send_multipart(parts)
        self.messages += 1
