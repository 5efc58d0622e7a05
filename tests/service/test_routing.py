import pytest

from srx_service.acquisitions import ArmRequest
from srx_service.errors import RequestError
from srx_service.messages import End
from srx_service.ordering import Limits
from tests.service.line import (
    FILE,
    ROOT,
    Line,
    dectris_series,
    dectris_start,
    image,
    images,
    rejected,
    series,
    start,
)

# -- images --------------------------------------------------------------------------


def test_images_without_a_start_are_orphans(line):
    line.push(*images(5, 6), rejected(7))
    assert (line.router.orphans, line.router.received) == (2, 2)
    assert list(line.acquisitions) == []


def test_images_after_the_end_are_orphans(line):
    line.push(*series(0, 1), *images(3))
    assert line.router.orphans == 1
    assert line.counts() == {"received": 1, "written": 1}


def test_received_counts_from_the_last_header(line):
    line.push(*series(0, 3), start(5), *images(6, 7))
    assert line.router.received == 2


def test_late_and_double_images_are_counted_with_the_open_series(line):
    line.push(start(), *images(2, 1, 2))
    line.push(*images(4), after_s=2.0)
    line.wait(2.0)
    line.push(*images(3))
    counts = {"received": 5, "written": 3, "missing": 1, "duplicate": 1, "late": 1}
    assert line.counts() == counts


@pytest.mark.parametrize("kind", ["counter", "series"])
def test_a_double_that_comes_before_the_series_can_begin_is_of_that_series(kind):
    line = Line(kind, connections=3)
    named = dectris_series(4, 2, filename="a.h5")
    begin, *rest, end = named if kind == "series" else series(0, 2)
    line.push(*rest, rest[1], begin, rest[0], end)
    line.wait(2.0)
    line.wait(2.0)
    assert line.counts() == {"received": 4, "written": 2, "duplicate": 2}
    assert line.router.orphans == 0


def test_a_double_in_the_batch_that_ends_its_series_is_of_that_series(line):
    line.push(start(0), *images(1, 2, 1), End(number=3), *series(4, 2))
    second, first = line.acquisitions
    assert line.counts(first) == {"received": 3, "written": 2, "duplicate": 1}
    assert line.counts(second) == {"received": 2, "written": 2}


# -- arming --------------------------------------------------------------------------


def test_the_next_series_goes_into_the_armed_file(line):
    acquisition = line.arm("mine.h5")
    line.push(*series(0, 2))
    assert acquisition.state == "done"
    assert list(line.writer.files) == [str(ROOT / "mine.h5")]


def test_an_acquisition_without_a_file_saves_nothing(line):
    acquisition = line.arm(None, expected=3)
    line.push(*series(0, 2))
    assert line.writer.files == {}
    assert line.counts(acquisition) == {"received": 2, "unsaved": 2, "short": 1}


def test_what_came_before_the_sockets_were_empty_is_stale(line):
    acquisition = line.arm_only("a.h5")
    line.push(*series(0, 2))
    line.router.begin()
    line.push(image(4), *series(5, 1))
    counts = {"received": 4, "stale": 3, "written": 1}
    assert line.counts(acquisition) == counts


def test_an_arm_waits_for_the_series_that_is_running(line):
    line.push(start(), image(1))
    with pytest.raises(RequestError) as busy:
        line.arm("b.h5")
    assert busy.value.status == 409
    for words in (line.newest.id, "running", FILE):
        assert words in str(busy.value)


def test_a_series_of_the_stream_that_is_silent_gives_way(line):
    line.push(start(), image(1))
    line.wait(9.9)
    with pytest.raises(RequestError):
        line.arm("b.h5")
    line.wait(0.1)
    line.arm("b.h5")
    newest, first = line.acquisitions
    assert (newest.state, first.state) == ("armed", "done")


def test_a_series_of_the_stream_is_not_silent_while_reading_is_held(line):
    line.push(start(), image(1))
    line.wait(60.0, drained=False)
    with pytest.raises(RequestError, match="is running"):
        line.arm("b.h5")


def test_an_armed_acquisition_never_gives_way(line):
    line.arm("a.h5")
    line.wait(60.0)
    with pytest.raises(RequestError, match="is armed"):
        line.arm("b.h5")


