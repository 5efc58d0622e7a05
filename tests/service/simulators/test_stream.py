"""Sockets of several modules, and those that publish."""

import threading

import pytest

from srx_service.simulators.faults import Died, Faults
from srx_service.simulators.stream import ImageStream
from tests.conftest import pick_port

HOST = "127.0.0.1"


@pytest.fixture
def stream():
    """stream(**options): a stream on a free port, closed after the test."""
    streams = []

    def make(port=0, **options):
        streams.append(ImageStream(HOST, port, **{"send_timeout_s": 10.0} | options))
        return streams[-1]

    yield make
    for each in streams:
        each.close()


@pytest.fixture
def base():
    """The first of three ports in a row that nobody listens on."""
    while True:
        port = pick_port()
        try:
            ImageStream(HOST, port, modules=3).close()
        except OSError:
            continue
        return port


def endpoints(stream):
    return [f"tcp://{HOST}:{port}" for port in stream.ports]


def frame(k, modules=2):
    return [(module, [b"%d" % module, b"%d" % k]) for module in range(modules)]


def send(stream, count, modules=2):
    halt = threading.Event()
    stream.send_images(range(count), lambda k: frame(k, modules), 0.0, halt)


@pytest.mark.parametrize("kind", ["push", "sub"])
def test_each_module_has_its_messages_on_its_socket(stream, connect, kind):
    sender = stream(kind="push" if kind == "push" else "pub", modules=2)
    pulls = [
        connect(each, kind="pull" if kind == "push" else "sub")
        for each in endpoints(sender)
    ]
    assert sender.wait_for_receivers(threading.Event())
    send(sender, 3)
    for module, pull in enumerate(pulls):
        assert pull(3) == [[b"%d" % module, b"%d" % k] for k in range(3)]
    assert sender.dropped == 0


def test_the_ports_of_modules_follow_one_another(stream, base):
    assert stream(base, modules=3).ports == [base, base + 1, base + 2]


def test_a_taken_port_of_a_module_is_an_error_that_names_it(stream, base):
    stream(base + 1)
    with pytest.raises(OSError, match=f"stream port {base + 1} of"):
        stream(base, modules=2)
    stream(base)  # the first one was given back


def test_what_is_published_to_nobody_is_dropped_at_once(stream):
    sender = stream(kind="pub", send_timeout_s=3600.0)
    send(sender, 3, modules=1)
    assert sender.dropped == 3


def test_nobody_is_waited_for_longer_than_told(stream):
    halt = threading.Event()
    assert not stream(kind="pub", send_timeout_s=0.0).wait_for_receivers(halt)
    halt.set()
    assert not stream(kind="pub", send_timeout_s=3600.0).wait_for_receivers(halt)


def test_a_module_that_nobody_pulls_costs_its_frames(stream, connect):
    sender = stream(modules=2, send_timeout_s=2.0)
    pull = connect(endpoints(sender)[0])
    assert pull is not None
    send(sender, 3)
    assert sender.dropped == 3
    assert len(pull(3)) == 3


def test_the_messages_of_one_module_may_be_lost(stream, connect):
    sender = stream(modules=2, faults=Faults.parse("lose_module=0.5"), seed=1)
    pulls = [connect(each) for each in endpoints(sender)]
    send(sender, 40)
    found = [{int(parts[1]) for parts in pull()} for pull in pulls]
    assert found[0] | found[1] == set(range(40))
    assert all(0 < len(frames) < 40 for frames in found)


def test_a_death_ends_all_modules_at_the_same_frame(stream, connect):
    sender = stream(modules=2, faults=Faults.parse("die=2"))
    pulls = [connect(each) for each in endpoints(sender)]
    with pytest.raises(Died):
        send(sender, 4)
    assert [len(pull()) for pull in pulls] == [2, 2]


def test_a_closed_stream_takes_nothing(stream):
    sender = stream(kind="pub", send_timeout_s=0.0)
    sender.close()
    assert not sender.send([(0, [b"x"])])
    assert not sender.wait_for_receivers(threading.Event())
