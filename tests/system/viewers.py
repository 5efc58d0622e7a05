"""Viewers of `WS /api/v1/view`, as a page is one."""

import base64
import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from websockets.sync.client import ClientConnection, connect

PATIENCE_S = 30.0


class Seen(NamedTuple):
    """A picture, and what is told of it."""

    told: dict[str, Any]
    levels: np.ndarray


def read(message: bytes) -> Seen:
    length = int.from_bytes(message[:4], "little")
    told = json.loads(message[4 : 4 + length])
    levels = np.frombuffer(message, np.uint8, offset=4 + length)
    return Seen(told, levels.reshape(told["rows"], told["columns"]))


class Viewer:
    """One connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.reports: list[dict[str, Any]] = []

    def say(self, **wish: Any) -> None:
        self.socket.send(json.dumps(wish))

    def sees(self, **wanted: Any) -> Seen:
        """Wait for a picture of which this is told."""
        deadline_s = time.monotonic() + PATIENCE_S
        seen = None
        while time.monotonic() < deadline_s:
            message = self.socket.recv(max(0.0, deadline_s - time.monotonic()))
            if isinstance(message, str):
                self.reports.append(json.loads(message))
                continue
            seen = read(message)
            if all(seen.told[name] == value for name, value in wanted.items()):
                return seen
        raise AssertionError(f"{wanted} was not seen, last {seen}")

    def sees_frame(self, frame: int) -> Seen:
        while True:
            seen = self.sees()
            if seen.told["header"]["frame"] == frame:
                return seen

    def hears(self) -> dict[str, Any]:
        """Wait for the next text."""
        while isinstance(message := self.socket.recv(PATIENCE_S), bytes):
            pass
        return json.loads(message)


@contextlib.contextmanager
def viewing(url: str, *, token: str | None = None, **options: Any) -> Iterator[Viewer]:
    """Look at a service, as long as the block lasts."""
    protocols = ["srx.view"]
    if token is not None:
        text = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
        protocols.append(f"srx.token.{text}")
    address = url.replace("http", "ws", 1) + "/api/v1/view"
    given = {"max_size": None, "compression": None, "close_timeout": 1.0} | options
    with connect(address, subprotocols=protocols, **given) as socket:
        assert socket.subprotocol == "srx.view"
        yield Viewer(socket)
