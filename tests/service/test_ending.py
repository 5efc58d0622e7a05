import threading

import pytest

from srx_service.acquisitions import Acquisitions, ArmRequest
from srx_service.ending import Ending
from srx_service.orders import Close
from srx_service.routing import Router
from srx_service.threads import Threads


class Stage:
    """A stage whose thread ends when it is told to, if it does."""

    def __init__(self, *, is_deaf=False):
        self.is_deaf = is_deaf
        self._end = threading.Event()
        self.given = []
        self.was_released = False

    def run(self):
        self._end.wait()

    def stop(self):
        if not self.is_deaf:
            self._end.set()

    def end(self):
        self._end.set()

    def submit(self, batch):
        self.given.append(batch)

    def release(self):
        self.was_released = True


class Line:
    """All that ends, as `Service` has it, with nothing behind."""

    def __init__(self, deaf=()):
        self.threads = Threads(lambda _: None)
        acquisitions = Acquisitions()
        self.router = Router(
            acquisitions,
            dataset="/entry/data/data",
            missing="fill",
            write_root=None,
            idle_timeout_s=None,
        )
        names = ("receive", "transformed", "write")
        self.stages = {name: Stage(is_deaf=name in deaf) for name in names}
        for name, stage in self.stages.items():
            self.threads.start(name, stage.run)
        self.given = []
        self.ending = Ending(
            self.threads,
            *(self.stages["receive"], self.router),
            *(self.stages["transformed"], self.stages["write"]),
            self.given.append,
            timeout_s=0.05,
        )

    def arm(self):
        acquisition, _ = self.router.arm(ArmRequest(), 0.0)
        self.router.take_orders()
        return acquisition

    def end(self):
        self.threads.may_end()
        ending = self.ending
        steps = (ending.reading, ending.acquisition, ending.transforming)
        self.threads.take_steps(*steps, ending.writing)


@pytest.fixture
def make():
    made = []

    def make(**given):
        made.append(Line(**given))
        return made[-1]

    yield make
    for line in made:
        for stage in line.stages.values():
            stage.end()


def closed(batches):
    return [o.state for b in batches for o in b.orders if isinstance(o, Close)]


def test_what_is_open_is_aborted_when_the_service_is_stopped(make):
    line = make()
    acquisition = line.arm()
    line.end()
    assert closed(line.stages["transformed"].given) == ["aborted"]
    assert acquisition.error == "the service was stopped"
    assert line.stages["receive"].was_released
    assert not line.ending.is_stuck
    assert line.threads.failure is None


def test_what_is_open_fails_with_the_cause_when_a_thread_died(make):
    line = make()
    acquisition = line.arm()
    line.threads.watch("ill", lambda: 1 // 0)
    line.end()
    assert closed(line.stages["transformed"].given) == ["done"]
    assert "the service ends: ZeroDivisionError" in acquisition.error


def test_the_writer_is_told_though_nobody_hands_on_any_more(make):
    line = make()
    line.arm()
    line.stages["transformed"].end()
    assert line.threads.is_over("transformed", 20.0)
    line.end()
    assert closed(line.given) == ["done"]
    assert "transformed ended before" in str(line.threads.failure)


def test_a_receive_thread_that_does_not_end_keeps_its_books(make):
    line = make(deaf=["receive"])
    acquisition = line.arm()
    line.end()
    assert acquisition.error is None
    assert "does not end within" in str(line.threads.failure)
    assert line.threads.is_over("write")


def test_a_writer_that_does_not_end_is_told(make, caplog):
    line = make(deaf=["write"])
    line.end()
    assert line.ending.is_stuck
    assert "not all was written within 0.05 s" in caplog.text
