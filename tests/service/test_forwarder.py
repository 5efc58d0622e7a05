import json
from types import SimpleNamespace

import pytest

from srx_service.forwarder import Forwarder
from srx_service.marks import PENDING_LIMIT, InTurn, ToAll
from srx_service.messages import NO_PIXELS, End, Image, Start

KEYS = [
    "count_time",
    "countrate_correction_applied",
    "countrate_correction_count_cutoff",
    "photon_energy",
    "threshold_energy",
    "flatfield_correction_applied",
    "virtual_pixel_correction_applied",
    "pixel_mask_applied",
    "nimages",
    "ntrigger",
    "trigger_mode",
]


class FakeOutlet:
    """A socket with room for so many messages, and clients that come and go."""

    def __init__(self, room=10**9):
        self.room = room
        self.sent, self.announced, self.welcomed = [], [], []
        self.coming = []
        self.waited_ms = []
        self.while_waiting = lambda: None

    def changes(self):
        while self.coming:
            yield self.coming.pop(0)

    def send(self, parts):
        if self.room <= 0:
            return False
        self.room -= 1
        self.sent.append(parts)
        return True

    def announce(self, parts):
        self.announced.append(json.loads(parts[0]))

    def welcome(self, parts):
        self.welcomed.append(parts and json.loads(parts[0]))

    def poll(self, timeout_ms, *, for_room):
        self.waited_ms.append(timeout_ms)
        self.while_waiting()
        return self.room > 0 or bool(self.coming)

    def headers(self):
        return [json.loads(parts[0]) for parts in self.sent]

    def kinds(self):
        return "".join(h["htype"][0] for h in self.headers())

    def ring(self):
        self.has_rung = True

    def close(self):
        self.is_closed = True


def make(on_slow_client="drop", clients=1, room=10**9, limit_bytes=1000, marks=InTurn):
    forwarder = Forwarder(
        address="tcp://*:0", limit_bytes=limit_bytes, on_slow_client=on_slow_client
    )
    forwarder._outlet = outlet = FakeOutlet(room)
    forwarder._marks = marks(outlet)
    outlet.coming = [(k, k + 1) for k in range(clients)]
    forwarder._watch()
    return forwarder, outlet


def image(frame=0, **fields):
    fields = {"shape": (2, 2), "dtype": "uint8", "encoding": "none"} | fields
    return Image(number=frame + 1, frame=frame, **{"blobs": (b"1234",)} | fields)


def series(count, **fields):
    images = [image(k, **fields) for k in range(count)]
    return [Start(number=0), *images, End(number=count + 1)]


def test_every_message_is_sent_again():
    forwarder, outlet = make()
    forwarder._forward(series(3), 12)
    assert outlet.kinds() == "hiiis"
    assert [h.get("frame") for h in outlet.headers()] == [None, 0, 1, 2, None]
    assert (forwarder.sent_images, forwarder.dropped_images) == (3, 0)
    assert forwarder.sent_bytes == sum(len(a) + len(b) for a, b in outlet.sent[1:4])


def test_numbers_are_its_own_and_go_on_from_series_to_series():
    forwarder, outlet = make()
    for _ in range(2):
        forwarder._forward(series(2), 8)
    assert [h["msg_number"] for h in outlet.headers()] == list(range(8))


def test_without_a_client_nothing_is_sent_and_nothing_counts_as_dropped():
    forwarder, outlet = make(clients=0)
    forwarder._forward(series(3), 12)
    assert (outlet.sent, outlet.waited_ms, forwarder.dropped_images) == ([], [], 0)


def test_a_first_client_in_mid_series_gets_the_header_first():
    forwarder, outlet = make(clients=0)
    forwarder._forward(series(3)[:2], 4)
    outlet.coming = [(0, 1)]
    forwarder._watch()
    forwarder._forward(series(3)[2:], 8)
    assert outlet.kinds() == "hiis"
    assert [h["msg_number"] for h in outlet.headers()] == [0, 1, 2, 3]


def test_a_second_client_gets_no_header_of_its_own():
    forwarder, outlet = make()
    forwarder._forward(series(3)[:2], 4)
    outlet.coming = [(1, 2)]
    forwarder._watch()
    forwarder._forward(series(3)[2:], 8)
    assert outlet.kinds() == "hiiis"


