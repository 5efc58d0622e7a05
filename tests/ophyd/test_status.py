import pytest
from ophyd import Device

from srx_ophyd.status import CauseStatus, FramesStatus


@pytest.fixture
def device():
    return Device("", name="det")


@pytest.fixture
def status(device):
    return FramesStatus(device, start=10, target=20)


def test_its_text_is_its_cause(status):
    status.fail(RuntimeError("disk full"))
    assert str(status) == repr(status) == "det: disk full"
    assert str(status.exception()) == "disk full"


def test_before_it_is_done_its_text_is_how_far_it_is(status):
    status.progress(13)
    assert str(status) == "FramesStatus(det, done=False, 3 of 10 frames)"


@pytest.mark.parametrize(("make", "rows"), [(CauseStatus, ()), (FramesStatus, (0, 1))])
def test_it_is_settled_once_and_further_attempts_are_nothing(device, make, rows):
    status = make(device, *rows)
    status.give_up()
    status.fail(RuntimeError("too late"))
    status.give_up()
    assert status.success


def test_it_has_all_only_when_the_frames_came(device, status):
    status.give_up()
    assert (status.success, status.has_all) == (True, False)
    other = FramesStatus(device, 0, 5)
    other.succeed()
    assert (other.success, other.has_all, other.count) == (True, True, "5 of 5")


def test_what_was_given_up_does_not_have_all_later(status):
    status.give_up()
    status.succeed()
    assert not status.has_all


def test_watchers_are_told_what_a_bar_needs(status):
    seen = []
    status.watch(lambda **progress: seen.append(progress))
    status.progress(15)
    status.succeed()
    assert [one["current"] for one in seen] == [0, 5, 10]
    assert [one["fraction"] for one in seen] == [1.0, 0.5, 0.0]
    assert {one["target"] for one in seen} == {10}
    assert seen[0]["time_remaining"] is None
    assert seen[1]["time_remaining"] >= 0


def test_it_never_tells_more_than_was_asked_for(status):
    status.progress(25)
    assert status.count == "10 of 10"


def test_failing_does_not_stop_the_device(device, status):
    device.stop = lambda **_: pytest.fail("stopped")
    status.fail(RuntimeError("x"))
