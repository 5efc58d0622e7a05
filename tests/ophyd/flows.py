"""Records the documents of each kind of plan, for docs/explanations/documents.md.

Device, RunEngine and event-model's validators are real, service and detector are fakes:
a flight waits for its documents here, so that each recording is the same.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted

from srx_ophyd.device import SrxDatumDetector, SrxDetector
from srx_ophyd.exposing import ExposingDevice
from srx_ophyd.plans import declare_fly_streams, srx_count_burst, srx_fly
from tests.ophyd.conftest import Documents
from tests.ophyd.fake_driver import FakeDriver
from tests.ophyd.fake_service import FakeService
from tests.ophyd.lines import PAUSED, lines

PATIENCE_S = 60.0
Plan = Iterator[Any]


class PacedDriver(FakeDriver):
    """Sends the first frames of a flight, and the rest when documents told of them."""

    ahead = 0
    """How many frames come first, at once; 0: all, one by one."""

    def __init__(self, service: FakeService) -> None:
        super().__init__(service)
        self.is_told = threading.Event()

    def trigger(self, frames: int) -> None:
        if not self.ahead:
            super().trigger(frames)
            return
        self.service.send(*range(self.ahead))
        if self.ahead < frames:
            self.is_told.wait(PATIENCE_S)
            self.service.send(*range(self.ahead, frames))


class Stage:
    """An engine, and detectors with all that is behind them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.engine: Any = RunEngine({}, context_managers=[])
        self.documents = Documents()
        self.engine.subscribe(self.documents)
        self.drivers: list[PacedDriver] = []

    def detector(self, flavour: type[ExposingDevice], name: str = "det") -> Any:
        service = self._stack.enter_context(FakeService())
        driver = PacedDriver(service)
        self.drivers.append(driver)
        device = flavour(
            service.url,
            name=name,
            driver=driver,
            write_path_template="/data/{name}.h5",
            timeout_s=PATIENCE_S,
        )
        self._stack.callback(device.destroy)
        return device

    def pace(self, *ahead: int) -> None:
        """Let each detector's flight begin with so many frames."""
        for driver, frames in zip(self.drivers, ahead, strict=True):
            driver.ahead = frames

        def tell(_name: str, _document: Any) -> None:
            for driver in self.drivers:
                driver.is_told.set()

        self.engine.subscribe(tell, "stream_datum")


@contextmanager
def stage() -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack)


def step(flavour: type[ExposingDevice]) -> Callable[[Stage], None]:
    return lambda stage: stage.engine(bp.count([stage.detector(flavour)], num=3))


def burst(flavour: type[ExposingDevice]) -> Callable[[Stage], None]:
    return lambda stage: stage.engine(
        srx_count_burst([stage.detector(flavour)], 4, num=2)
    )


def fly(stage: Stage) -> None:
    det = stage.detector(SrxDetector)
    stage.pace(3)
    stage.engine(srx_fly([det], 5))


def fly_two(stage: Stage) -> None:
    fast, slow = stage.detector(SrxDetector, "a"), stage.detector(SrxDetector, "b")
    stage.pace(5, 2)
    stage.engine(srx_fly([fast, slow], 5))


def fly_datum(stage: Stage) -> None:
    det = stage.detector(SrxDatumDetector)
    det.num_events.put(5)
    stage.engine(bpp.stage_wrapper(bp.fly([det]), [det]))


def fly_declared(stage: Stage) -> None:
    det = stage.detector(SrxDetector)
    det.num_events.put(5)
    plan = declare_fly_streams(bp.fly([det]), [det])
    stage.engine(bpp.stage_wrapper(plan, [det]))


def step_and_fly(stage: Stage) -> None:
    det = stage.detector(SrxDetector)

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan() -> Plan:
        yield from bps.trigger_and_read([det], name="align")
        yield from bps.prepare(det, 5, wait=True)
        yield from bps.declare_stream(det, name="fly", collect=True)
        yield from bps.clear_checkpoint()
        yield from bps.kickoff(det, wait=True)
        yield from bps.collect_while_completing([det], [det], 60, "fly")

    stage.engine(plan())


