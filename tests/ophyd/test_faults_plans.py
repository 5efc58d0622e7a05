"""Plans that end early, detectors that send too much, and what may be left of them."""

import threading
import time

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted
from ophyd.utils import RedundantStaging

from srx_ophyd.client import ServiceError
from srx_ophyd.device import SrxDetector
from srx_ophyd.driver import DriverError
from tests.ophyd.faults import (
    BOUND_S,
    IMPATIENCE_S,
    before,
    either_flavour,
    flavour,
    line,
    mend,
)

__all__ = ("flavour", "line")


@either_flavour
@pytest.mark.parametrize("request_", ["get", "rewind"])
def test_an_acquisition_is_ended_although_another_request_fails(line, request_):
    def refuse():
        line.service.refusals[request_] = (500, "Internal Server Error", "")

    before(line.det, "unstage", refuse)
    line.engine(bp.count([line.det]))
    assert line.service.states == ["done"]


def test_what_is_more_than_was_asked_for_is_no_frame_of_an_event(line):
    line.driver.trigger = lambda frames: line.service.send(*range(2 * frames))
    line.det.frames_per_event.put(3)
    line.engine(bp.count([line.det], num=2))
    assert line.service.rows == [0, 1, 2] * 2
    assert line.service.current["counts"]["surplus"] == 6
    assert len(line.documents.of("event")) == 2


def test_what_is_more_than_was_asked_for_is_not_in_a_fly_scan(line):
    line.driver.trigger = lambda frames: line.service.send(*range(2 * frames))
    line.engine(line.fly(5))
    assert line.service.rows == [*range(5)]
    line.check_idle()


def test_what_comes_before_anything_is_triggered_is_no_frame_of_an_event(line):
    before(line.det, "trigger", lambda: line.service.send("too early"))
    line.engine(bp.count([line.det], num=2))
    assert line.service.rows == [(1, 0), (2, 0)]


@either_flavour
@pytest.mark.parametrize(("device", "calls"), [("det", ["abort"]), ("other", [])])
def test_what_a_dead_session_left_the_detector_doing_is_ended(line, device, calls):
    line.det.stage()
    line.det.unstage()
    gone = {"state": "aborted", "error": "client gone: no call for 60 s"}
    line.service.current.update(gone, metadata={"device": device})
    line.driver.calls.clear()
    line.engine(bp.count([line.det]))
    assert line.driver.calls == [*calls, "arm", "disarm"]


@either_flavour
@pytest.mark.parametrize("call", ["configure", "arm", "layout"])
def test_ctrl_c_at_the_prompt_leaves_nothing_staged(line, call):
    def interrupt():
        raise KeyboardInterrupt

    before(line.driver, call, interrupt)
    with pytest.raises(KeyboardInterrupt):
        line.det.stage()
    assert set(line.service.states) <= {"aborted"}
    line.check_idle()
    line.check_next_scan()


@either_flavour
def test_an_arm_that_was_not_answered_is_not_in_the_way(line):
    for endpoint in (line.det.client._root, line.det.client._api):
        endpoint.timeout_s = IMPATIENCE_S
    before(line.driver, "configure", line.service.silent.set)
    with pytest.raises(ServiceError, match="did not answer"):
        line.det.stage()
    mend(line)
    while not line.service.acquisitions:
        time.sleep(0.01)
    line.check_next_scan()
    assert line.service.states == ["aborted", "done"]


def test_a_plan_that_raises_ends_the_exposure(line):
    @bpp.stage_decorator([line.det])
    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([line.det])
        line.driver.held.set()
        yield from bps.trigger(line.det, group="exposure")
        raise ValueError("a mistake in the plan")

    assert line.fails(plan(), ValueError) == "a mistake in the plan"
    assert line.service.states == ["aborted"]
    assert line.service.rows == [(1, 0)]
    line.check_idle()
    line.check_next_scan()


@either_flavour
def test_what_a_plan_forgets_to_unstage_is_unstaged_at_its_end(line):
    def plan():
        yield from bps.stage(line.det)
        yield from bpp.run_wrapper(bps.trigger_and_read([line.det]))

    line.engine(plan())
    assert line.service.states == ["done"]
    line.check_idle()
    line.check_next_scan()


@either_flavour
def test_what_was_staged_by_hand_can_be_unstaged_by_hand(line):
    line.det.stage()
    with pytest.raises(RedundantStaging, match=r"already staged\. Unstage it first"):
        line.det.stage()
    line.det.unstage()
    assert line.service.states == ["done"]
    line.check_next_scan()


def pauses_in_exposure(line, number):
    def pause(now):
        if now == number:
            line.driver.held.set()
            line.engine.request_pause()

    line.driver.on_trigger = pause