def test_an_arm_that_is_refused_ends_no_series(line):
    line.push(start(), image(1))
    line.wait(10.0)
    with pytest.raises(RequestError, match="write_root"):
        line.router.arm(ArmRequest(file="/etc/passwd"), line.now_s)
    assert line.newest.state == "running"


def test_a_client_that_went_away_before_the_arm_is_not_in_the_way(line):
    line.stop(line.arm("a.h5"), "aborted")
    assert line.arm("b.h5").state == "armed"


# -- the end -------------------------------------------------------------------------


def test_a_stop_ends_with_what_is_there(line):
    acquisition = line.arm("a.h5", expected=3)
    line.push(start(), *images(1, 2))
    line.stop(acquisition)
    line.push(*images(3), End(number=4))
    assert line.router.orphans == 1
    assert line.counts(acquisition) == {"received": 2, "written": 2, "short": 1}


def test_an_abort_leaves_the_line_idle(line):
    acquisition = line.arm("a.h5")
    line.push(start(), image(1))
    line.stop(acquisition, "aborted")
    assert (acquisition.state, line.router.current) == ("aborted", None)


def test_to_end_it_twice_is_to_end_it_once(line):
    acquisition = line.arm("a.h5")
    first = line.router.finish(acquisition, "done")
    assert line.router.finish(acquisition, "aborted") is first
    line.writer.carry_out(line.router.take_orders())
    assert (acquisition.state, first.done()) == ("done", True)


def test_a_series_that_is_silent_for_too_long_has_failed(line):
    acquisition = line.arm("a.h5", idle_timeout_s=5.0)
    line.wait(60.0)
    line.push(start(), image(1))
    line.wait(4.9)
    assert acquisition.state == "running"
    line.wait(0.1)
    assert acquisition.state == "failed"
    assert "5.0 s" in (line.acquisitions.error or "")


def test_a_series_is_not_silent_while_reading_is_held(line):
    acquisition = line.arm("a.h5", idle_timeout_s=5.0)
    line.push(start(), image(1))
    line.wait(60.0, drained=False)
    assert acquisition.state == "running"


def test_a_series_of_the_stream_has_the_idle_timeout_of_the_detector():
    line = Line(idle_timeout_s=5.0)
    line.push(start(), image(1))
    line.wait(5.0)
    assert line.newest.state == "failed"
    assert line.counts() == {"received": 1, "written": 1}


def test_a_lease_that_is_not_renewed_aborts(line):
    acquisition = line.arm("a.h5", lease_s=60.0)
    acquisition.lease_until_s = 60.0
    line.wait(60.0)
    assert acquisition.state == "armed"
    line.wait(0.1)
    assert acquisition.state == "aborted"
    assert "client gone" in (acquisition.error or "")


def test_an_armed_acquisition_whose_file_failed_is_ended(line):
    acquisition = line.arm("a.h5", series="open")
    acquisition.fail("disk full")
    line.wait(0.1)
    assert (acquisition.state, acquisition.error) == ("failed", "disk full")


def test_orders_wait_to_be_taken(line):
    acquisition = line.arm("a.h5", idle_timeout_s=1.0)
    line.push(start())
    line.router.tick(5.0)
    assert acquisition.state == "finishing"
    assert [type(order).__name__ for order in line.router.take_orders()] == ["Close"]


# -- several connections -------------------------------------------------------------


def test_images_ahead_of_their_start_are_written():
    line = Line("series", connections=4)
    line.push(*images(1, 0, series=3))
    line.push(dectris_start(3, filename="a.h5"), End(series=3), *images(2, series=3))
    line.wait(0.2)
    assert (line.newest.state, line.frames()) == ("done", [0, 1, 2])


def test_an_end_that_overtook_images_loses_none():
    line = Line("series", connections=4)
    line.push(dectris_start(3, filename="a.h5"), End(series=3))
    line.push(*images(0, 2, series=3))
    line.push(*images(1, series=3), after_s=1.9)
    assert line.frames() == [0, 1, 2]


def test_a_full_buffer_loses_the_oldest_gap_and_nothing_else():
    line = Line(connections=4, limits=Limits(limit_bytes=8192))
    line.push(start(0))
    line.wait(0.2)
    line.push(*images(2, 4, 6, 8, 10, 12, 14, 16), drained=False)
    line.push(*images(3, 5, 7, 9, 11, 13, 15), End(number=17))
    assert line.counts() == {"received": 15, "written": 15, "missing": 1}
