"""A Bluesky session whose user presses Ctrl-C: run as a process of its own.

Arguments: the URLs of the service and of a simulated Eiger, a folder, the lease in
seconds. Each line on stdin is a Case as JSON; what came of it is printed as one, too.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import bluesky.plans as bp
import bluesky.preprocessors as bpp
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted

from srx_ophyd.device import SrxDatumDetector, SrxDetector
from srx_ophyd.drivers import SimplonDriver
from srx_ophyd.plans import srx_fly

FLAVOURS = {"stream": SrxDetector, "datum": SrxDatumDetector}
EVENTS = 3
APART_S = 0.15
"""The RunEngine takes what comes sooner for one key press, or for none at its start."""


@dataclass(frozen=True)
class Case:
    """One scan and how it is interrupted."""

    plan: str
    """step or fly."""
    when: str
    """Method of the device that is interrupted; expose: the detector's own exposure."""
    times: int
    """How often Ctrl-C is pressed."""
    then: str = "resume"
    """What the user does with a scan that pauses; killed: is killed."""
    flavour: str = "stream"
    events: int = EVENTS
    exposure_s: float = 0.01


class Session:
    """What a user has at the prompt."""

    def __init__(self, url: str, detector: str, folder: str, lease_s: float) -> None:
        self._devices = {
            name: flavour(
                url,
                name="det",
                driver=SimplonDriver(detector),
                write_path_template=f"{folder}/{{name}}_{{uid8}}.h5",
                lease_s=lease_s,
            )
            for name, flavour in FLAVOURS.items()
        }
        self.engine = RunEngine({})
        self.engine.subscribe(lambda name, doc: self.documents.append((name, doc)))
        self.documents: list[tuple[str, dict[str, Any]]] = []

    def run(self, case: Case) -> dict[str, Any]:
        """Run it, and a scan after it that nobody interrupts."""
        det = self._devices[case.flavour]
        det.exposure_s.put(case.exposure_s)
        begun_s = time.monotonic()
        told: dict[str, Any] = {"case": asdict(case), "raised": None, "then": None}
        told["raised"] = self._attempt(lambda: self._run(case, det))
        if self.engine.state == "paused":
            told["then"] = case.then
            told["raised"] = self._attempt(getattr(self.engine, case.then))
        told["seconds"] = time.monotonic() - begun_s
        told |= self._state(det)
        interrupted = det.client.acquisitions()[:1]
        told["acquisition"] = interrupted[0].state if interrupted else None
        told["rows"] = interrupted[0].rows if interrupted else 0
        told["next_raised"] = self._attempt(lambda: self.engine(bp.count([det])))
        told["next"] = self._state(det)
        return told

    def _run(self, case: Case, det: Any) -> None:
        self.documents.clear()
        part: Any = det.driver if case.when == "expose" else det
        name = "trigger" if case.when == "expose" else case.when
        # Not the first point of a step scan: there something is to be lost.
        nth = 2 if case.plan == "step" and name in ("trigger", "read") else 1
        real, calls = getattr(part, name), []

        def interrupted(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            if len(calls) == nth:
                _press(case.times, at_once=case.when != "expose")
            return real(*args, **kwargs)

        setattr(part, name, interrupted)
        try:
            self.engine(_plan(case, det))
        finally:
            setattr(part, name, real)

    def _attempt(self, do: Callable[[], Any]) -> str | None:
        try:
            do()
        except RunEngineInterrupted:
            return "RunEngineInterrupted"
        except Exception as error:  # noqa: BLE001  whatever it is, it is told
            return f"{type(error).__name__}: {error}"
        return None

    def _state(self, det: Any) -> dict[str, Any]:
        stops = [doc for name, doc in self.documents if name == "stop"]
        threads = [one.name for one in threading.enumerate()]
        told = sum(name == "event" for name, _ in self.documents)
        return {
            "engine": self.engine.state,
            "staged": det._staged.value,
            "detector": det.driver.state(),
            "threads": [name for name in threads if name.startswith("srx-")],
            "stops": [(stop["exit_status"], stop["reason"]) for stop in stops],
            "events": told,
        }


def _plan(case: Case, det: Any) -> Any:
    if case.plan == "step":
        return bp.count([det], num=case.events)
    if case.flavour == "stream":
        return srx_fly([det], case.events)
    det.num_events.put(case.events)
    return bpp.stage_wrapper(bp.fly([det]), [det])


def _press(times: int, *, at_once: bool) -> None:
    def press() -> None:
        for _ in range(times):
            time.sleep(APART_S)
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(APART_S)

    if at_once:
        press()
    else:
        threading.Thread(target=press).start()


def _main(url: str, detector: str, folder: str, lease_s: str) -> None:
    session = Session(url, detector, folder, float(lease_s))
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr  # the RunEngine talks to its user there
    out.write("{}\n")
    out.flush()
    for line in sys.stdin:
        told = session.run(Case(**json.loads(line)))
        out.write(json.dumps(told) + "\n")
        out.flush()


if __name__ == "__main__":
    _main(*sys.argv[1:])
