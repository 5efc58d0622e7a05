"""Somebody who takes what a simulator streams."""

import contextlib
import threading

import zmq


@contextlib.contextmanager
def receiver(simulator):
    """Take what it streams: without anybody there, it waits or drops."""
    over = threading.Event()

    def receive():
        with zmq.Context() as context, context.socket(zmq.PULL) as pull:
            pull.linger, pull.rcvtimeo = 0, 10
            pull.connect(simulator.endpoint)
            while not over.is_set():
                with contextlib.suppress(zmq.Again):
                    pull.recv_multipart()

    thread = threading.Thread(target=receive)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
