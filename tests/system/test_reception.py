"""The receive thread over real sockets: decodes, hands on, holds, answers."""

import json
import threading
import time
from collections.abc import Iterable
from concurrent.futures import CancelledError

import pytest
import zmq

from srx_service.acquisitions import Acquisitions, ArmRequest
from srx_service.errors import Ignored, ProtocolError, RequestError
from srx_service.messages import End, Image, Start
from srx_service.ordering import CounterOrdering, Limits
from srx_service.orders import Close, Create, Header, Holes, Rows, Tally
from srx_service.reception import Reception
from srx_service.routing import Router
from srx_service.source import Source
from srx_service.status import Status
from srx_service.turns import Turns

PATIENCE_S = 30.0


class Decoder:
    """The simplest protocol: JSON with kind, number and whatever else."""

    socket, ports, order = "pull", (0,), "counter"

    def decode(self, parts, module=0) -> Iterable:
        told = json.loads(bytes(parts[0]))
        number = told["n"]
        match told["kind"]:
            case "start":
                return [Start(number=number, filename=told.get("file", ""))]
            case "end":
                return [End(number=number)]
            case "image":
                return [image(number, parts[1])]
            case "placed":
                raise ProtocolError("unreadable", "odd", number=number)
            case "lost":
                raise ProtocolError("nowhere", "odd")
            case "part":
                return []
            case "aside":
                raise Ignored("calibration")
        return [1 / 0]


def image(number, blob):
    fields = {"shape": (len(blob),), "dtype": "uint8", "encoding": "none"}
    return Image(number=number, frame=number, blobs=(blob,), **fields)


