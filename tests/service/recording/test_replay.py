import contextlib
import json
import threading
import time

import pytest
import zmq

from srx_service.recording import container, retouch
from srx_service.recording.replay import NobodyReceivesError, Outlet, replay

HEADER = [b'{"htype":"header","filename":"old","msg_number":5}', b'{"a":1}']
IMAGES = [
    [b'{"htype":"image","frame":%d,"msg_number":%d}' % (k, k + 6), b"\1" * 100_000]
    for k in range(3)
]


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "a.cbors"
    messages = [HEADER, *IMAGES]
    items = [container.event(k, "a", parts) for k, parts in enumerate(messages)]
    path.write_bytes(b"".join(items))
    return path


@pytest.fixture
def outlet():
    with contextlib.closing(Outlet("127.0.0.1", 0)) as found:
        yield found


def sent(path, receive, count, **options):
    with contextlib.closing(Outlet("127.0.0.1", 0)) as outlet:
        result = receive(outlet.port, count)
        assert outlet.wait_for_receiver(10, threading.Event())
        done = replay(path, outlet, **options)
        return result(), done


def test_a_recording_is_sent_as_it_was(recording, receive):
    got, done = sent(recording, receive, 4)
    assert got == [HEADER, *IMAGES]
    assert (done["messages"], done["images"], done["ends_added"]) == (4, 3, 0)
    assert done["bytes"] == sum(len(part) for parts in got for part in parts)


def test_the_name_is_replaced_and_the_missing_end_added(recording, receive):
    got, done = sent(recording, receive, 5, filename="/new.h5", end=True)
    assert json.loads(got[0][0])["filename"] == "/new.h5"
    assert got[1:4] == IMAGES
    assert json.loads(got[4][0]) == {"htype": "series_end", "msg_number": 9}
    assert done["ends_added"] == 1


def test_a_recording_is_sent_several_times_over(recording, receive):
    got, _ = sent(recording, receive, 8, repeat=2)
    assert got == 2 * [HEADER, *IMAGES]


def test_images_are_sent_at_their_rate(recording, receive):
    begin_s = time.monotonic()
    sent(recording, receive, 4, rate=10)
    assert 0.3 <= time.monotonic() - begin_s < 5


def test_a_stop_ends_it_at_once(recording, receive, outlet):
    stop = threading.Event()
    stop.set()
    assert replay(recording, outlet, stop=stop)["messages"] == 0
    assert outlet.wait_for_receiver(10, stop) is False


def test_a_publisher_waits_for_its_subscription_and_loses_nothing(recording, receive):
    with contextlib.closing(Outlet("127.0.0.1", 0, is_pub=True)) as outlet:
        result = receive(outlet.port, 4000, zmq.SUB)
        assert outlet.wait_for_receiver(10, threading.Event())
        replay(recording, outlet, repeat=1000)
        assert result() == 1000 * [HEADER, *IMAGES]


def test_without_a_receiver_it_gives_up_in_time(outlet):
    with pytest.raises(NobodyReceivesError, match=f"port {outlet.port} for 0.1 s"):
        outlet.wait_for_receiver(0.1, threading.Event())


def test_a_tcp_connection_that_does_not_speak_is_no_receiver(outlet):
    import socket

    with (
        socket.create_connection(("127.0.0.1", outlet.port)),
        pytest.raises(NobodyReceivesError),
    ):
        outlet.wait_for_receiver(0.3, threading.Event())


def test_a_port_that_is_taken_is_told(outlet):
    with pytest.raises(OSError, match=f"port {outlet.port}"):
        Outlet("127.0.0.1", outlet.port)


RECORDINGS = {
    "eiger_legacy_dump.zip": 1,
    "stream2.zip": 0,
    "nanomax-eiger1m-forwarded.cbors": 0,
    "danmax-orca.cbors": 0,
    "xspress3-dump.cbors": 0,
    "xspress3-multipart.cbors": 0,
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_real_recordings_arrive_identical_but_for_the_name(recordings, receive, name):
    recorded = list(container.read(recordings / name))
    count = len(recorded) + RECORDINGS[name]
    got, done = sent(recordings / name, receive, count, filename="/a.h5", end=True)
    assert done["ends_added"] == RECORDINGS[name]
    for before, after in zip(recorded, got, strict=False):
        if retouch.role(before) != "start":
            assert after == before
        else:
            assert after != before
            assert after == retouch.renamed(before, "/a.h5")
            assert retouch.renamed(after, "/b.h5") == retouch.renamed(before, "/b.h5")


def test_the_recorded_eiger_header_keeps_all_but_its_appendix(recordings, receive):
    path = recordings / "eiger_legacy_dump.zip"
    recorded = list(container.read(path))
    got, _ = sent(path, receive, 11, filename="/a.h5", end=True)
    assert got[0][:8] == recorded[0][:8]
    assert json.loads(got[0][8]) == {"filename": "/a.h5", "rotate": 0}
    assert json.loads(got[10][0]) == {"htype": "dseries_end-1.0", "series": 14}