def test_a_client_that_comes_after_the_end_gets_no_header():
    forwarder, outlet = make(clients=0)
    forwarder._forward(series(1), 4)
    outlet.coming = [(0, 1)]
    forwarder._watch()
    assert forwarder._send_pending()
    assert outlet.sent == []


def test_images_that_find_no_room_are_dropped_and_numbers_have_no_gap():
    forwarder, outlet = make(room=2)
    forwarder._forward(series(4)[:-1], 16)
    outlet.room = 10
    forwarder._forward([image(4), End()], 4)
    assert [h.get("frame") for h in outlet.headers()] == [None, 0, 4, None]
    assert [h["msg_number"] for h in outlet.headers()] == [0, 1, 2, 3]
    assert (forwarder.sent_images, forwarder.dropped_images) == (2, 3)


def test_waits_only_a_moment_and_only_once_for_a_client_that_takes_nothing():
    forwarder, outlet = make(room=1)
    forwarder._forward(series(100), 400)
    assert len(outlet.waited_ms) == 1
    assert 0 < outlet.waited_ms[0] < 100


def test_headers_and_ends_are_kept_in_order_for_a_slow_client():
    forwarder, outlet = make(room=2)
    for _ in range(3):
        forwarder._forward(series(2), 8)
    outlet.room = 100
    assert forwarder._send_pending()
    assert outlet.kinds() == "hi" + "s" + "hs" + "hs"


def test_no_image_overtakes_its_header():
    forwarder, outlet = make(room=0)
    forwarder._forward(series(2)[:2], 8)
    outlet.room = 1
    forwarder._forward([image(1)], 4)
    assert outlet.kinds() == "h"
    assert forwarder.dropped_images == 2


