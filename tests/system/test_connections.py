"""Several connections to one source share its messages; order and books are as of one.

The source shuffles what it sends as well: over real sockets, messages overtake one
another only where the machine is so kind.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import h5py
import hdf5plugin  # noqa: F401 - registers the filters
import numpy as np
import pytest

from srx_service.messages import End, Image, Message, Start
from srx_service.protocols import dectris_stream1, stins
from srx_service.source import Source
from tests.conftest import pick_port
from tests.system.conftest import PATIENCE_S, Program, Programs
from tests.system.sources import Sender, image, pixels, sender_on

TIMES = {"hash": "", "start_time": 1, "stop_time": 2, "real_time": 1}
WINDOW = 40
"""So far apart a message and one that overtakes it may be."""
Parts = list[Any]


class Generic:
    """The generic stream, which numbers all messages."""

    entry: ClassVar[dict[str, Any]] = {"class": "Detector"}

    def __init__(self) -> None:
        self.number = 0

    def series(self, file: Path, frames: int) -> list[Parts]:
        images = [image(frame) for frame in range(frames)]
        return [self.parts(one) for one in (Start(filename=str(file)), *images, End())]

    def parts(self, message: Message) -> Parts:
        self.number += 1
        return [*stins.encode(message, self.number - 1)]

    def restart(self) -> None:
        self.number = 0


class Dectris:
    """Stream v1, which numbers the images of a series."""

    entry: ClassVar[dict[str, Any]] = {"class": "Eiger"}

    def __init__(self) -> None:
        self.id = 0

    def series(self, file: Path, frames: int) -> list[Parts]:
        self.id += 1
        name = b'{"filename": "%s"}' % str(file).encode()
        head = {"nimages": frames, "ntrigger": 1, "count_time": 0.1}
        start = Start(series=self.id, number=-1, metadata=head, appendix=name)
        images = [self.image(frame) for frame in range(frames)]
        messages = (start, *images, End(series=self.id))
        return [[*dectris_stream1.encode(one)] for one in messages]

    def image(self, frame: int) -> Image:
        fields = {"encoding": "bslz4", "extras": TIMES}
        return image(frame, series=self.id, **fields)

    def restart(self) -> None:
        self.id = 0


@dataclass
class Rig:
    """A service, its source, and who makes the source's messages."""

    service: Program
    sender: Sender
    wire: Generic | Dectris
    data: Path

    def send(self, messages: list[Parts]) -> None:
        for parts in messages:
            self.sender.send_parts(*parts)

    def of(self, file: Path) -> list[dict[str, Any]]:
        """All acquisitions that went into a file, oldest first."""
        listed = self.service.get("/api/v1/acquisitions")["acquisitions"]
        return [one for one in listed[::-1] if one["file"] == str(file)]

    def wait_for(self, file: Path, count: int = 1) -> dict[str, Any]:
        """Wait until so many acquisitions of a file are done; return the last one."""

        def are_done() -> bool:
            return [one["state"] for one in self.of(file)] == count * ["done"]

        self.service.wait_until(are_done)
        return self.of(file)[-1]


@pytest.fixture(
    scope="module",
    params=[(Generic, 4), (Dectris, 3)],
    ids=lambda param: f"{param[0].__name__}-{param[1]}",
)
def shared_rig(
    request: pytest.FixtureRequest, shared_programs: Programs
) -> Iterator[Rig]:
    kind, connections = request.param
    port, wire = pick_port(), kind()
    # What is not there for so long is lost; a slow machine must not be taken for that.
    waits = {"gap_timeout": 1.5, "end_grace": 1.5}
    keys = {"dcu_port_purple": port, "nworkers": connections, **waits}
    service = shared_programs.service({**wire.entry, **keys})
    with sender_on(port) as sender:
        yield Rig(service, sender, wire, shared_programs.data)


@pytest.fixture
def rig(shared_rig: Rig) -> Rig:
    """Numbers go on from test to test, as they do at a detector."""
    return shared_rig


