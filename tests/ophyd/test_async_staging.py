import asyncio
import threading

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky.utils import FailedStatus, RunEngineInterrupted
from ophyd_async.core import NotConnectedError, TriggerInfo

from srx_ophyd.drivers import DriverError
from srx_ophyd.plans import srx_fly
from tests.ophyd.async_devices import NOBODY, fails, in_loop, shot

# -- what goes wrong


def test_a_failed_acquisition_fails_the_scan_with_its_cause(
    engine, adet, documents, service, driver
):
    driver.on_trigger = lambda number: number == 2 and service.fail("disk full")
    text = fails(engine, documents, bp.count([adet], num=3))
    assert text.startswith("det: the acquisition ended, at frame 0 of 1")
    assert "is failed (disk full)" in text
    assert driver.calls[-1] == "abort"


def test_a_failed_acquisition_fails_a_fly_scan_at_once(
    engine, adet, documents, service, driver
):
    driver.held.set()
    driver.on_trigger = lambda _: service.fail("disk full")
    assert "disk full" in fails(engine, documents, srx_fly([adet], 5))


def test_a_service_that_dies_fails_the_scan_with_its_cause(
    engine, adet, documents, service, driver
):
    driver.held.set()
    killers = []

    def die(_number):
        killers.append(threading.Thread(target=service.die))
        killers[-1].start()

    driver.on_trigger = die
    text = fails(engine, documents, srx_fly([adet], 5))
    killers[0].join()
    assert "unreachable" in text or "did not answer" in text
    assert "frame 0 of 5; acquisition acq1" in text


def test_a_driver_that_refuses_fails_the_scan_with_its_cause(
    engine, adet, documents, service, driver
):
    driver.error = DriverError("detector refused trigger: too hot")
    text = fails(engine, documents, bp.count([adet]))
    assert "too hot" in text
    assert service.states == ["aborted"]


def test_frames_that_stay_out_fail_the_scan(engine, make_async, documents, driver):
    driver.held.set()
    text = fails(engine, documents, bp.count([make_async(stall_timeout_s=0.2)]))
    assert "no new frame for 0.2 s, at frame 0 of 1; acquisition acq1 is" in text


def test_an_exposure_timeout_is_the_stall_timeout(engine, adet, documents, driver):
    driver.held.set()
    plan = shot(adet, TriggerInfo(exposure_timeout=0.3))
    assert "no new frame for 0.3 s" in fails(engine, documents, plan)


def test_missing_frames_are_counted(engine, adet, service, driver):
    driver.on_trigger = lambda _: service.send(missing=2)
    engine(srx_fly([adet], 3))
    assert in_loop(adet.frames_missing.get_value) == 2
    assert service.states == ["done"]


def test_missing_frames_fail_the_scan_if_they_shall(
    engine, make_async, documents, service, driver
):
    adet = make_async(on_missing="fail")
    driver.held.set()
    driver.on_trigger = lambda _: service.send(missing=2)
    text = fails(engine, documents, srx_fly([adet], 9))
    assert "frames 1, 2 of 9 never came (rows 0, 1 of the file), and on_mis" in text


@pytest.mark.parametrize("plan", [bp.count, srx_fly])
def test_a_busy_service_is_told_when_it_is_staged(engine, adet, service, driver, plan):
    service.arm(
        dict.fromkeys(("file", "shape", "dtype", "series"), None)
        | {"lease_s": None, "metadata": {}}
    )
    with pytest.raises(
        FailedStatus, match=r"det: srx service .* is in use: acquisition"
    ):
        engine(plan([adet]))
    assert driver.calls == []
    assert engine.state == "idle"


def test_a_staging_that_fails_half_way_is_cleaned_up(engine, adet, service, driver):
    def refuse():
        driver.calls.append("arm")
        raise DriverError("detector refused arm: not cooled")

    arm, driver.arm = driver.arm, refuse

    def plan():
        yield from bps.prepare(adet, 3, wait=True)
        yield from bp.count([adet])

    with pytest.raises(FailedStatus, match="not cooled"):
        engine(plan())
    assert service.states == ["aborted"]
    assert driver.calls == ["arm", "abort"]
    driver.arm = arm
    engine(bp.count([adet]))
    assert service.states == ["aborted", "done"]


