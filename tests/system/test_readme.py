"""The README's consumer of the secondary port gets what a detector sends, in full."""

import subprocess
import sys

import pytest

from tests.blocks import blocks
from tests.conftest import pick_port
from tests.system.sources import pixels, sender_on, series

FRAMES = 20
[CONSUMER] = [b.text for b in blocks("python") if b.file == "README.md"]


@pytest.fixture
def consume():
    """Start the README's consumer at a port; ended in any case."""
    started = []

    def _consume(port):
        code = CONSUMER.replace("localhost:26001", f"127.0.0.1:{port}")
        command = [sys.executable, "-c", code]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[0]

    yield _consume
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("encoding", ["none", "bslz4"])
def test_the_consumer_gets_every_image(start_service, consume, encoding):
    port = pick_port()
    service = start_service({"dcu_port_purple": port})
    consumer = consume(service.ports["data_port"])
    service.wait_until(lambda: service.get("/status")["clients"] == 1)
    with sender_on(port) as sender:
        sender.send(*series("", FRAMES, encoding=encoding))
        printed, _ = consumer.communicate(timeout=30)
    assert printed == "".join(f"{n} {pixels(n).max()}\n" for n in range(FRAMES))
    assert consumer.returncode == 0
