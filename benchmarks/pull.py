"""A client of the secondary port that takes everything, as a process: `pull.py PORT`.

Prints 0 once it is connected; then the number of images so far at each series_end, and
whenever nothing has come for a while.
"""

import sys

import msgspec
import zmq
from zmq.utils.monitor import recv_monitor_message

QUIET_MS = 300


class Head(msgspec.Struct):
    """What every message begins with; the rest of it is passed over."""

    htype: str


read = msgspec.json.Decoder(Head).decode


def main() -> None:
    """Take messages until the process is ended."""
    socket = zmq.Context().socket(zmq.PULL)
    monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    socket.connect(f"tcp://127.0.0.1:{sys.argv[1]}")
    recv_monitor_message(monitor)
    socket.disable_monitor()
    print(0, flush=True)
    socket.rcvtimeo = QUIET_MS
    images = told = 0
    while True:
        try:
            parts = socket.recv_multipart(copy=False)
        except zmq.Again:
            if images != told:
                told = images
                print(images, flush=True)
            continue
        kind = read(parts[0].buffer).htype
        images += kind == "image"
        if kind == "series_end":
            told = images
            print(images, flush=True)


if __name__ == "__main__":
    main()
