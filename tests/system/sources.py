"""A source of the generic stream for tests, and what to ask a service about it."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import zmq

from srx_service.codecs import bslz4
from srx_service.messages import End, Image, Message, Start
from srx_service.protocols import stins

SHAPE = (6, 8)


def pixels(frame: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """The pixels of a frame: no two frames are alike."""
    return (np.arange(shape[0] * shape[1]).reshape(shape) + 100 * frame).astype("<u2")


def image(frame: int, *, encoding: str = "none", **fields: Any) -> Image:
    plain = pixels(frame)
    blob = bslz4.compress(plain) if encoding == "bslz4" else plain.tobytes()
    given = {"shape": SHAPE, "dtype": "uint16", "encoding": encoding, "blobs": (blob,)}
    return Image(number=None, frame=frame, **given | fields)


def series(name: str, count: int, **fields: Any) -> list[Message]:
    images = [image(frame, **fields) for frame in range(count)]
    return [Start(filename=name), *images, End()]


class Sender:
    """A PUSH socket that numbers what it sends, as a real source does."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        self.number = 0

    def send(self, *messages: Message) -> None:
        for message in messages:
            self.socket.send_multipart(stins.encode(message, self.number))
            self.number += 1

    def send_parts(self, *parts: bytes) -> None:
        """Send what no encoder would make."""
        self.socket.send_multipart(parts)


@contextlib.contextmanager
def sender_on(port: int) -> Iterator[Sender]:
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.sndtimeo = socket.linger = 30_000
        socket.bind(f"tcp://127.0.0.1:{port}")
        yield Sender(socket)
