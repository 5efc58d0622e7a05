"""The secondary port on real sockets: clients that come, go, stall, or scan ports."""

import json
import socket
import threading
import time
from typing import Literal

import numpy as np
import pydantic
import pytest
import zmq
from zmq.utils import garbage

from srx_service.codecs import bslz4
from srx_service.errors import ConfigError
from srx_service.forwarder import Forwarder
from srx_service.messages import End, Image, Start

MIB = 1 << 20
GREETING = b"\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL" + bytes(48)
READY = b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PULL"
"""With these a client of ZMTP 3.0 makes its handshake."""
V2_GREETING = b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x07\0\0"
"""Of a PULL socket of libzmq 3."""


class Stream1Start(pydantic.BaseModel, extra="allow"):
    """What dranspose accepts (dranspose/data/stream1.py)."""

    msg_number: int
    htype: Literal["header"]
    filename: str


class Stream1Data(pydantic.BaseModel, extra="allow"):
    msg_number: int
    htype: Literal["image"]
    frame: int
    shape: list[int]
    type: str
    compression: str


class Stream1End(pydantic.BaseModel, extra="allow"):
    msg_number: int
    htype: Literal["series_end"]


STREAM1 = pydantic.TypeAdapter(Stream1Start | Stream1Data | Stream1End)


def until(condition, timeout_s=10.0):
    limit = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < limit, "timeout"
        time.sleep(0.002)


@pytest.fixture(params=["one", "all"])
def start(request):
    """Open a port; all that a client is promised holds whoever gets the headers."""
    running = []

    def make(on_slow_client="drop", limit_bytes=64 * MIB, to=request.param):
        forwarder = Forwarder(
            address="tcp://127.0.0.1:0",
            limit_bytes=limit_bytes,
            on_slow_client=on_slow_client,
            to=to,
        )
        forwarder.open()
        thread = threading.Thread(target=forwarder.run)
        thread.start()
        running.append((forwarder, thread))
        return forwarder

    yield make
    for forwarder, thread in running:
        forwarder.stop()
        thread.join(5)
        assert not thread.is_alive()
    # pyzmq's own thread, which frees what was sent without a copy, outlives its use
    garbage.gc.stop()


@pytest.fixture
def connect():
    context = zmq.Context()
    clients = []

    def make(forwarder, kind=zmq.PULL, **options):
        client = context.socket(kind)
        clients.append(client)
        for name, value in ({"linger": 0, "rcvtimeo": 10_000} | options).items():
            setattr(client, name, value)
        had = forwarder.clients
        client.connect(forwarder.endpoint)
        if kind == zmq.SUB:
            client.subscribe("")
        if (kind == zmq.SUB) == (forwarder._to == "subscribers"):
            until(lambda: forwarder.clients == had + 1)
        return client

    yield make
    context.destroy(linger=0)


def stall(connect, forwarder):
    """Connect a client that never reads, and takes as little as can be."""
    return connect(forwarder, rcvhwm=1, rcvbuf=4096)


def tcp(forwarder, text=b""):
    peer = socket.create_connection(("127.0.0.1", forwarder.port))
    peer.sendall(text)
    return peer


def image(frame, blob, shape=(4,), **fields):
    fields = {"dtype": "uint8", "encoding": "none"} | fields
    return Image(number=frame, frame=frame, shape=shape, blobs=(blob,), **fields)


def put_series(forwarder, count, blob=b"1234", **fields):
    forwarder.put([Start(filename="a.h5")], 10)
    for k in range(count):
        forwarder.put([image(k, blob, **fields)], len(blob))
    forwarder.put([End()], 10)


def receive(client):
    """Return the messages up to a series' end: (header, blobs)."""
    messages = []
    while not messages or messages[-1][0]["htype"] != "series_end":
        header, *blobs = client.recv_multipart()
        messages.append((json.loads(header), blobs))
    return messages


@pytest.mark.parametrize("mode", ["drop", "wait"])
@pytest.mark.parametrize("encoding", ["none", "bslz4"])
def test_a_client_gets_every_pixel(start, connect, mode, encoding):
    forwarder = start(mode)
    client = connect(forwarder)
    pixels = np.random.default_rng(1).integers(0, 99, (300, 200), "uint32")
    blob = pixels.tobytes() if encoding == "none" else bslz4.compress(pixels)
    put_series(forwarder, 20, blob, shape=(300, 200), dtype="uint32", encoding=encoding)
    header, *images, _end = receive(client)
    assert [h["frame"] for h, _ in images] == list(range(20))
    assert all(blobs == [blob] for _, blobs in images)
    assert (header[0]["filename"], images[0][0]["compression"]) == ("a.h5", encoding)


