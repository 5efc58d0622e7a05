import asyncio
import math
import threading
from concurrent.futures import Future

import pytest
from msgspec import UNSET

from srx_service import control
from srx_service.acquisitions import ArmRequest
from srx_service.admission import Admission
from srx_service.control import Control
from srx_service.errors import RequestError, WriteError
from srx_service.messages import End, Start
from srx_service.space import Space
from srx_service.status import Status
from srx_service.waiting import Notice
from tests.service.line import ROOT, Line, images


class Answering:
    """Reception that carries out calls at once, in the thread of the caller."""

    def __init__(self, line):
        self._line = line
        self.answers = True
        self.lost = 0

    def call(self, do):
        future = Future()
        if not self.answers:
            return future
        try:
            future.set_result(do())
        except RequestError as error:
            future.set_exception(error)
        self._line._hand_on(self._line.router.take_orders())
        return future

    call_after_drain = call

    def release(self):
        """Pass on what waits behind a gap: nothing does here."""


class Desk:
    """What HTTP talks to, over a line without sockets and files."""

    def __init__(self):
        self.line = Line()
        self.reception = Answering(self.line)
        self.notice = Notice()
        self.status = Status()
        self.control = Control(
            self.reception,
            self.line.router,
            self.line.acquisitions,
            self.status,
            self.notice,
            configuration={"name": "eiger"},
            gauges=lambda: {"clients": 2, "version": "1"},
            is_ready=lambda: True,
            admission=Admission(Space(None), None),
        )

    def arm(self, name=None, **fields):
        file = None if name is None else str(ROOT / name)
        return asyncio.run(self.control.arm(ArmRequest(file=file, **fields)))

    def state(self):
        return self.control.status()["state"]

    @property
    def newest(self):
        return self.line.newest


@pytest.fixture
def desk():
    return Desk()


# -- what is told ----------------------------------------------------------------------


def test_it_is_idle_until_a_header_and_after_the_file_is_closed(desk):
    seen = [desk.state()]
    desk.line.push(Start(number=0, filename="/nowhere/a.h5"))
    seen.append(desk.state())
    desk.line.queue = []
    desk.line.push(*images(1, 2), End(number=3))
    seen.append(desk.state())
    desk.line.write(len(desk.line.queue))
    assert [*seen, desk.state()] == ["idle", "running", "running", "idle"]


def test_an_armed_acquisition_is_idle_before_and_between_its_series(desk):
    desk.arm("a.h5", series="open")
    seen = [desk.state()]
    desk.line.push(Start(number=0), *images(1))
    seen.append(desk.state())
    desk.line.push(End(number=2))
    assert [*seen, desk.state()] == ["idle", "running", "idle"]


def test_it_is_running_while_an_older_file_is_still_being_written(desk):
    desk.line.queue = []
    desk.line.push(Start(number=0, filename="/nowhere/a.h5"), *images(1), End(number=2))
    desk.line.router.arm(ArmRequest(), 0.0)
    shown = desk.control.status()
    assert (shown["state"], shown["file"]) == ("running", "/nowhere/a.h5")


def test_an_error_is_told_until_the_next_header(desk):
    desk.line.acquisitions.error = "disk full"
    assert desk.control.status()["error"] == "disk full"
    assert desk.state() == "error"
    desk.line.push(Start(number=0), End(number=1))
    assert desk.state() == "idle"
    assert "error" not in desk.control.status()


def test_the_newest_acquisition_and_the_gauges_are_shown(desk):
    told = desk.arm("a.h5")
    shown = desk.control.status()
    assert (shown["acquisition"], shown["file"]) == (told["id"], "/nowhere/a.h5")
    assert (shown["clients"], shown["messages"], shown["orphans"]) == (2, 0, 0)
    desk.reception.lost = 3
    assert desk.control.status()["lost"] == desk.control.metrics()["lost"] == 3