def test_a_service_that_is_down_is_told_with_its_address(engine, make_async):
    with pytest.raises(NotConnectedError, match=f"det: srx service {NOBODY} unreach"):
        make_async(url=NOBODY)


def test_a_slow_service_does_not_hold_up_the_event_loop(engine, adet, service):
    beats = 0

    async def count_beats():
        nonlocal beats
        status = adet.stage()
        while not status.done:
            await asyncio.sleep(0.01)
            beats += 1
            if beats == 20:
                service.silent.clear()
        await status

    service.silent.set()
    in_loop(count_beats)
    assert beats >= 20


def test_what_is_cancelled_while_it_arms_is_not_left_armed(
    engine, adet, service, driver
):
    async def prepare_and_cancel():
        await adet.stage()
        service.silent.set()
        before = len(service.requests)
        status = adet.prepare(1)
        while len(service.requests) == before:  # noqa: ASYNC110  another thread adds
            await asyncio.sleep(0.01)
        status.task.cancel()
        service.silent.clear()
        await asyncio.wait([status.task])

    in_loop(prepare_and_cancel)
    assert service.states == ["done"]
    assert driver.calls == ["arm", "disarm"]


def test_the_first_error_is_not_hidden_by_cleaning_up(
    engine, adet, documents, service, driver
):
    service.refusals["abort"] = (500, "broken", "cannot abort")
    driver.error = DriverError("too hot")
    assert "too hot" in fails(engine, documents, bp.count([adet]))


# -- pause, abort


def test_a_pause_in_an_exposure_and_a_resume_lose_nothing(
    engine, adet, documents, service, pause_at
):
    pause_at(2)
    with pytest.raises(RunEngineInterrupted):
        engine(bp.count([adet], num=3))
    assert engine.state == "paused"
    engine.resume()
    assert documents.indices("det") == [(0, 1), (1, 2), (2, 3)]
    assert service.rows == [(1, 0), (3, 0), (4, 0)]
    assert service.states == ["done"]


def test_frames_of_an_interrupted_point_are_taken_back(
    engine, adet, documents, service, driver, pause_at
):
    pause_at(2)
    hold = driver.on_trigger

    def hold_after_one(number):
        if number == 2:
            service.send("orphan")
        hold(number)

    driver.on_trigger = hold_after_one
    plan = bpp.plan_mutator(bp.count([adet], num=2), prepare_bursts(adet))
    with pytest.raises(RunEngineInterrupted):
        engine(plan)
    engine.resume()
    assert documents.indices("det") == [(0, 1), (1, 2)]
    assert service.rows == [(1, 0), (1, 1), (3, 0), (3, 1)]


def prepare_bursts(detector):
    def insert(msg):
        if msg.command == "open_run":
            info = TriggerInfo(collections_per_event=2)
            return None, bps.prepare(detector, info, wait=True)
        return None, None

    return insert


@pytest.mark.parametrize("end", ["abort", "stop", "halt"])
def test_an_end_in_an_exposure_leaves_everything_idle(
    engine, adet, service, driver, pause_at, end
):
    pause_at(2)
    with pytest.raises(RunEngineInterrupted):
        engine(bp.count([adet], num=3))
    getattr(engine, end)()
    if end == "halt":  # cleans nothing up, as its name says
        in_loop(adet.unstage)
    assert engine.state == "idle"
    assert service.states == ["aborted"]
    assert driver.calls[-1] == "abort"
    assert service.rows == [(1, 0)]


def test_a_pause_ends_a_fly_scan(engine, adet, service, driver):
    driver.held.set()
    driver.on_trigger = lambda _: engine.request_pause()
    with pytest.raises(RunEngineInterrupted):
        engine(srx_fly([adet], 5))
    assert engine.state == "idle"
    assert service.states == ["aborted"]
