import pytest

from srx_ophyd.client import Acquisition
from srx_ophyd.documents import FrameLayout
from srx_ophyd.history import layout_of, refuse_if_in_use, was_abandoned
from srx_ophyd.watch import AcquisitionError

LABELS = {"device": "det", "configuration": {"exposure_s": 0.1}}


def past(**fields):
    answer = {
        "id": "a1",
        "state": "done",
        "origin": "api",
        "file": "/data/a.h5",
        "dataset": "/entry/d",
        "shape": [4, 6],
        "dtype": "uint16",
        "rows": 5,
        "metadata": LABELS,
    }
    return Acquisition.from_json(answer | fields)


@pytest.mark.parametrize("state", ["armed", "running", "finishing"])
def test_an_acquisition_that_is_not_over_is_in_the_way(state):
    with pytest.raises(AcquisitionError, match=r"a1 is \w+, file /data/a\.h5; wait"):
        refuse_if_in_use([past(), past(state=state)], "http://a")


@pytest.mark.parametrize("state", ["done", "failed", "aborted"])
def test_what_is_over_is_not_in_the_way(state):
    refuse_if_in_use([past(state=state)], "http://a")


GONE = {"state": "aborted", "error": "client gone: no call for 60.0 s"}


def test_what_the_device_s_own_dead_session_left_is_known():
    assert was_abandoned([past(**GONE), past()], "det")


@pytest.mark.parametrize(
    "others",
    [
        [],
        [past()],
        [past(), past(**GONE)],
        [past(state="aborted")],
        [past(**GONE, metadata={"device": "another"})],
    ],
)
def test_what_others_do_is_not_taken_for_it(others):
    assert not was_abandoned(others, "det")


def test_what_the_source_named_itself_is_the_services_to_judge():
    refuse_if_in_use([past(state="running", origin="stream")], "http://a")


def test_the_newest_frames_of_the_same_labels_count():
    newest = past(shape=[8, 9], dtype="int32")
    other = past(shape=[1, 1], metadata={"device": "other"})
    assert layout_of([other, newest, past()], LABELS) == FrameLayout((8, 9), "int32")


@pytest.mark.parametrize(
    "fields",
    [{"rows": 0}, {"shape": None}, {"dtype": None}],
)
def test_frames_that_did_not_come_do_not_count(fields):
    with pytest.raises(AcquisitionError, match=r"give the device shape=\(y, x\)"):
        layout_of([past(**fields)], LABELS)


def test_other_frames_are_told_as_a_help():
    with pytest.raises(AcquisitionError, match="last frames were 4 x 6 uint16"):
        layout_of([past(metadata={})], LABELS)