def test_metrics_are_numbers_or_numbers_by_kind(desk):
    desk.line.push(Start(number=0, filename="/nowhere/a.h5"), *images(1, 2))
    figures = desk.control.metrics()
    assert figures["acquisition_frames"]["written"] == 2.0
    assert figures["frames"]["written"] == 2.0
    assert figures["ready"] == figures["state"]["running"] == 1.0
    assert figures["clients"] == 2.0
    assert "version" not in figures


def test_it_tells_which_detector_it_is(desk):
    told = {"detector": "eiger", "class": "", "version": "1"}
    assert desk.control.about() == told


def test_acquisitions_are_listed_newest_first(desk):
    first = desk.arm("a.h5")
    asyncio.run(desk.control.stop(first["id"], 1.0))
    second = desk.arm("b.h5")
    listed = [told["id"] for told in desk.control.acquisitions(9)]
    assert listed == [second["id"], first["id"]]


def test_those_of_an_earlier_life_are_told_and_cannot_be_changed(desk):
    desk.line.acquisitions._past.append(past := {"id": "old", "state": "interrupted"})
    for ask in (
        desk.control.acquisition("old", wait_frames=9, timeout_s=60.0),
        desk.control.stop("old", 60.0),
        desk.control.abort("old"),
    ):
        assert asyncio.run(ask) is past
    for refused in (
        desk.control.rewind("old", 0),
        desk.control.patch("old", expected=1, series_id=None),
    ):
        with pytest.raises(RequestError, match="is interrupted already") as error:
            asyncio.run(refused)
        assert error.value.status == 409


def test_an_unknown_id_is_told(desk):
    with pytest.raises(RequestError, match="no acquisition 'x'") as raised:
        asyncio.run(desk.control.acquisition("x"))
    assert raised.value.status == 404


# -- what is asked for -----------------------------------------------------------------


def test_an_arm_answers_with_the_acquisition_that_the_next_start_binds(desk):
    told = desk.arm("a.h5", expected=2)
    assert (told["state"], told["file"], told["expected"]) == (
        "armed",
        "/nowhere/a.h5",
        2,
    )
    desk.line.push(Start(number=0), *images(1, 2), End(number=3))
    again = asyncio.run(desk.control.acquisition(told["id"]))
    assert (again["state"], again["rows"]) == ("done", 2)


class NoRoom:
    """A disk that has room for nothing."""

    async def must_fit(self, request):
        raise RequestError(507, "no room on the disk", "0 fit")

    def must_hold(self, acquisition, expected):
        raise RequestError(507, "no room on the disk", "0 fit")


def test_an_arm_without_room_on_the_disk_arms_nothing(desk, monkeypatch):
    monkeypatch.setattr(desk.control, "_admission", NoRoom())
    with pytest.raises(RequestError, match="0 fit"):
        desk.arm("a.h5", expected=10)
    assert list(desk.line.acquisitions) == []


def test_frames_without_room_on_the_disk_are_not_expected(desk, monkeypatch):
    told = desk.arm("a.h5", expected=3)
    monkeypatch.setattr(desk.control, "_admission", NoRoom())
    with pytest.raises(RequestError, match="0 fit"):
        asyncio.run(desk.control.patch(told["id"], expected=10, series_id=None))
    assert desk.newest.expected == 3


def test_an_arm_is_refused_while_another_is_busy(desk):
    told = desk.arm("a.h5")
    with pytest.raises(RequestError, match=told["id"]) as raised:
        desk.arm("b.h5")
    assert raised.value.status == 409


def fail_with(desk, error):
    """Let the writer refuse to make files."""

    def create(order):
        desk.line.writer._acquisition = order.acquisition
        order.acquisition.fail(str(error))
        order.done.set_exception(error)

    kind = next(kind for kind in desk.line.writer._do if kind.__name__ == "Create")
    desk.line.writer._do[kind] = create