@pytest.fixture
def new_file(rig: Rig, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    folder = rig.data / f"{abs(hash(request.node.name))}"
    folder.mkdir()
    return lambda name: folder / name


def shuffled(messages: list[Parts], seed: int) -> list[Parts]:
    """Let messages overtake one another, by less than WINDOW."""
    rng = random.Random(seed)
    keys = [place + rng.uniform(0, WINDOW) for place in range(len(messages))]
    return [messages[place] for place in np.argsort(keys)]


def counts(told: dict[str, Any]) -> dict[str, int]:
    return {name: n for name, n in told["counts"].items() if n}


def frames_in(file: Path) -> np.ndarray:
    with h5py.File(file) as opened:
        return opened["/entry/data/data"][:]


def expect(count: int, *lost: int) -> np.ndarray:
    found = np.stack([pixels(frame) for frame in range(count)])
    found[list(lost)] = np.iinfo(found.dtype).max
    return found


@pytest.mark.parametrize("seed", range(2))
def test_frames_that_overtake_one_another_are_in_order(rig, new_file, seed):
    file = new_file("a.h5")
    rig.send(shuffled(rig.wire.series(file, 300), seed))
    assert counts(rig.wait_for(file)) == {"received": 300, "written": 300}
    assert np.array_equal(frames_in(file), expect(300))


def test_an_end_before_the_last_images_waits_for_them(rig, new_file):
    file = new_file("a.h5")
    *messages, last, end = rig.wire.series(file, 50)
    rig.send([*messages[:-4], end, *messages[-4:], last])
    assert counts(rig.wait_for(file)) == {"received": 50, "written": 50}
    assert np.array_equal(frames_in(file), expect(50))


def test_images_before_their_start_are_not_lost(rig, new_file):
    file = new_file("a.h5")
    start, first, *messages = rig.wire.series(file, 30)
    rig.send([first, *messages[:5], start, *messages[5:]])
    assert counts(rig.wait_for(file)) == {"received": 30, "written": 30}
    assert np.array_equal(frames_in(file), expect(30))


def test_frames_that_are_lost_or_come_twice_are_counted_once(rig, new_file):
    file, lost = new_file("a.h5"), (3, 40, 41, 98)
    *messages, end = rig.wire.series(file, 100)
    kept = [one for k, one in enumerate(messages) if k - 1 not in lost]
    rig.send([*shuffled(kept, 7), *messages[11:31]])
    fates = {"duplicate": 20, "missing": 4}

    def are_counted() -> bool:
        found = [counts(one) for one in rig.of(file)]
        return bool(found) and fates.items() <= found[0].items()

    rig.service.wait_until(are_counted)
    rig.send([end])
    assert counts(rig.wait_for(file)) == {"received": 116, "written": 96} | fates
    assert np.array_equal(frames_in(file), expect(100, *lost))


def test_series_that_follow_one_another_are_kept_apart(rig, new_file):
    files = [new_file(f"{k}.h5") for k in range(6)]
    sent = [one for file in files for one in rig.wire.series(file, 40)]
    rig.send(shuffled(sent, 11))
    for file in files:
        assert counts(rig.wait_for(file)) == {"received": 40, "written": 40}
        assert np.array_equal(frames_in(file), expect(40))


def test_a_source_that_was_restarted_counts_anew(rig, new_file):
    before, after = new_file("before.h5"), new_file("after.h5")
    rig.send(rig.wire.series(before, 30))
    rig.wait_for(before)
    rig.wire.restart()
    rig.send(shuffled(rig.wire.series(after, 30), 5))
    assert counts(rig.wait_for(after)) == {"received": 30, "written": 30}
    assert np.array_equal(frames_in(after), expect(30))


def test_large_frames_arrive_whole_over_connections_with_threads_of_their_own(
    free_port,
):
    sizes = [368_000 + k for k in range(60)]
    with sender_on(free_port) as sender:
        source = Source(
            [f"tcp://127.0.0.1:{free_port}"],
            "pull",
            connections=2,
            budget_bytes=64 << 20,
            io_threads=2,
        )
        try:
            sending = threading.Thread(target=send_large, args=(sender, sizes))
            sending.start()
            found: list[int] = []
            deadline_s = time.monotonic() + PATIENCE_S
            while len(found) < len(sizes):
                assert time.monotonic() < deadline_s
                messages = source.receive(source.poll(100)).messages
                found += [len(parts[1]) for parts, _ in messages]
            sending.join()
        finally:
            source.close()
    assert sorted(found) == sizes


def send_large(sender: Sender, sizes: list[int]) -> None:
    for size in sizes:
        sender.send_parts(b"%d" % size, bytes(size))
