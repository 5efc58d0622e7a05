"""Real ZeroMQ sockets on both sides."""

import contextlib
import threading
import time

import pytest
import zmq

from srx_service.source import (
    BATCH_BYTES,
    BATCH_MESSAGES,
    FIRST_MARK,
    MARK_MAX,
    MARK_MIN,
    Source,
)

PATIENCE_S = 30.0
LARGE = 64 << 10


@pytest.fixture
def context():
    with zmq.Context() as made:
        yield made


@pytest.fixture
def senders(context):
    """Bind senders on ports of their own; ask it for as many as needed."""
    made = []

    def bind(kind=zmq.PUSH, **options):
        socket = context.socket(kind)
        socket.linger, socket.sndtimeo = 0, int(PATIENCE_S * 1000)
        for name, value in options.items():
            setattr(socket, name, value)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        made.append(socket)
        return socket, f"tcp://127.0.0.1:{port}"

    yield bind
    for socket in made:
        socket.close()


@pytest.fixture
def connect():
    """Make sources; all are closed at the end."""
    made = []

    def connect_one(*endpoints, kind="pull", budget_bytes=1 << 30, **fields):
        made.append(Source(endpoints, kind, budget_bytes=budget_bytes, **fields))
        return made[-1]

    yield connect_one
    for source in made:
        source.close()


def receive(source, count):
    """Receive so many messages; return them and what each round brought."""
    messages, rounds = [], []
    deadline_s = time.monotonic() + PATIENCE_S
    while len(messages) < count:
        assert time.monotonic() < deadline_s
        rounds.append(source.receive(source.poll(100)))
        messages += rounds[-1].messages
    return messages, rounds


def test_parts_arrive_as_they_were_sent(senders, connect):
    sender, endpoint = senders()
    source = connect(endpoint)
    sender.send_multipart([b"head", b"", b"x" * 100, b"y" * LARGE])
    sender.send_multipart([b"single"])
    messages, _ = receive(source, 2)
    assert [[bytes(part) for part in parts] for parts, _ in messages] == [
        [b"head", b"", b"x" * 100, b"y" * LARGE],
        [b"single"],
    ]


def test_large_parts_are_not_copied_and_small_ones_are(senders, connect):
    sender, endpoint = senders()
    source = connect(endpoint)
    sizes = [10, 20, LARGE, 10, LARGE - 1, 5 * LARGE]
    for _ in range(3):
        sender.send_multipart([bytes(size) for size in sizes])
    messages, rounds = receive(source, 3)
    for parts, _ in messages:
        assert [type(part) for part in parts] == [
            memoryview if size >= LARGE else bytes for size in sizes
        ]
    assert sum(found.size_bytes for found in rounds) == 3 * sum(sizes[1:])


@pytest.mark.parametrize("size", [LARGE - 1, LARGE])
def test_a_part_that_is_the_whole_message_counts(senders, connect, size):
    sender, endpoint = senders()
    source = connect(endpoint)
    sender.send_multipart([bytes(size)])
    messages, rounds = receive(source, 1)
    ((part,), _) = messages[0]
    assert type(part) is (memoryview if size >= LARGE else bytes)
    assert sum(found.size_bytes for found in rounds) == size


def test_a_batch_ends_when_the_sockets_are_empty(senders, connect):
    sender, endpoint = senders()
    source = connect(endpoint)
    for k in range(3):
        sender.send_multipart([b"%d" % k, b"x"])
    _, rounds = receive(source, 3)
    assert rounds[-1].drained
    assert source.receive([]).drained


def test_a_batch_ends_at_so_many_messages(senders, connect, monkeypatch):
    assert BATCH_MESSAGES == 256
    monkeypatch.setattr("srx_service.source.BATCH_MESSAGES", 5)
    sender, endpoint = senders(sndhwm=0)
    source = connect(endpoint)
    for k in range(200):
        sender.send_multipart([b"%d" % k, b"x"])
    messages, rounds = receive(source, 200)
    sizes = {len(found.messages): found.drained for found in rounds}
    assert max(sizes) == 5
    assert not sizes[5]
    assert [int(parts[0]) for parts, _ in messages] == list(range(200))