def test_dranspose_accepts_every_message(start, connect):
    forwarder = start()
    client = connect(forwarder)
    put_series(forwarder, 2)
    for header, _ in receive(client):
        STREAM1.validate_json(json.dumps(header))


def test_a_frame_received_from_zeromq_goes_on_without_a_copy(start, connect):
    forwarder = start()
    client = connect(forwarder)
    frame = zmq.Frame(np.arange(100_000, dtype="uint8").tobytes())
    put_series(forwarder, 3, memoryview(frame), shape=(100_000,))
    assert [b for _, b in receive(client)[1:-1]] == [[frame.bytes]] * 3


@pytest.mark.parametrize("text", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" + bytes(70)])
@pytest.mark.parametrize("mode", ["drop", "wait"])
def test_who_does_not_speak_zeromq_is_no_client_and_blocks_nothing(start, mode, text):
    forwarder = start(mode, limit_bytes=1000)
    with tcp(forwarder, text):
        put_series(forwarder, 500, bytes(100))
        until(lambda: forwarder.queued_bytes == 0)
    assert (forwarder.clients, forwarder.dropped_images) == (0, 0)
    assert forwarder.sent_images == 0


def test_a_port_scan_beside_a_client_changes_nothing(start, connect):
    forwarder = start("wait")
    with tcp(forwarder):
        client = connect(forwarder)
        tcp(forwarder).close()
        put_series(forwarder, 50)
        assert len(receive(client)) == 52
    time.sleep(0.05)  # its going must not be taken for the client's
    put_series(forwarder, 50)
    assert len(receive(client)) == 52
    assert forwarder.clients == 1


def test_a_socket_of_another_type_is_no_client(start, connect):
    forwarder = start("wait")
    client = connect(forwarder)
    connect(forwarder, zmq.SUB)
    put_series(forwarder, 5)
    assert len(receive(client)) == 7
    time.sleep(0.05)
    assert forwarder.clients == 1


def test_a_client_that_never_reads_delays_nobody(start, connect):
    forwarder = start(limit_bytes=4 * MIB)
    stall(connect, forwarder)
    began_s = time.monotonic()
    put_series(forwarder, 500, bytes(MIB))
    until(lambda: forwarder.queued_bytes == 0)
    assert time.monotonic() - began_s < 5
    assert forwarder.sent_images + forwarder.dropped_images == 500
    assert forwarder.dropped_images > 400


def test_what_waits_for_a_client_is_bounded_by_bytes(start, connect):
    forwarder = start("wait", limit_bytes=16 * MIB)
    stall(connect, forwarder)
    blob = bytes(MIB)
    forwarder.put([Start()], 0)
    for k in range(200):
        if forwarder.is_full:
            break
        forwarder.put([image(k, blob)], MIB)
        time.sleep(0.002)
    in_kernel = 8
    assert forwarder.is_full
    assert forwarder.queued_bytes <= 9 * MIB
    assert forwarder.sent_images <= 8 + in_kernel


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n", V2_GREETING])
def test_no_image_goes_to_who_is_no_client(start, connect, text):
    forwarder = start("wait")
    client = connect(forwarder)
    with tcp(forwarder, text):
        time.sleep(0.05)
        put_series(forwarder, 50)
        assert len(receive(client)) == 52
    assert forwarder.sent_images == 50


@pytest.mark.parametrize("size", [MIB, 1 << 62])
def test_who_sends_instead_of_listening_is_cut_off(start, size):
    forwarder = start()
    with tcp(forwarder, GREETING + READY) as peer:
        until(lambda: forwarder.clients == 1)
        peer.sendall(b"\x02" + size.to_bytes(8, "big"))
        until(lambda: forwarder.clients == 0)


def test_clients_that_come_and_go_do_no_harm(start, connect):
    forwarder = start()
    for k in range(30):
        client = connect(forwarder)
        put_series(forwarder, 3, bytes(100_000 * (k % 3)))
        client.close()
        until(lambda: forwarder.clients == 0)


def test_a_client_that_wakes_up_gets_headers_ends_and_gapless_numbers(start, connect):
    forwarder = start(limit_bytes=MIB)
    client = stall(connect, forwarder)
    for _ in range(5):
        put_series(forwarder, 50, bytes(100_000))
    until(lambda: forwarder.queued_bytes == 0)
    headers = [h for _ in range(5) for h, _ in receive(client)]
    kinds = [h["htype"] for h in headers]
    assert [h["msg_number"] for h in headers] == list(range(len(headers)))
    assert kinds.count("header") == kinds.count("series_end") == 5
    assert kinds.count("image") == forwarder.sent_images
    assert forwarder.sent_images + forwarder.dropped_images == 250


def test_a_slow_client_gets_every_image_when_the_line_waits(start, connect):
    forwarder = start("wait", limit_bytes=MIB)
    client = connect(forwarder, rcvhwm=1, rcvbuf=4096)

    def put():
        forwarder.put([Start()], 0)
        for k in range(100):
            until(lambda: not forwarder.is_full)
            forwarder.put([image(k, bytes(200_000))], 200_000)
        forwarder.put([End()], 0)

    line = threading.Thread(target=put)
    line.start()
    assert len(receive(client)) == 102
    line.join()
    assert forwarder.dropped_images == 0


def test_the_line_goes_on_when_the_client_it_waits_for_dies(start, connect):
    forwarder = start("wait", limit_bytes=MIB)
    client = stall(connect, forwarder)
    forwarder.put([Start(), *[image(k, bytes(100_000)) for k in range(300)]], 30 * MIB)
    time.sleep(0.1)
    assert forwarder.is_full
    client.close()
    until(lambda: forwarder.queued_bytes == 0)
    assert (forwarder.clients, forwarder.dropped_images) == (0, 0)


def test_a_client_that_comes_back_in_mid_series_gets_the_header_first(start, connect):
    forwarder = start()
    client = connect(forwarder)
    forwarder.put([Start(filename="b.h5"), image(0, b"1234")], 14)
    client.recv_multipart()
    client.close()
    until(lambda: forwarder.clients == 0)
    client = connect(forwarder)
    forwarder.put([image(1, b"1234"), End()], 14)
    headers = [h for h, _ in receive(client)]
    assert [h.get("filename", h.get("frame")) for h in headers] == ["b.h5", 1, None]
    # One client gets a header of its own, all get the one that there is.
    numbers = {"one": [2, 3, 4], "all": [0, 2, 3]}
    assert [h["msg_number"] for h in headers] == numbers[forwarder._to]


def test_two_clients_share_the_images(start, connect):
    forwarder = start("wait")
    clients = [connect(forwarder), connect(forwarder)]
    put_series(forwarder, 8)
    counts = [0, 0]
    until(lambda: forwarder.sent_images == 8)
    for k, client in enumerate(clients):
        while client.poll(200):
            counts[k] += client.recv_multipart() is not None
    assert counts == {"one": [5, 5], "all": [6, 6]}[forwarder._to]


def test_stops_at_once_while_a_client_reads_nothing(start, connect):
    forwarder = start("wait", limit_bytes=MIB)
    stall(connect, forwarder)
    forwarder.put([Start(), *[image(k, bytes(100_000)) for k in range(300)]], 30 * MIB)
    time.sleep(0.1)
    began_s = time.monotonic()
    forwarder.stop()
    until(lambda: forwarder._is_closed)
    assert time.monotonic() - began_s < 2.5


def test_what_was_put_before_the_stop_arrives(start, connect):
    forwarder = start()
    client = connect(forwarder)
    put_series(forwarder, 100)
    forwarder.stop()
    assert len(receive(client)) == 102


def test_a_port_in_use_is_told_at_the_start(start):
    address = start().endpoint
    forwarder = Forwarder(address=address, limit_bytes=1, on_slow_client="drop")
    with pytest.raises(
        ConfigError, match=r"data_port: cannot listen on tcp://.*in use"
    ):
        forwarder.open()


def test_a_forwarder_that_never_ran_can_be_closed():
    forwarder = Forwarder(
        address="tcp://127.0.0.1:0", limit_bytes=1, on_slow_client="drop"
    )
    forwarder.open()
    forwarder.close()
    forwarder.close()


# -- announced to all ------------------------------------------------------------------


@pytest.mark.parametrize("start", ["all"], indirect=True)
def test_every_client_gets_header_and_end_around_its_share(start, connect):
    forwarder = start("wait")
    clients = [connect(forwarder) for _ in range(3)]
    for _ in range(2):
        put_series(forwarder, 30, bytes(50_000))
    shares = [[receive(client) for _ in range(2)] for client in clients]
    for share in shares:
        for (first, _), *_, (last, _) in share:
            assert (first["htype"], last["htype"]) == ("header", "series_end")
    numbers = [
        {h["msg_number"] for series in share for h, _ in series} for share in shares
    ]
    assert set.union(*numbers) == set(range(64))
    assert set.intersection(*numbers) == {0, 31, 32, 63}


@pytest.mark.parametrize("start", ["all"], indirect=True)
def test_a_client_that_reads_nothing_costs_the_others_no_header(start, connect):
    forwarder = start(limit_bytes=4 * MIB)
    stalled, client = stall(connect, forwarder), connect(forwarder)
    for _ in range(20):
        put_series(forwarder, 10, bytes(100_000))
        assert receive(client)[0][0]["htype"] == "header"
    kinds = [h["htype"] for _ in range(20) for h, _ in receive(stalled)]
    assert kinds.count("header") == kinds.count("series_end") == 20


@pytest.mark.parametrize("start", ["all"], indirect=True)
def test_who_never_takes_headers_is_cut_off(start, connect, caplog):
    forwarder = start()
    stall(connect, forwarder)
    forwarder.put([Start(metadata={"text": "x" * 10_000}), End()] * 1000, 10)
    until(lambda: "a client is cut off: it takes nothing" in caplog.text)


@pytest.mark.parametrize("start", ["all"], indirect=True)
def test_a_client_in_mid_series_gets_the_header_of_the_others(start, connect):
    forwarder = start("wait")
    clients = [connect(forwarder)]
    forwarder.put([Start(filename="c.h5"), image(0, b"1234")], 14)
    until(lambda: forwarder.sent_images == 1)
    clients.append(connect(forwarder))
    forwarder.put([image(1, b"1234"), image(2, b"1234"), End()], 14)
    first, second = [[h for h, _ in receive(client)] for client in clients]
    assert first[0] == second[0]
    frames = [h["frame"] for h in first + second if h["htype"] == "image"]
    assert sorted(frames) == [0, 1, 2]


@pytest.mark.parametrize("start", ["all"], indirect=True)
def test_a_client_with_heartbeats_stays(start, connect):
    forwarder = start()
    client = connect(forwarder, heartbeat_ivl=50, heartbeat_timeout=200)
    time.sleep(0.5)
    put_series(forwarder, 3)
    assert len(receive(client)) == 5


# -- published -------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["subscribers"], indirect=True)
def test_every_subscriber_gets_everything(start, connect):
    forwarder = start()
    clients = [connect(forwarder, zmq.SUB) for _ in range(3)]
    put_series(forwarder, 200, bytes(1000))
    for client in clients:
        headers = [h for h, _ in receive(client)]
        assert [h["msg_number"] for h in headers] == list(range(202))
    assert (forwarder.dropped_images, forwarder.missed) == (0, 0)


@pytest.mark.parametrize("start", ["subscribers"], indirect=True)
def test_a_stalled_subscriber_loses_messages_and_the_others_none(start, connect):
    forwarder = start()
    connect(forwarder, zmq.SUB, rcvhwm=1, rcvbuf=4096)
    client = connect(forwarder, zmq.SUB)
    forwarder.put([Start()], 0)
    client.recv_multipart()
    for k in range(100):
        forwarder.put([image(k, bytes(200_000))], 200_000)
        assert json.loads(client.recv_multipart()[0])["frame"] == k
    assert forwarder.missed > 0
    assert forwarder.dropped_images == 0


@pytest.mark.parametrize("start", ["subscribers"], indirect=True)
def test_who_leaves_is_no_subscriber_any_more(start, connect):
    forwarder = start()
    client, other = [connect(forwarder, zmq.SUB) for _ in range(2)]
    client.close()
    until(lambda: forwarder.clients == 1)
    other.close()
    until(lambda: forwarder.clients == 0)
    put_series(forwarder, 3)
    until(lambda: not forwarder._queue)
    assert forwarder.sent_images == 0


@pytest.mark.parametrize("start", ["subscribers"], indirect=True)
def test_a_pull_socket_is_no_subscriber(start, connect):
    forwarder = start()
    connect(forwarder, zmq.PULL)
    client = connect(forwarder, zmq.SUB)
    put_series(forwarder, 3)
    assert len(receive(client)) == 5
    assert forwarder.clients == 1
