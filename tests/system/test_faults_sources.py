"""Sources that die, come back, mix series, never end, flood, or are none at all.

After each: the good frames are in the file, state and counts tell the truth, and the
next acquisition is clean.
"""

import contextlib
import os
import socket
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest
import zmq

from srx_service.messages import End, Start
from srx_service.protocols import dectris_stream1 as dectris
from tests.conftest import pick_port
from tests.system.sources import image, pixels, sender_on, series
from tests.system.test_line import (
    TIMES,
    frames_in,
    newest,
    of,
    wait_for,
    wait_for_rows,
)

FLOOD = 10_000
HEADERS = 20


class Line:
    """A service and the port where it looks for its source."""

    def __init__(self, nursery, **entry):
        self.port = pick_port()
        entry = {"dcu_port_purple": self.port, "gap_timeout": 0.1} | entry
        self.service = nursery.service(entry)

    def source(self):
        return sender_on(self.port)

    def open_files(self):
        return len(list(Path(f"/proc/{self.service.process.pid}/fd").iterdir()))


@pytest.fixture(scope="module")
def line(whole_nursery):
    """For all tests that need no keys of their own."""
    return Line(whole_nursery)


@pytest.fixture
def folder(whole_nursery, request):
    path = whole_nursery.data / f"sources-{abs(hash(request.node.name))}"
    path.mkdir()
    return path


def first_pixels(file):
    """Of each frame in a file: 100 times its number."""
    return [int(value) for value in frames_in(file)[:, 0, 0]]


def nonzero(told):
    return {name: count for name, count in told["counts"].items() if count}


def check_next(line, sender, folder):
    """The next acquisition is whole, and nothing of what was before is left in it."""
    file = folder / "next.h5"
    sender.send(*series(str(file), 5))
    told = wait_for(line.service, file)
    assert nonzero(told) == {"received": 5, "written": 5}
    assert first_pixels(file) == [0, 100, 200, 300, 400]
    line.service.wait_until(lambda: line.service.get("/status")["state"] == "idle")


# -- dies, comes back ------------------------------------------------------------------


def test_a_source_that_dies_leaves_its_frames_and_the_next_one_is_taken(line, folder):
    with line.source() as sender:
        sender.send(Start(filename=str(folder / "a.h5")), *map(image, range(10)))
        wait_for_rows(line.service, 10)
    assert newest(line.service)["state"] == "running"
    with line.source() as sender:
        check_next(line, sender, folder)
    [told] = of(line.service, folder / "a.h5")
    assert (told["state"], told["counts"]["written"]) == ("done", 10)
    assert len(frames_in(folder / "a.h5")) == 10


@pytest.mark.parametrize("lost", [0, 3])
def test_a_source_that_comes_back_in_mid_series_goes_on(line, folder, lost):
    file = folder / "a.h5"
    with line.source() as sender:
        sender.send(Start(filename=str(file)), *map(image, range(10)))
        wait_for_rows(line.service, 10)
        number = sender.number
    with line.source() as sender:
        sender.number = number + lost
        sender.send(*(image(frame) for frame in range(10 + lost, 20)), End())
        told = wait_for(line.service, file)
        assert (told["rows"], told["counts"]["missing"]) == (20, lost)
        there = [k for k in range(20) if not 10 <= k < 10 + lost]
        expected = [pixels(k) for k in there]
        assert np.array_equal(frames_in(file)[there], expected)
        sender.number += 1000  # as if others had got what lies between
        check_next(line, sender, folder)


def test_one_that_restarts_at_0_is_taken_on_several_connections(nursery, folder):
    line = Line(nursery, nworkers=3)
    with line.source() as sender:
        for life in range(3):
            sender.number = 0
            sender.send(*series(str(folder / f"{life}.h5"), 30))
            told = wait_for(line.service, folder / f"{life}.h5")
            assert nonzero(told) == {"received": 30, "written": 30}
            assert first_pixels(folder / f"{life}.h5") == [*range(0, 3000, 100)]
        check_next(line, sender, folder)


