import pytest

from srx_ophyd.datum_documents import DatumDocuments
from srx_ophyd.documents import FrameLayout, resource, stream_resource
from srx_ophyd.events import Events, Place
from srx_ophyd.stream_documents import StreamDocuments

N = 3


LAYOUT = FrameLayout((4, 6), "uint16", N)


class Status:
    """As much of a FramesStatus as Events looks at."""

    def __init__(self, place, events):
        self.target = place.start + events * N
        self.has_all = True


def new_stream_documents():
    uri = "file://localhost/a.h5"
    return StreamDocuments(lambda: [stream_resource(LAYOUT, "k", uri, "/entry/d")])


def new_datum_documents():
    return DatumDocuments(
        lambda: resource(LAYOUT, "AD_HDF5", ("/", "a.h5"), "/entry/d")
    )


@pytest.fixture(params=[new_stream_documents, new_datum_documents])
def make(request):
    """Events of either flavour; both follow the same rules."""

    def make(**arguments):
        return Events(N, request.param, **{"starts_exposures": True} | arguments)

    return make


@pytest.fixture
def events(make):
    return make()


def expose(events, mode, rows, count=1):
    place = events.next(mode, rows)
    events.status = Status(place, count)
    return place


def read(events, rows, index=None):
    """Ask for the documents, as `read` does, and emit none of them."""
    events.publish(rows, index)
    return list(events._documents.assets())


def publish(events, rows, descriptor="d1"):
    for name, document in read(events, rows):
        key = "run_start" if name.endswith("resource") else "descriptor"
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
    read(events, N)
    assert expose(events, "step", N) == Place(0, 0, new_file=False)


def test_a_pause_between_points_rewinds_nothing(events):
    expose(events, "step", 0)
    publish(events, N)
    events.pause(N)
    assert expose(events, "step", N) == Place(N, None, new_file=False)


def test_frames_that_nobody_started_may_be_ahead(make):
    events = make(starts_exposures=False)
    expose(events, "step", rows=20)
    assert events.index(20) == 1
    publish(events, 20)
    assert expose(events, "step", rows=20) == Place(N, None, new_file=False)


def test_a_pause_rewinds_frames_that_nobody_started_too(make):
    events = make(starts_exposures=False)
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
    read(events, 6, index=1)
    assert events._documents.published == 1


def test_at_the_end_a_step_scan_keeps_its_events_alone(events):
    expose(events, "step", 0)
    assert events.kept_rows is None  # no RunEngine took anything: keep all
    publish(events, N)
    expose(events, "step", N)
    read(events, 2 * N)
    assert events.kept_rows == N


def test_at_the_end_a_fly_scan_keeps_all(events):
    expose(events, "fly", 0)
    publish(events, N)
    assert events.kept_rows is None