@pytest.mark.parametrize("ending", ["abort", "stop", "halt"])
def test_a_paused_scan_can_be_ended(line, ending):
    pauses_in_exposure(line, 2)
    with pytest.raises(RunEngineInterrupted):
        line.engine(bp.count([line.det], num=3))
    getattr(line.engine, ending)()
    [stop] = line.documents.of("stop")
    status = {"abort": "abort", "stop": "success", "halt": "abort"}
    assert stop["exit_status"] == status[ending]
    assert line.service.states == ["aborted"]
    assert line.service.rows == [(1, 0)]
    line.check_idle()
    line.check_next_scan()


@pytest.mark.parametrize("ending", ["abort", "stop", "halt"])
def test_a_paused_fly_scan_can_be_ended(line, ending):
    @bpp.stage_decorator([line.det])
    @bpp.run_decorator()
    def plan():
        if isinstance(line.det, SrxDetector):
            yield from bps.declare_stream(line.det, name="primary", collect=True)
        yield from bps.checkpoint()
        yield from bps.prepare(line.det, 50, wait=True)
        yield from bps.kickoff(line.det, wait=True)
        yield from bps.complete(line.det, wait=True)

    pauses_in_exposure(line, 1)
    with pytest.raises(RunEngineInterrupted):
        line.engine(plan())
    assert line.engine.state == "paused"
    getattr(line.engine, ending)()
    assert line.service.states == ["aborted"]
    line.check_idle()
    line.check_next_scan()


@either_flavour
@pytest.mark.parametrize("told", [0, 3])
def test_a_fly_scan_is_not_taken_up_again_once_events_were_told_of(line, told):
    @bpp.stage_decorator([line.det])
    @bpp.run_decorator()
    def plan():
        yield from bps.declare_stream(line.det, name="primary", collect=True)
        yield from bps.checkpoint()
        yield from bps.prepare(line.det, 10, wait=True)
        yield from bps.kickoff(line.det, wait=True)
        yield from bps.collect_while_completing(
            [line.det], [line.det], flush_period=0.05, stream_name="primary"
        )

    def pause(number):
        if number == 1:
            line.driver.held.set()
            line.service.send(*range(told))
            while len(line.documents.indices()) < (told > 0):
                time.sleep(0.01)
            line.engine.request_pause()

    line.driver.on_trigger = pause
    with pytest.raises(RunEngineInterrupted):
        line.engine(plan())
    line.driver.held.clear()
    if told:
        with pytest.raises(RuntimeError, match="clear_checkpoint before it kicks off"):
            line.engine.resume()
        assert line.service.rows == [*range(told)]
    else:
        line.engine.resume()
        assert len(line.service.rows) == 10
    line.check_idle()


@either_flavour
def test_a_kickoff_that_is_interrupted_is_finished(line):
    arming, may_go_on = threading.Event(), threading.Event()

    def slowly():
        arming.set()
        may_go_on.wait(BOUND_S)

    line.det.stage()
    before(line.driver, "arm", slowly)
    line.det.prepare(5)
    status = line.det.kickoff()
    assert arming.wait(BOUND_S)
    line.det.pause()
    may_go_on.set()
    status.wait(BOUND_S)
    line.check_idle()


@either_flavour
def test_a_detector_that_is_armed_too_late_is_disarmed(line):
    arming, may_go_on = threading.Event(), threading.Event()

    def slowly():
        arming.set()
        may_go_on.wait(BOUND_S)

    line.det.stage()
    before(line.driver, "arm", slowly)
    line.det.exposure_s.put(1.0)
    line.det.trigger()
    assert arming.wait(BOUND_S)
    line.det.client.timeout_s = IMPATIENCE_S
    line.det.unstage()
    may_go_on.set()
    line.check_idle()


@either_flavour
def test_a_detector_that_refuses_a_trigger_fails_its_point_alone(line):
    line.driver.error = DriverError("detector http://dcu refused PUT trigger: 400")
    assert "refused PUT trigger: 400, at frame" in line.fails(bp.count([line.det]))
    line.driver.error = None
    line.check_idle()
    line.check_next_scan()


@either_flavour
def test_pixels_of_another_type_fail_the_scan_with_both_named(line):
    text = "the first frame is 4 x 6 uint32, armed for 4 x 6 uint16"
    line.driver.on_trigger = lambda number: line.service.fail(text)
    told = line.fails(bp.count([line.det]))
    assert f"the acquisition ended, at frame 0 of 1; acquisition acq1 is failed ({text}"
    assert text in told


@either_flavour
def test_a_second_engine_does_not_end_the_first_ones_exposure(line):
    other = RunEngine({}, context_managers=[])
    refused = []

    def second(number):
        if number == 2:
            with pytest.raises(RedundantStaging) as caught:
                other(bp.count([line.det]))
            refused.append(caught.value)

    line.driver.on_trigger = second
    line.engine(bp.count([line.det], num=3))
    assert len(refused) == 1
    assert line.service.rows == [(1, 0), (2, 0), (3, 0)]
    assert line.documents.of("stop")[0]["exit_status"] == "success"
    line.check_idle()