def test_one_that_restarts_in_mid_series_ends_the_series_before(nursery, folder):
    line = Line(nursery, nworkers=3)
    with line.source() as sender:
        sender.send(Start(filename=str(folder / "a.h5")), *map(image, range(30)))
        wait_for_rows(line.service, 30)
        sender.number = 0
        check_next(line, sender, folder)
    [told] = of(line.service, folder / "a.h5")
    assert (told["state"], told["counts"]["written"]) == ("done", 30)
    assert first_pixels(folder / "a.h5") == [*range(0, 3000, 100)]


# -- mixed -----------------------------------------------------------------------------


def test_no_frame_of_a_series_gets_into_the_file_of_another(nursery, folder):
    """Two series at once, as from two detectors at one control unit."""
    line = Line(nursery, **{"class": "Eiger"})

    def start(identifier, name):
        return Start(
            series=identifier,
            number=-1,
            metadata={"nimages": 100, "ntrigger": 1, "count_time": 0.1},
            appendix=f'{{"filename": "{folder / name}"}}'.encode(),
        )

    def shot(identifier, frame):
        parts = image(
            1000 * identifier + frame, encoding="bslz4", series=identifier, extras=TIMES
        )
        return dectris.encode(parts.__replace__(frame=frame))

    with line.source() as sender:
        send = sender.send_parts
        send(*dectris.encode(start(1, "a.h5")))
        send(*shot(1, 0))
        send(*shot(1, 1))
        send(*dectris.encode(start(2, "b.h5")))
        for frame in range(3):
            send(*shot(2, frame))
            send(*shot(1, 2 + frame))
        send(*dectris.encode(End(series=2)))
        send(*dectris.encode(End(series=1)))
        told = wait_for(line.service, folder / "b.h5")
    assert first_pixels(folder / "a.h5") == [100_000 % 65536, 100_100 % 65536]
    assert first_pixels(folder / "b.h5") == [
        (200_000 + 100 * k) % 65536 for k in (0, 1, 2)
    ]
    assert nonzero(told) == {"received": 6, "written": 3, "stale": 3}


def test_two_counters_in_one_stream_lose_no_image_without_a_count(line, folder):
    """Nothing tells whose image it is; what cannot be placed is counted."""
    with line.source() as sender:
        sender.send(Start(filename=str(folder / "a.h5")))
        other = 500
        for frame in range(20):
            sender.send(image(frame))
            kept, sender.number = sender.number, other
            sender.send(image(1000 + frame))
            other, sender.number = sender.number, kept
        sender.number = max(other, sender.number)
        sender.send(End())
        told = wait_for(line.service, folder / "a.h5")
        counts = told["counts"]
        assert counts["received"] == 40
        assert counts["received"] == counts["written"] + counts["late"]
        check_next(line, sender, folder)


# -- never ends ------------------------------------------------------------------------


def arm(line, **body):
    url = f"{line.service.url}/api/v1/acquisitions"
    answer = httpx.post(url, json=body, timeout=30).raise_for_status()
    return f"{url}/{answer.json()['id']}"


def test_a_source_that_never_ends_is_stopped_with_what_was_expected(line, folder):
    url = arm(line, file=str(folder / "a.h5"), expected=5)
    with line.source() as sender:
        sender.send(Start(), *map(image, range(50)))
        wait_for_rows(line.service, 5)
        line.service.wait_until(
            lambda: newest(line.service)["counts"]["received"] == 50
        )
        told = httpx.post(f"{url}/stop", timeout=30).json()
        assert told["state"] == "done"
        assert nonzero(told) == {"received": 50, "written": 5, "surplus": 45}
        sender.send(*map(image, range(50, 60)), End())
        check_next(line, sender, folder)
    assert first_pixels(folder / "a.h5") == [0, 100, 200, 300, 400]