def pause(stage: Stage) -> None:
    det = stage.detector(SrxDetector)
    [driver] = stage.drivers

    def hold(number: int) -> None:
        driver.held.clear()
        if number == 2:
            driver.held.set()
            stage.engine.request_pause()

    driver.on_trigger = hold
    try:
        stage.engine(bp.count([det], num=3))
    except RunEngineInterrupted:
        stage.documents.all.append((PAUSED, {}))
        stage.engine.resume()


def configure(stage: Stage) -> None:
    det = stage.detector(SrxDetector)

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan() -> Plan:
        yield from bps.trigger_and_read([det])
        yield from bps.configure(det, {"exposure_s": 0.5})
        yield from bps.trigger_and_read([det])

    stage.engine(plan())


@dataclass(frozen=True)
class Flow:
    """A kind of plan, how it is taken, and what a reader should note."""

    title: str
    plan: str
    """In words of Python."""
    take: Callable[[Stage], None]
    note: str


FLOWS = (
    Flow(
        "A step scan",
        "bp.count([det], num=3)",
        step(SrxDetector),
        "An event holds the scalars. Its frame is row k of the file, and so are its "
        "timestamp and frame number; a StreamDatum of each says so, one event wide.",
    ),
    Flow(
        "A step scan, Resource and Datum",
        "bp.count([det], num=3)",
        step(SrxDatumDetector),
        "The event holds the id of its Datum. The shape has the frames of an event "
        "first, also when that is one.",
    ),
    Flow(
        "Several frames an event",
        "srx_count_burst([det], 4, num=2)",
        burst(SrxDetector),
        "Indices count events; `multiplier` in the StreamResource tells how many rows "
        "each takes.",
    ),
    Flow(
        "Several frames an event, Resource and Datum",
        "srx_count_burst([det], 4, num=2)",
        burst(SrxDatumDetector),
        "`frame_per_point` tells how many rows an event takes.",
    ),
    Flow(
        "A fly scan",
        "srx_fly([det], 5)",
        fly,
        "No events: each flush tells of all frames that became durable since the last, "
        "be it three or ten thousand. One event at the end tells what is missing.",
    ),
    Flow(
        "Two detectors in one stream",
        "srx_fly([a, b], 5)",
        fly_two,
        "Here `a` has all frames while `b` has two: a flush tells as far as the "
        "slowest detector is, so that row k of one belongs to row k of the other.",
    ),
    Flow(
        "bp.fly, Resource and Datum",
        "bpp.stage_wrapper(bp.fly([det]), [det])",
        fly_datum,
        "A Datum and a row of the page for each frame, all of them at the end: not for "
        "kilohertz.",
    ),
    Flow(
        "bp.fly, with a stream declared",
        "bpp.stage_wrapper(declare_fly_streams(bp.fly([det]), [det]), [det])",
        fly_declared,
        "bp.fly collects once, when all is over.",
    ),
    Flow(
        "Step and fly in one run",
        "trigger_and_read(…, name='align'), then kickoff … into 'fly'",
        step_and_fly,
        "Each stream has its file: readers count rows, and would find the frames of "
        "one among those of the other.",
    ),
    Flow(
        "A pause in the second exposure, and a resume",
        "bp.count([det], num=3)",
        pause,
        "Nothing shows: the interrupted frame is taken back out of the file, the point "
        "is taken again, and its documents come when its frame is durable.",
    ),
    Flow(
        "A changed configuration",
        "trigger_and_read, configure(det, {'exposure_s': 0.5}), trigger_and_read",
        configure,
        "A second descriptor of the same stream tells the new configuration; the file "
        "goes on, and so do indices and sequence numbers.",
    ),
)


def markdown() -> str:
    """Take all plans; return a section for each."""
    sections = []
    for flow in FLOWS:
        with stage() as there:
            flow.take(there)
            recorded = "\n".join(lines(there.documents.all))
        sections.append(
            f"### {flow.title}\n\n`{flow.plan}`\n\n```text\n{recorded}\n```\n\n"
            f"{fill(flow.note, 95)}\n"
        )
    return "\n".join(sections)