@pytest.mark.parametrize(("modules", "then"), [(1, 16), (2, 4)])
def test_a_batch_ends_at_one_mebibyte_and_later_after_a_full_one(
    senders, connect, modules, then
):
    sender, endpoint = senders(sndhwm=0)
    _, silent = senders()
    source = connect(*[endpoint, silent][:modules], modules=modules)
    for _ in range(60):
        sender.send_multipart([b"head", bytes(BATCH_BYTES // 2)])
    _, rounds = receive(source, 60)
    after_a_full_one = False
    for found in rounds:
        assert found.size_bytes <= (then if after_a_full_one else 1) * BATCH_BYTES
        after_a_full_one = not found.drained
    assert any(not found.drained for found in rounds)


ALIKE = [b'{"htype": "image", "frame": 0}', b"x" * 100]
ODD = {
    "without a blob": [ALIKE[0]],
    "a header": [b'{"htype": "header"}'],
    "a header with metadata": [b'{"htype": "header"}', b"{}"],
    "an end": [b'{"htype": "series_end"}'],
    "a large blob": [ALIKE[0], bytes(LARGE + 1)],
    "an empty blob": [ALIKE[0], b""],
}


@pytest.mark.parametrize("odd", ODD)
def test_expected_images_come_as_they_were_sent_whatever_is_between(
    senders, connect, odd
):
    sender, endpoint = senders(sndhwm=0)
    source = connect(endpoint)
    source.expect(b'{"htype": "image", ')
    sent = [ALIKE, ALIKE, ODD[odd], ALIKE, ODD[odd], ALIKE]
    for parts in sent:
        sender.send_multipart(parts)
    messages, _ = receive(source, len(sent))
    assert [[bytes(part) for part in parts] for parts, _ in messages] == sent


def test_after_a_header_images_may_have_several_blobs(senders, connect):
    sender, endpoint = senders(sndhwm=0)
    source = connect(endpoint)
    source.expect(b'{"htype": "image", ')
    sent = [ALIKE, [b'{"htype": "header"}'], [*ALIKE, b"y"], [*ALIKE, b"y"]]
    for parts in sent:
        sender.send_multipart(parts)
    messages, _ = receive(source, len(sent))
    assert [parts for parts, _ in messages] == sent


def test_a_blob_too_many_of_an_expected_image_is_a_message_of_its_own(senders, connect):
    sender, endpoint = senders(sndhwm=0)
    source = connect(endpoint)
    source.expect(b'{"htype": "image", ')
    for parts in (ALIKE, [*ALIKE, b"y"], ALIKE):
        sender.send_multipart(parts)
    messages, _ = receive(source, 4)
    assert [parts for parts, _ in messages] == [ALIKE, ALIKE, [b"y"], ALIKE]


def test_on_several_connections_nothing_is_expected(senders, connect):
    (first, one), (_, two) = senders(sndhwm=0), senders()
    source = connect(one, two)
    source.expect(b'{"htype": "image", ')
    first.send_multipart([*ALIKE, b"y"])
    messages, _ = receive(source, 1)
    assert [parts for parts, _ in messages] == [[*ALIKE, b"y"]]


def test_no_connection_waits_while_another_is_never_empty(
    senders, connect, monkeypatch
):
    monkeypatch.setattr("srx_service.source.BATCH_MESSAGES", 4)  # less than is waiting
    (first, one), (second, two) = senders(sndhwm=0), senders(sndhwm=0)
    source = connect(one, two)
    for _ in range(500):
        first.send_multipart([b"first", b"x"])
        second.send_multipart([b"second", b"x"])
    messages, _ = receive(source, 1000)
    names = [bytes(parts[0]) for parts, _ in messages]
    ahead = max(abs(2 * names[:k].count(b"first") - k) for k in range(len(names)))
    assert ahead < 250  # 500: all of one before the other; one may come later


def test_several_connections_share_what_is_sent(senders, connect):
    sender, endpoint = senders()
    source = connect(endpoint, connections=4)
    assert source.connections == 4
    for k in range(400):
        sender.send_multipart([b"%d" % k, b"x"])
    messages, _ = receive(source, 400)
    assert sorted(int(parts[0]) for parts, _ in messages) == list(range(400))


def test_modules_are_told_apart_by_their_endpoint(senders, connect):
    pairs = [senders() for _ in range(3)]
    source = connect(*[endpoint for _, endpoint in pairs], modules=3)
    for k, (sender, _) in enumerate(pairs):
        sender.send_multipart([b"%d" % k, b"x"])
    messages, _ = receive(source, 3)
    assert {int(parts[0]): module for parts, module in messages} == {0: 0, 1: 1, 2: 2}


def test_hosts_that_send_whole_images_are_all_module_0(senders, connect):
    pairs = [senders() for _ in range(2)]
    source = connect(*[endpoint for _, endpoint in pairs])
    for sender, _ in pairs:
        sender.send_multipart([b"image", b"x"])
    messages, _ = receive(source, 2)
    assert [module for _, module in messages] == [0, 0]


def test_a_subscriber_gets_everything(senders, connect):
    sender, endpoint = senders(zmq.XPUB)
    source = connect(endpoint, kind="sub")
    assert sender.poll(PATIENCE_S * 1000)
    assert sender.recv() == b"\x01"
    sender.send_multipart([b"any topic", b"x"])
    assert bytes(receive(source, 1)[0][0][0][0]) == b"any topic"


def test_while_it_is_paused_nothing_is_read_and_nothing_lost(senders, connect):
    sender, endpoint = senders()
    source = connect(endpoint)
    source.pause()
    source.pause()
    sender.send_multipart([b"waits", b"x"])
    assert source.poll(100) == []
    source.resume()
    source.resume()
    assert bytes(receive(source, 1)[0][0][0][0]) == b"waits"


@pytest.mark.parametrize("paused", [True, False])
def test_a_wake_up_ends_a_poll(senders, connect, paused):
    source = connect(senders()[1])
    if paused:
        source.pause()
    begun_s = time.monotonic()
    waker = threading.Timer(0.05, source.wake)
    waker.start()
    assert source.poll(int(PATIENCE_S * 1000)) == []
    assert time.monotonic() - begun_s < PATIENCE_S / 2
    waker.join()


def test_wake_ups_never_block_and_do_not_pile_up(senders, connect):
    source = connect(senders()[1])
    for _ in range(100_000):
        source.wake()
    assert source.poll(1000) == []
    begun_s = time.monotonic()
    source.poll(20)
    assert time.monotonic() - begun_s >= 0.015


def test_a_wake_up_after_it_was_closed_does_no_harm(senders):
    source = Source([senders()[1]], "pull", budget_bytes=1)
    source.close()
    source.wake()


@pytest.mark.parametrize(
    ("image_bytes", "connections", "mark"),
    [
        (1000, 1, MARK_MAX),
        (10_000_000, 1, 64),
        (10_000_000, 2, 32),
        (10**9, 1, MARK_MIN),
    ],
)
def test_the_marks_get_to_fit_the_size_of_images(
    senders, connect, image_bytes, connections, mark
):
    sender, endpoint = senders()
    source = connect(endpoint, connections=connections)
    assert source.high_water_mark == FIRST_MARK
    source.fit_to(image_bytes)
    for _ in range(6000):
        sender.send_multipart([b"head", b"x"])
        source.receive(source.poll(10))
        if source.high_water_mark == mark:
            break
    receive_rest(source)
    assert source.high_water_mark == mark


def receive_rest(source):
    while source.receive(source.poll(100)).messages:
        continue


@pytest.mark.parametrize("sndhwm", [1, 2, 100])
@pytest.mark.parametrize("first", [50, 200, 333])
def test_all_arrives_whatever_the_marks_do_meanwhile(senders, connect, sndhwm, first):
    """What was read and not yet told to the sender must not be waited for."""
    sender, endpoint = senders(sndhwm=sndhwm)
    source = connect(endpoint, budget_bytes=10_000_000)
    sending = threading.Thread(target=send_numbers, args=(sender, 2000))
    sending.start()
    messages = receive(source, first)[0]
    for size in (5_000_000, 100, 200_000, 10_000, 5_000_000):
        source.fit_to(size)
        messages += receive(source, 200)[0]
    messages += receive(source, 2000 - len(messages))[0]
    sending.join()
    assert [int(parts[0]) for parts, _ in messages] == list(range(2000))


def send_numbers(sender, count):
    for number in range(count):
        sender.send_multipart([b"%d" % number, bytes(500)])


def test_what_is_not_read_is_held_by_the_sender(senders, connect):
    sender, endpoint = senders(sndhwm=2, sndtimeo=200)
    source = connect(endpoint, budget_bytes=4 << 20)
    source.fit_to(1 << 20)
    sent = 0
    with contextlib.suppress(zmq.Again):
        while sent < 1000:
            sender.send_multipart([b"head", bytes(1 << 20)])
            sent += 1
    assert sent < 100


def test_it_connects_to_a_sender_that_comes_later(context, connect, free_port):
    source = connect(f"tcp://127.0.0.1:{free_port}")
    assert source.poll(50) == []
    with context.socket(zmq.PUSH) as sender:
        sender.linger = 0
        sender.bind(f"tcp://127.0.0.1:{free_port}")
        sender.send_multipart([b"late", b"x"])
        assert bytes(receive(source, 1)[0][0][0][0]) == b"late"