def test_a_source_that_falls_silent_fails_what_waits_for_it(line, folder):
    arm(line, file=str(folder / "a.h5"), expected=5, idle_timeout_s=0.2)
    with line.source() as sender:
        sender.send(Start(), *map(image, range(3)))
        told = wait_for(line.service, folder / "a.h5", "failed")
        assert "no message for 0.2 s (idle_timeout)" in told["error"]
        assert nonzero(told) == {"received": 3, "written": 3, "short": 2}
        check_next(line, sender, folder)
    assert first_pixels(folder / "a.h5") == [0, 100, 200]


# -- floods ----------------------------------------------------------------------------


def test_a_flood_of_images_is_written_to_the_last(line, folder):
    with line.source() as sender:
        sender.send(Start(filename=str(folder / "a.h5")))
        for frame in range(FLOOD):
            sender.send(image(frame % 600))
        sender.send(End())
        told = wait_for(line.service, folder / "a.h5")
        assert nonzero(told) == {"received": FLOOD, "written": FLOOD}
        assert first_pixels(folder / "a.h5") == [k % 600 * 100 for k in range(FLOOD)]
        check_next(line, sender, folder)


def test_a_flood_of_headers_leaves_no_file_open(line, folder):
    before = line.open_files()
    with line.source() as sender:
        for number in range(HEADERS):
            sender.send(Start(filename=str(folder / f"{number}.h5")))
        check_next(line, sender, folder)
    assert len(list(folder.glob("*.h5"))) == HEADERS + 1
    line.service.wait_until(lambda: line.open_files() <= before + 2)


def test_a_flood_of_junk_is_counted_and_the_series_is_whole(line, folder):
    before = sum(line.service.get("/status")["undecodable"].values())
    with line.source() as sender:
        sender.send(Start(filename=str(folder / "a.h5")))
        for number in range(FLOOD):
            sender.send_parts(b'{"htype": "junk"', os.urandom(8))
            if number % 1000 == 0:
                sender.send(image(number // 1000))
        sender.send(End())
        wait_for(line.service, folder / "a.h5")
        after = sum(line.service.get("/status")["undecodable"].values())
        assert after - before == FLOOD
        assert first_pixels(folder / "a.h5") == [*range(0, FLOOD // 10, 100)]
        check_next(line, sender, folder)


# -- no source at all ------------------------------------------------------------------

GREETINGS = {
    "hangs up": b"",
    "speaks HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "speaks noise": bytes(range(256)) * 40,
    "announces 2^63 bytes": b"\xff"
    + bytes(8)
    + b"\x7f\x03\x01NULL"
    + bytes(48)
    + b"\x02\x7f"
    + b"\xff" * 7,
}


@contextlib.contextmanager
def imposter(port, greeting):
    """Whatever else may listen where the source should; tell when it was tried."""
    tried = threading.Semaphore(0)
    with socket.create_server(("127.0.0.1", port)) as listener:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    with peer, contextlib.suppress(OSError):
                        peer.sendall(greeting)
                    tried.release()

        thread = threading.Thread(target=serve)
        thread.start()
        yield tried
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
def test_who_is_no_source_does_no_harm(line, folder, greeting):
    with imposter(line.port, greeting) as tried:
        assert tried.acquire(timeout=60)
        assert line.service.get("/readyz") == {"ready": True}
    with line.source() as sender:
        check_next(line, sender, folder)


def test_a_socket_of_the_wrong_kind_is_no_source(line, folder):
    with zmq.Context() as context, context.socket(zmq.PUB) as pub:
        pub.linger = 0
        monitor = pub.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        pub.bind(f"tcp://127.0.0.1:{line.port}")
        was_tried = monitor.poll(60_000)
        pub.disable_monitor()
        monitor.close()
        assert was_tried
    with line.source() as sender:
        check_next(line, sender, folder)
