"""What viewers share."""

import asyncio
import json
import time

import numpy as np
import pytest

from srx_service.api import viewing
from srx_service.api.viewing import AHEAD_S, Views
from srx_service.latest import SHARE, Latest
from srx_service.messages import Image
from srx_service.wish import Wish
from tests.service.api.fakes import ACQUISITION, FakeLine


def put(latest, pixels):
    latest.put(
        None,
        Image(
            number=1,
            frame=1,
            shape=pixels.shape,
            dtype=pixels.dtype.name,
            encoding="none",
            blobs=(pixels.tobytes(),),
        ),
    )


@pytest.fixture
def latest():
    latest = Latest()
    put(latest, np.zeros((4, 5), "uint8"))
    return latest


@pytest.fixture
def line():
    return FakeLine()


@pytest.fixture
def views(line, latest):
    return Views(line, latest)


@pytest.fixture
def unpacked(monkeypatch):
    """The frames that were unpacked."""
    frames, unpack = [], viewing._unpacked
    monkeypatch.setattr(
        viewing, "_unpacked", lambda still: frames.append(still.serial) or unpack(still)
    )
    return frames


def look(views, *wanted):
    """Return the numbers of the frames that so many viewers get, side by side."""

    async def all_look():
        asked = [views.picture(lambda each=each: each) for each in wanted]
        return await asyncio.gather(*asked)

    return [serial for serial, _ in asyncio.run(all_look())]


def test_all_who_want_the_same_share_what_is_made(views, unpacked, monkeypatch):
    made, make = [], views._make
    monkeypatch.setattr(
        views, "_make", lambda still, wish: made.append(still) or make(still, wish)
    )
    assert look(views, *[(Wish(), 0)] * 20) == [1] * 20
    assert unpacked == [1]


def test_who_wants_something_else_shares_the_frame(views, latest, unpacked):
    assert look(views, (Wish(), 0), (Wish(scale="log"), 0)) == [1, 1]
    put(latest, np.ones((4, 5), "uint8"))
    assert look(views, (Wish(scale="sqrt"), 0)) == [1]
    assert unpacked == [1]


def test_who_has_seen_a_frame_gets_a_newer_one(views, latest, unpacked):
    look(views, (Wish(), 0))
    put(latest, np.ones((4, 5), "uint8"))
    assert look(views, (Wish(), 1), (Wish(), 0)) == [2, 2]
    assert unpacked == [1, 2]


def test_an_old_frame_is_shown_to_nobody(views, latest, monkeypatch):
    look(views, (Wish(), 0))
    put(latest, np.ones((4, 5), "uint8"))
    monkeypatch.setattr(viewing, "SHARED_S", 0.0)
    assert look(views, (Wish(scale="log"), 0)) == [2]


def test_while_images_come_a_view_waits_until_its_share_is_due(views, latest, line):
    line.receiving = True
    due_s = latest.rests_until_s = time.monotonic() + 0.2
    look(views, (Wish(), 0))
    assert time.monotonic() >= due_s
    line.receiving, line.over_after_s = True, 0.05
    latest.rests_until_s = time.monotonic() + 3600
    look(views, (Wish(scale="log"), 0))  # does not wait for an hour


def test_what_is_made_already_is_not_waited_for(views, latest, line):
    look(views, (Wish(), 0))
    line.receiving = True
    due_s = latest.rests_until_s = time.monotonic() + AHEAD_S - 0.1
    assert look(views, (Wish(cursor=(1, 1)), 0)) == [1]
    assert latest.rests_until_s > due_s  # but it is counted


def test_what_is_sent_too_often_waits_all_the_same(views, latest, line, monkeypatch):
    monkeypatch.setattr(viewing, "AHEAD_S", 0.1)
    look(views, (Wish(), 0))
    line.receiving = True
    due_s = latest.rests_until_s = time.monotonic() + 0.3
    assert look(views, (Wish(cursor=(1, 1)), 0)) == [1]
    assert time.monotonic() >= due_s


def test_views_rest_for_what_they_took(views, latest, line, monkeypatch):
    monkeypatch.setattr(viewing, "SENDING_S_PER_BYTE", 1.0)
    line.receiving = True
    look(views, (Wish(), 0))
    rests_s = latest.rests_until_s - time.monotonic()
    assert rests_s > 100 * (1 / SHARE - 1)  # its JSON alone is longer than 100 bytes


def test_what_was_taken_while_nothing_came_is_forgotten(views, latest, line):
    latest.rests_until_s = time.monotonic() + 3600
    look(views, (Wish(), 0))
    line.receiving = True
    look(views, (Wish(scale="log"), 0))  # does not wait for an hour


def test_a_frame_that_cannot_be_unpacked_is_told(views, latest):
    image = Image(
        number=1, frame=1, shape=(4,), dtype="uint8", encoding="none", blobs=(b"",)
    )
    latest.put(None, image)
    _, message = asyncio.run(views.picture(lambda: (Wish(), 0)))
    told = json.loads(message[4:])
    assert (told["rows"], told["shape"]) == (0, [4])
    assert "undecodable pixels" in told["error"]


def test_nothing_is_kept_for_nobody(views):
    with views.watching():
        with views.watching():
            look(views, (Wish(), 0))
        assert views._still is not None
    assert views._still is None


def test_a_report_tells_how_the_line_is_doing(views):
    report = json.loads(views.report())
    assert report["status"] == {"state": "idle"}
    assert report["acquisition"] == json.loads(json.dumps(ACQUISITION))
    assert report["metrics"]["messages"] == 3
    assert abs(report["time"] - time.time()) < 100


def test_reports_are_shared_but_for_their_time(views, line):
    times = [json.loads(views.report())["time"] for _ in range(20)]
    assert line.calls == ["status"] or line.calls == [("status",)]
    assert times == sorted(set(times))
