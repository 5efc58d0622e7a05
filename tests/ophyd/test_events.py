import pytest

from srx_ophyd.documents import FrameLayout, stream_resource
from srx_ophyd.events import Events, Place

N = 3


class Status:
    """As much of a FramesStatus as a events looks at."""

    def __init__(self, place, events):
        self.target = place.start + events * N
        self.has_all = True


def make():
    layout = FrameLayout((4, 6), "uint16", N)
    return stream_resource(layout, "k", "file://localhost/a.h5", "/entry/d")


@pytest.fixture
def events():
    return Events(N, starts_exposures=True)


def expose(events, mode, rows, count=1):
    place = events.next(mode, rows)
    events.status = Status(place, count)
    return place


def publish(events, rows, descriptor="d1"):
    for name, document in events.documents(rows, None, make):
        key = "run_start" if name == "stream_resource" else "descriptor"
        document[key] = descriptor


def test_points_follow_one_another(events):
    for point in range(4):
        place = expose(events, "step", rows=point * N)
        assert place == Place(point * N, None, new_file=False)
        publish(events, (point + 1) * N)


def test_kickoffs_follow_one_another_collected_or_not(events):
    expose(events, "fly", 0, count=5)
    place = expose(events, "fly", 15, count=5)
    assert place == Place(15, None, new_file=False)


@pytest.mark.parametrize("mode", ["step", "fly"])
def test_what_a_failure_left_is_rewound(events, mode):
    expose(events, mode, 0)
    events.status.has_all = False
    assert expose(events, mode, 2) == Place(0, 0, new_file=False)


def test_a_series_that_a_failure_left_is_ended_even_without_a_row(events):
    expose(events, "step", 0)
    events.status.has_all = False
    assert expose(events, "step", 0).rewind_to == 0


def test_a_point_that_was_not_read_is_rewound(events):
    expose(events, "step", 0)
    assert expose(events, "step", N) == Place(0, 0, new_file=False)


def test_a_point_whose_documents_were_dropped_is_rewound(events):
    expose(events, "step", 0)
    list(events.documents(N, None, make))
    assert expose(events, "step", N) == Place(0, 0, new_file=False)


def test_a_pause_between_points_rewinds_nothing(events):
    expose(events, "step", 0)
    publish(events, N)
    events.pause(N)
    assert expose(events, "step", N) == Place(N, None, new_file=False)


def test_frames_that_nobody_started_may_be_ahead():
    events = Events(N, starts_exposures=False)
    expose(events, "step", rows=20)
    assert events.index(20) == 1
    publish(events, 20)
    assert expose(events, "step", rows=20) == Place(N, None, new_file=False)


def test_a_pause_rewinds_frames_that_nobody_started_too():
    events = Events(N, starts_exposures=False)
    expose(events, "step", rows=20)
    events.pause(20)
    assert expose(events, "step", rows=20).rewind_to == 0


def test_turning_to_flying_takes_a_new_file(events):
    expose(events, "step", 0)
    publish(events, N)
    assert expose(events, "fly", N) == Place(0, None, new_file=True)
    assert events.index(0) == 0


def test_the_next_run_of_fly_scans_takes_a_new_file(events):
    events.describe("fly")
    expose(events, "fly", 0)
    publish(events, N)
    events.describe("fly")
    assert expose(events, "fly", N).new_file
    publish(events, N, "d2")
    assert not events.mixes_streams


def test_only_what_was_asked_for_is_told_of(events):
    expose(events, "fly", 0, count=2)
    assert [events.index(rows) for rows in (0, 2, 3, 5, 6, 9)] == [0, 0, 1, 1, 2, 2]
    [_, (_, datum)] = events.documents(6, 1, make)
    assert datum["indices"] == {"start": 0, "stop": 1}


def test_at_the_end_a_step_scan_keeps_its_events_alone(events):
    expose(events, "step", 0)
    assert events.kept_rows is None  # no RunEngine took anything: keep all
    publish(events, N)
    expose(events, "step", N)
    list(events.documents(2 * N, None, make))
    assert events.kept_rows == N


def test_at_the_end_a_fly_scan_keeps_all(events):
    expose(events, "fly", 0)
    publish(events, N)
    assert events.kept_rows is None