class Line:
    """A receive thread, its sender and what it handed on."""

    def __init__(self, connections=1, **limits):
        self.context = zmq.Context()
        self.sender = self.context.socket(zmq.PUSH)
        self.sender.linger = 0
        port = self.sender.bind_to_random_port("tcp://127.0.0.1")
        self.full: str | None = None
        self.batches = []
        self.status = Status()
        self.acquisitions = Acquisitions()
        self.router = Router(
            self.acquisitions,
            dataset="/entry/data/data",
            missing="fill",
            write_root=None,
            idle_timeout_s=limits.pop("idle_timeout_s", None),
        )
        self.source = Source(
            [f"tcp://127.0.0.1:{port}"],
            "pull",
            connections=connections,
            budget_bytes=1 << 26,
        )
        self.reception = Reception(
            self.source,
            Decoder(),
            CounterOrdering(Limits(**limits), connections=connections),
            self.router,
            self.status,
            hand_on=self.batches.append,
            is_full=lambda is_held: self.full,
            turns=Turns(),
            drain_timeout_s=0.2,
        )
        self.thread = threading.Thread(target=self.reception.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.reception.stop()
        self.thread.join(PATIENCE_S)
        self.sender.close()
        self.context.term()

    def send(self, kind, number, blob=b"pixels", **told):
        head = json.dumps({"kind": kind, "n": number} | told).encode()
        self.sender.send_multipart([head, blob])

    def series(self, file, *numbers):
        self.send("start", numbers[0] - 1, file=file)
        for number in numbers:
            self.send("image", number)
        self.send("end", numbers[-1] + 1)

    def wait_until(self, is_there):
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_there():
            assert self.thread.is_alive()
            assert time.monotonic() < deadline_s
            time.sleep(0.002)

    def messages(self):
        return [message for batch in list(self.batches) for message in batch.messages]

    def orders(self, *kinds):
        found = [order for batch in list(self.batches) for order in batch.orders]
        return [order for order in found if isinstance(order, kinds or object)]


@pytest.fixture
def line():
    with Line() as made:
        yield made


def test_messages_are_handed_on_with_the_orders_they_amount_to(line):
    line.series("/nowhere/a.h5", 1, 2, 3)
    line.wait_until(lambda: line.orders(Close))
    assert [type(m) for m in line.messages()] == [Start, Image, Image, Image, End]
    assert {type(order) for order in line.orders()} == {Create, Header, Rows, Close}
    assert sum(len(order.images) for order in line.orders(Rows)) == 3
    assert (line.status.messages, line.status.images) == (5, 3)


def test_many_small_messages_are_few_batches(line):
    line.full = "held, so that they pile up"
    line.wait_until(lambda: line.status.held_reason)
    line.series("", *range(1, 500))
    time.sleep(0.2)
    line.full = None
    line.wait_until(lambda: len(line.messages()) == 501)
    assert len(line.batches) <= 20


def test_what_cannot_be_read_leaves_its_place_where_that_is_known(line):
    line.send("start", 0, file="/nowhere/a.h5")
    for kind, number in [("image", 1), ("placed", 2), ("lost", 3), ("image", 3)]:
        line.send(kind, number)
    line.wait_until(lambda: len(line.orders(Rows)) >= 1 and line.router.received == 2)
    assert line.status.undecodable == {"unreadable": 1, "nowhere": 1}
    assert [order.reason for order in line.orders(Holes)] == ["rejected"]
    assert line.acquisitions.error is None


def test_what_carries_nothing_is_counted_and_reception_goes_on(line):
    line.send("start", 0)
    for kind, number in [("aside", 0), ("image", 1), ("aside", 0)]:
        line.send(kind, number)
    line.wait_until(lambda: line.status.ignored.get("calibration") == 2)
    assert (line.router.received, line.status.undecodable) == (1, {})


def test_a_faulty_decoder_is_counted_and_reception_goes_on(line, caplog):
    line.send("start", 0)
    for _ in range(3):
        line.send("fault", 1)
    line.send("image", 1)
    line.wait_until(lambda: line.router.received == 1)
    assert line.status.decoder_faults == 3
    assert caplog.text.count("ZeroDivisionError: ") == 1


def test_the_last_image_is_for_the_live_view(line):
    line.series("", 1, 2, 3)
    line.wait_until(lambda: len(line.messages()) == 5)
    live = [batch.live.frame for batch in line.batches if batch.live is not None]
    assert live[-1] == 3


def test_the_bytes_of_a_batch_are_those_that_arrived(line):
    line.send("start", 0)
    for number in range(1, 11):
        line.send("image", number, bytes(1000))
    line.wait_until(lambda: line.router.received == 10)
    assert 10_000 <= sum(batch.size_bytes for batch in line.batches) <= 10_100


def test_modules_that_wait_for_another_count_with_what_they_make(line):
    line.send("start", 0)
    for number in range(1, 4):
        line.send("part", 1, bytes(1000))
        line.wait_until(lambda told=number + 1: line.status.messages == told)
    line.send("image", 1, bytes(1000))
    line.wait_until(lambda: line.router.received == 1)
    assert 4000 <= sum(batch.size_bytes for batch in line.batches) <= 4100


def test_the_marks_are_set_from_the_size_of_the_first_image(line):
    line.send("start", 0)
    for number in range(1, 100):
        line.send("image", number, bytes(1 << 20))
    line.wait_until(lambda: line.router.received == 99)
    assert line.source.high_water_mark == 64


# -- held ------------------------------------------------------------------------------


def test_while_it_is_held_nothing_is_read_and_the_reason_told(line):
    line.full = "the disk is too slow"
    line.wait_until(lambda: line.status.held_reason)
    line.send("start", 0)
    time.sleep(0.1)
    assert line.status.messages == 0
    assert line.status.held_reason == "the disk is too slow"
    line.full = None
    line.wait_until(lambda: line.status.messages == 1)
    assert line.status.held_reason is None
    assert line.status.held_s > 0.05


def test_no_silence_is_counted_while_it_is_held():
    with Line(idle_timeout_s=0.3) as line:
        line.send("start", 0)
        line.send("image", 1)
        line.wait_until(lambda: line.router.received == 1)
        line.full = "the disk is too slow"
        time.sleep(0.8)
        assert line.acquisitions.error is None
        line.full = None
        line.wait_until(lambda: line.acquisitions.error)
        assert "idle_timeout" in line.acquisitions.error


def test_no_gap_is_given_up_while_it_is_held():
    with Line(connections=2, gap_timeout_s=0.2) as line:
        line.send("start", 0, file="/nowhere/a.h5")
        line.send("image", 2)
        line.wait_until(lambda: line.status.messages == 2)
        line.full = "the disk is too slow"
        time.sleep(0.5)
        assert line.orders(Holes) == []
        line.full = None
        line.wait_until(lambda: line.orders(Holes))


# -- time ------------------------------------------------------------------------------


def test_a_silent_series_is_closed_as_failed():
    with Line(idle_timeout_s=0.1) as line:
        line.send("start", 0, file="/nowhere/a.h5")
        line.send("image", 1)
        line.wait_until(lambda: line.orders(Close))
        assert "no message for 0.1 s" in line.acquisitions.error


def test_a_lease_that_expires_aborts(line):
    request = ArmRequest(lease_s=0.1)
    made, _ = line.reception.call(lambda: line.router.arm(request, 0.0)).result(20)
    made.lease_until_s = time.monotonic() + 0.1
    line.wait_until(lambda: line.orders(Close))
    assert line.orders(Close)[0].state == "aborted"
    assert "client gone" in made.error


def test_what_overtook_a_message_that_never_comes_goes_on_after_the_timeout():
    with Line(connections=2, gap_timeout_s=0.05) as line:
        line.send("start", 0, file="/nowhere/a.h5")
        line.send("image", 3)
        line.wait_until(lambda: line.orders(Rows))
        assert [order.count for order in line.orders(Holes)] == [2]


# -- requests --------------------------------------------------------------------------


def test_calls_are_answered_by_the_receive_thread(line):
    call = line.reception.call(threading.current_thread)
    assert call.result(PATIENCE_S) is line.thread


def test_the_errors_of_a_call_belong_to_whoever_asked(line):
    with pytest.raises(ZeroDivisionError):
        line.reception.call(lambda: 1 / 0).result(PATIENCE_S)
    assert line.reception.call(lambda: 5).result(PATIENCE_S) == 5


def test_orders_of_a_call_are_handed_on(line):
    request = ArmRequest()
    made, _ = line.reception.call(lambda: line.router.arm(request, 0.0)).result(20)
    line.reception.call(lambda: line.router.finish(made, "done")).result(PATIENCE_S)
    line.wait_until(lambda: line.orders(Close))


def test_a_call_that_was_given_up_is_not_carried_out(line):
    blocked, done = threading.Event(), []
    line.reception.call(lambda: blocked.wait(PATIENCE_S))
    late = line.reception.call(lambda: done.append(1))
    assert late.cancel()
    blocked.set()
    assert line.reception.call(lambda: 5).result(PATIENCE_S) == 5
    assert done == []
    with pytest.raises(CancelledError):
        late.result(0)


def test_a_call_after_the_drain_comes_after_what_was_sent_before(line):
    blocked = threading.Event()
    line.reception.call(lambda: blocked.wait(PATIENCE_S))
    line.series("", *range(1, 1000))
    time.sleep(0.2)
    read = line.reception.call_after_drain(lambda: line.status.messages)
    blocked.set()
    assert read.result(PATIENCE_S) == 1001


def test_a_call_after_the_drain_waits_at_most_so_long(line):
    line.full = "held: never found empty"
    line.wait_until(lambda: line.status.held_reason)
    begun_s = time.monotonic()
    line.reception.call_after_drain(lambda: None).result(PATIENCE_S)
    assert 0.15 < time.monotonic() - begun_s < PATIENCE_S / 2


def test_what_is_asked_when_it_stops_is_done_or_refused():
    with Line() as line:
        line.full = "held: never found empty"
        line.wait_until(lambda: line.status.held_reason)
        waiting = line.reception.call_after_drain(lambda: 5)
        line.reception.stop()
        assert waiting.result(PATIENCE_S) == 5
        line.thread.join(PATIENCE_S)
        for ask in (line.reception.call, line.reception.call_after_drain):
            with pytest.raises(RequestError, match="stopping"):
                ask(lambda: 5).result(PATIENCE_S)


def test_a_thread_that_dies_leaves_nobody_waiting(monkeypatch):
    line = Line()
    monkeypatch.setattr(line.router, "route", lambda *_: 1 / 0)
    blocked = line.reception.call_after_drain(lambda: 5)
    monkeypatch.setattr(line.source, "poll", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        line.reception.run()
    with pytest.raises(RequestError, match="stopping"):
        blocked.result(0)
    line.sender.close()
    line.context.term()


def test_discarded_images_take_no_row(line, monkeypatch):
    real = Decoder.decode

    def discarding(self, parts, module=0):
        return [
            Image(**{f: getattr(m, f) for f in m.__struct_fields__} | {"discard": True})
            if isinstance(m, Image)
            else m
            for m in real(self, parts, module)
        ]

    monkeypatch.setattr(Decoder, "decode", discarding)
    line.series("/nowhere/a.h5", 1, 2)
    line.wait_until(lambda: line.orders(Close))
    assert (len(line.orders(Tally)), line.orders(Rows)) == (2, [])