def storage_error(cause):
    error = WriteError(f"/nowhere/exists/a.h5: {cause}")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        (FileExistsError(17, "there"), 409),
        (None, 409),
        (OSError(28, "full"), 507),
        (PermissionError(13, "no"), 507),
    ],
    ids=str,
)
def test_a_file_that_cannot_be_made_is_told_and_the_next_arm_is_free(
    desk, cause, status
):
    fail_with(desk, storage_error(cause))
    with pytest.raises(RequestError, match="/nowhere/exists") as raised:
        desk.arm("a.h5")
    assert raised.value.status == status
    assert desk.newest.state == "failed"
    assert desk.arm()["state"] == "armed"


def test_a_line_that_does_not_answer_is_told_and_what_comes_late_does_no_harm(
    desk, monkeypatch
):
    monkeypatch.setattr(control, "PATIENCE_S", 0.01)
    desk.reception.answers = False
    with pytest.raises(RequestError, match="no answer within") as raised:
        desk.arm("a.h5")
    assert raised.value.status == 504


def test_an_arm_that_is_broken_off_leaves_nothing_armed(desk):
    desk.line.queue = []

    async def break_off():
        arming = asyncio.create_task(desk.control.arm(ArmRequest(file="/nowhere/a.h5")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        arming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await arming

    asyncio.run(break_off())
    assert desk.newest.state == "finishing"
    assert desk.line.router.current is None


def test_a_stop_finishes_with_what_is_there(desk):
    told = desk.arm("a.h5", series="open")
    desk.line.push(Start(number=0), *images(1, 2))
    told = asyncio.run(desk.control.stop(told["id"], 5.0))
    assert (told["state"], told["rows"]) == ("done", 2)


def test_a_stop_that_takes_too_long_answers_that_it_is_finishing(desk):
    told = desk.arm("a.h5")
    desk.line.queue = []
    assert asyncio.run(desk.control.stop(told["id"], 0.01))["state"] == "finishing"


def test_an_abort_is_terminal_and_harmless_when_repeated(desk):
    told = desk.arm("a.h5")
    for _ in range(2):
        assert asyncio.run(desk.control.abort(told["id"]))["state"] == "aborted"


def test_expected_frames_are_patched_or_left(desk):
    told = desk.arm("a.h5", expected=5)
    for given, expected in [(UNSET, 5), (7, 7), (None, None)]:
        patched = desk.control.patch(told["id"], expected=given, series_id=None)
        assert asyncio.run(patched)["expected"] == expected


def test_a_rewind_answers_with_the_rows_left(desk):
    told = desk.arm("a.h5", series="open")
    desk.line.push(Start(number=0), *images(1, 2, 3))
    assert asyncio.run(desk.control.rewind(told["id"], 1))["rows"] == 1


def test_a_rewind_that_the_storage_refuses_is_told(desk, monkeypatch):
    told = desk.arm("a.h5", series="open")
    refused = Future()
    refused.set_exception(WriteError("disk full"))
    monkeypatch.setattr(desk.line.router, "rewind", lambda *_: refused)
    with pytest.raises(RequestError, match="disk full") as raised:
        asyncio.run(desk.control.rewind(told["id"], 0))
    assert raised.value.status == 507


def test_any_call_with_the_id_renews_the_lease(desk):
    told = desk.arm("a.h5", lease_s=60.0)
    desk.newest.lease_until_s = 0.0
    asyncio.run(desk.control.acquisition(told["id"]))
    assert desk.newest.lease_until_s > 0


def test_who_may_only_look_renews_no_lease(desk):
    told = desk.arm("a.h5", lease_s=60.0)
    desk.newest.lease_until_s = 0.0
    asyncio.run(desk.control.acquisition(told["id"], 1, 0.01, renews=False))
    assert desk.newest.lease_until_s == 0.0


def test_without_a_lease_none_is_made(desk):
    desk.arm("a.h5")
    assert desk.newest.lease_until_s is None


# -- while images come -----------------------------------------------------------------


def wait_while(desk, then, timeout_s=20.0):
    """Wait while it receives, and do something in another thread meanwhile."""

    async def wait():
        task = asyncio.create_task(desk.control.wait_while_receiving(timeout_s))
        await asyncio.sleep(0)
        thread = threading.Thread(target=then)
        thread.start()
        await task
        thread.join()

    asyncio.run(wait())
    return desk.control.is_receiving()


def test_it_receives_while_images_of_an_acquisition_come(desk):
    desk.status.received_s = math.inf
    seen = [desk.control.is_receiving()]
    desk.line.push(Start(number=0, filename="/nowhere/a.h5"), *images(1))
    seen.append(desk.control.is_receiving())
    desk.status.received_s = -math.inf
    assert [*seen, desk.control.is_receiving()] == [False, True, False]


def test_who_waits_while_it_receives_is_told_when_the_file_is_closed(desk):
    desk.status.received_s = math.inf
    desk.line.push(Start(number=0, filename="/nowhere/a.h5"), *images(1))

    def end():
        desk.notice.notify()
        desk.line.push(End(number=2))
        desk.notice.notify()

    assert not wait_while(desk, end)


def test_who_waits_while_it_receives_waits_until_the_timeout(desk):
    desk.status.received_s = math.inf
    desk.line.push(Start(number=0, filename="/nowhere/a.h5"), *images(1))
    assert wait_while(desk, lambda: None, timeout_s=0.01)


# -- long polls ------------------------------------------------------------------------


def poll_while(desk, rows, then, timeout_s=20.0):
    """Poll for rows, and do something in another thread meanwhile."""

    async def poll():
        waiting = desk.control.acquisition(desk.newest.id, rows, timeout_s)
        task = asyncio.create_task(waiting)
        await asyncio.sleep(0)
        thread = threading.Thread(target=then)
        thread.start()
        told = await task
        thread.join()
        return told

    return asyncio.run(poll())


def test_a_long_poll_answers_when_the_rows_are_durable(desk):
    desk.arm("a.h5")
    desk.line.push(Start(number=0), *images(1))

    def more():
        desk.notice.notify()
        desk.line.push(*images(2, 3))
        desk.notice.notify()

    assert poll_while(desk, 3, more)["rows"] == 3


def test_a_long_poll_answers_at_once_where_the_rows_are_there(desk):
    desk.arm("a.h5")
    desk.line.push(Start(number=0), *images(1))
    assert poll_while(desk, 1, lambda: None)["rows"] == 1


def test_a_long_poll_answers_when_no_more_can_come(desk):
    desk.arm("a.h5")

    def end():
        desk.line.push(Start(number=0), *images(1), End(number=2))
        desk.notice.notify()

    assert poll_while(desk, 99, end)["state"] == "done"


def test_a_long_poll_answers_at_its_timeout(desk):
    desk.arm("a.h5")
    assert poll_while(desk, 1, lambda: None, timeout_s=0.01)["rows"] == 0


def test_the_writer_knows_the_rows_that_are_waited_for(desk):
    desk.arm("a.h5")
    seen = []

    async def poll():
        polls = [desk.control.acquisition(desk.newest.id, n, 20.0) for n in (5, 2, 9)]
        tasks = [asyncio.create_task(each) for each in polls]
        await asyncio.sleep(0)
        seen.append(desk.newest.wanted_rows)
        desk.newest.rows = 2
        desk.notice.notify()
        await tasks[1]
        seen.append(desk.newest.wanted_rows)
        desk.newest.rows = 9
        desk.notice.notify()
        await asyncio.gather(*tasks)

    asyncio.run(poll())
    assert [*seen, desk.newest.wanted_rows] == [2, 5, None]


def test_a_notice_to_a_loop_that_is_closed_does_no_harm():
    notice = Notice()

    async def leave_one_waiting():
        waiting = notice.waiting()
        waiting.__enter__()
        return waiting

    kept = asyncio.run(leave_one_waiting())
    notice.notify()
    del kept
