import socket
from itertools import count

import pytest

from srx_service.systemd import Systemd


class Listener:
    """What systemd hears."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self):
        found = []
        try:
            for _ in count():
                found.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return found


@pytest.fixture
def clock():
    return [100.0]


@pytest.fixture
def listen():
    made = []

    def listen(address):
        made.append(Listener(address))
        return made[-1]

    yield listen
    for listener in made:
        listener.socket.close()


def test_it_is_ready_once_and_alive_in_time(tmp_path, listen, clock):
    path = str(tmp_path / "notify")
    listener = listen(path)
    systemd = Systemd(path, 8.0, clock=lambda: clock[0])
    for now_s in (100.0, 101.0, 102.5, 103.0, 104.6):
        clock[0] = now_s
        systemd.well()
    assert listener.heard() == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]


def test_without_a_watchdog_it_is_ready_and_says_no_more(tmp_path, listen, clock):
    path = str(tmp_path / "notify")
    listener = listen(path)
    systemd = Systemd(path, clock=lambda: clock[0])
    for now_s in (100.0, 1000.0):
        clock[0] = now_s
        systemd.well()
    assert listener.heard() == ["READY=1"]


def test_why_it_ends_is_told(tmp_path, listen):
    path = str(tmp_path / "notify")
    listener = listen(path)
    Systemd(path).ending("SIGTERM")
    assert listener.heard() == ["STOPPING=1\nSTATUS=SIGTERM"]


def test_an_address_in_the_abstract_namespace_is_understood(tmp_path, listen):
    listener = listen(f"\0srx-test-{tmp_path}"[:100])
    name = listener.socket.getsockname().decode()
    Systemd("@" + name[1:]).well()
    assert listener.heard() == ["READY=1"]


def test_without_systemd_nobody_is_told():
    Systemd(None, 1.0).well()


def test_a_supervisor_that_is_gone_does_no_harm(tmp_path, caplog):
    systemd = Systemd(str(tmp_path / "gone"))
    systemd.well()
    systemd.ending("SIGTERM")
    assert "cannot be told" in caplog.text