def test_pending_headers_are_bounded_and_the_newest_series_stay():
    forwarder, outlet = make(room=1)
    for k in range(PENDING_LIMIT):
        forwarder._forward([Start(filename=str(k)), image(), End()], 4)
    outlet.room = 10**6
    forwarder._send_pending()
    assert outlet.kinds() == "h" + "s" + "hs" * ((PENDING_LIMIT - 1) // 2)
    assert outlet.headers()[-2]["filename"] == str(PENDING_LIMIT - 1)


@pytest.mark.parametrize("message", [Start(), End()])
def test_messages_that_never_make_a_series_are_bounded_too(message):
    forwarder, outlet = make(room=0)
    forwarder._forward([message] * 3 * PENDING_LIMIT, 0)
    outlet.room = 10**6
    forwarder._send_pending()
    assert len(outlet.sent) <= PENDING_LIMIT


def test_what_waits_for_the_last_client_goes_with_it():
    forwarder, outlet = make(room=0)
    forwarder._forward(series(1), 4)
    outlet.room, outlet.coming = 10, [(1, 0), (0, 1)]
    forwarder._watch()
    forwarder._send_pending()
    assert outlet.sent == []


def test_waits_for_a_slow_client_when_told_so():
    forwarder, outlet = make("wait", room=1)
    outlet.while_waiting = lambda: setattr(outlet, "room", 1)
    forwarder._forward(series(5), 20)
    assert outlet.kinds() == "hiiiiis"
    assert set(outlet.waited_ms) == {-1}
    assert forwarder.dropped_images == 0


def test_waits_no_longer_when_the_client_is_gone():
    forwarder, outlet = make("wait", room=1)
    outlet.while_waiting = lambda: outlet.coming.append((1, 0))
    forwarder._forward(series(5), 20)
    assert len(outlet.waited_ms) == 1
    assert (outlet.kinds(), forwarder.dropped_images) == ("h", 0)


def test_the_client_after_a_dead_one_gets_the_header_first():
    forwarder, outlet = make("wait", room=1)
    returns = iter([[(1, 0), (0, 1)]])

    def come_back():
        outlet.coming += next(returns)
        outlet.room = 100

    outlet.while_waiting = come_back
    forwarder._forward(series(2), 8)
    assert outlet.kinds() == "h" + "hiis"


def test_waits_no_longer_than_a_moment_once_stopped():
    forwarder, outlet = make("wait", room=0)
    outlet.while_waiting = forwarder.stop
    forwarder._forward(series(5), 20)
    assert outlet.has_rung
    first, *others = outlet.waited_ms
    assert first == -1
    assert all(0 <= wait_ms <= 1000 for wait_ms in others)


def test_is_full_holds_the_line_only_when_it_is_to_wait():
    for mode, is_full in (("wait", True), ("drop", False)):
        forwarder, _ = make(mode)
        forwarder.put([image()], 999)
        assert not forwarder.is_full
        forwarder.put([image()], 1)
        assert forwarder.is_full is is_full


def test_above_its_limit_images_are_dropped_and_headers_taken():
    forwarder, _ = make()
    forwarder.put([image()], 1000)
    forwarder.put(series(3), 300)
    assert (forwarder.queued_bytes, forwarder.dropped_images) == (1000, 3)
    assert [type(m) for m in forwarder._queue[-1][0]] == [Start, End]


def test_an_image_without_pixels_is_not_counted_as_dropped():
    forwarder, _ = make()
    forwarder.put([image(encoding=NO_PIXELS), image(1)], 8, is_behind=True)
    forwarder.put([image(2), image(encoding=NO_PIXELS)], 8, is_behind=True)
    assert forwarder.dropped_images == 1


def forwarded(forwarder, outlet):
    while forwarder._queue:
        forwarder._forward(*forwarder._queue.popleft())
    return [header.get("frame") for header in outlet.headers()]


def test_while_the_file_is_behind_only_some_images_are_sent():
    forwarder, outlet = make()
    forwarder.put(series(3), 12, is_behind=True)
    forwarder.put(series(3), 12, is_behind=True)  # too soon for another
    assert forwarder.queued_bytes == 4
    assert forwarded(forwarder, outlet) == [None, 2, None, None, None]
    assert (forwarder.sent_images, forwarder.dropped_images) == (1, 5)
    assert [h["msg_number"] for h in outlet.headers()] == list(range(5))


def test_a_client_that_is_waited_for_gets_all_though_the_file_is_behind():
    forwarder, outlet = make("wait")
    forwarder.put(series(3), 12, is_behind=True)
    assert forwarded(forwarder, outlet) == [None, 0, 1, 2, None]
    assert forwarder.dropped_images == 0


def test_while_the_file_is_behind_what_has_no_image_is_sent():
    forwarder, outlet = make()
    forwarder.put([Start(number=0)], 0, is_behind=True)
    assert forwarded(forwarder, outlet) == [None]


def test_without_a_client_images_are_not_even_queued():
    forwarder, _ = make(clients=0)
    forwarder.put([image()], 1000)
    forwarder.put(series(1), 1000)
    assert (forwarder.queued_bytes, forwarder.dropped_images) == (0, 0)
    kept = [type(m).__name__ for messages, _ in forwarder._queue for m in messages]
    assert kept == ["Start", "End"]


def test_sent_bytes_leave_the_queue():
    forwarder, _ = make()
    forwarder.put(series(1), 700)
    assert forwarder.queued_bytes == 700
    forwarder._forward(*forwarder._queue.popleft())
    assert forwarder.queued_bytes == 0


def test_a_put_after_the_end_is_no_fault():
    forwarder, outlet = make()
    forwarder.stop()
    forwarder.run()
    forwarder.put([image()], 4)
    assert outlet.is_closed
    assert forwarder.queued_bytes == 0


def test_what_is_queued_at_the_end_is_sent_if_there_is_room():
    forwarder, outlet = make("wait", room=3)
    forwarder.put(series(5), 20)
    forwarder.stop()
    forwarder.run()
    assert outlet.kinds() == "hii"


def test_an_image_without_pixels_is_not_sent():
    forwarder, outlet = make()
    forwarder._forward([image(encoding=NO_PIXELS), image(1)], 8)
    assert [h["frame"] for h in outlet.headers()] == [1]


def test_a_discarded_image_is_sent():
    forwarder, outlet = make()
    forwarder._forward([image(discard=True)], 4)
    assert outlet.headers()[0]["discard"] is True


@pytest.mark.parametrize("key", ["exptime", "count_time"])
def test_an_image_tells_the_exposure_time_of_its_series(key):
    forwarder, outlet = make()
    own = image(1, extras={"exposure_time": 2.0})
    forwarder._forward([Start(metadata={key: 0.5}), image(), own], 8)
    assert [h.get("exposure_time") for h in outlet.headers()] == [None, 0.5, 2.0]


def test_an_exposure_time_does_not_outlive_its_series():
    forwarder, outlet = make()
    forwarder._forward([Start(metadata={"exptime": 0.5}), End(), Start(), image()], 4)
    assert "exposure_time" not in outlet.headers()[-1]


def test_a_dectris_header_has_the_keys_the_predecessor_sent():
    forwarder, outlet = make()
    metadata = dict.fromkeys(KEYS, 1) | {"wavelength": 1.0}
    forwarder._forward([Start(number=-1, metadata=metadata, rotate=1)], 0)
    assert json.loads(outlet.sent[0][1]) == metadata | {"rotate": 1}


def test_metadata_that_json_cannot_hold_are_left_out():
    forwarder, outlet = make()
    metadata = {"good": [1, {"a": None}], "bad": SimpleNamespace(), "odd": {1j}}
    forwarder._forward([Start(metadata=metadata)], 0)
    assert json.loads(outlet.sent[0][1]) == {"good": [1, {"a": None}]}


def test_an_image_that_json_cannot_hold_is_dropped_alone():
    forwarder, outlet = make()
    forwarder._forward([image(extras={"odd": {1j}}), image(1)], 8)
    assert [h["frame"] for h in outlet.headers()] == [1]
    assert forwarder.dropped_images == 1


@pytest.mark.parametrize(("clients", "limit"), [(0, 100_000), (1, 60_000), (9, 25_000)])
def test_the_pipes_of_clients_count_to_the_limit(clients, limit):
    forwarder, _ = make(clients=1, limit_bytes=100_000)
    forwarder._forward([image(blobs=(b"x" * 4900,))], 4900)
    forwarder.clients = clients
    assert forwarder.queue_limit == pytest.approx(limit, rel=0.02)


def test_the_port_is_the_true_one_once_open():
    forwarder = Forwarder(address="tcp://*:7", limit_bytes=1, on_slow_client="drop")
    assert forwarder.port == 7


def test_announced_headers_and_ends_go_to_all_with_one_number():
    forwarder, outlet = make(clients=2, marks=ToAll)
    forwarder._forward(series(2), 8)
    assert outlet.kinds() == "ii"
    assert [(h["htype"], h["msg_number"]) for h in outlet.announced] == [
        ("header", 0),
        ("series_end", 3),
    ]
    assert [h["msg_number"] for h in outlet.headers()] == [1, 2]


def test_announced_ends_do_not_wait_for_room():
    forwarder, outlet = make(room=0, marks=ToAll)
    forwarder._forward(series(1), 4)
    assert [h["htype"] for h in outlet.announced] == ["header", "series_end"]
    assert forwarder.dropped_images == 1


def test_a_second_client_in_mid_series_gets_the_announced_header():
    forwarder, outlet = make(marks=ToAll)
    forwarder._forward(series(2)[:2], 4)
    outlet.coming = [(1, 2)]
    forwarder._watch()
    assert outlet.welcomed == [None, outlet.announced[0]]


def test_a_first_client_in_mid_series_gets_a_header_that_was_never_announced():
    forwarder, outlet = make(clients=0, marks=ToAll)
    for messages in (series(1), series(3)[:2]):
        forwarder._forward(messages, 4)
    outlet.coming = [(0, 1), (1, 2)]
    forwarder._watch()
    forwarder._forward(series(3)[2:], 8)
    assert outlet.welcomed == [None, None]
    assert [h["msg_number"] for h in outlet.announced] == [0, 3]
    assert [h["msg_number"] for h in outlet.headers()] == [1, 2]


def test_who_comes_between_two_series_is_welcomed_without_a_header():
    forwarder, outlet = make(marks=ToAll)
    forwarder._forward(series(1), 4)
    outlet.coming = [(1, 2), (2, 1)]
    forwarder._watch()
    assert outlet.welcomed == [None, None]
