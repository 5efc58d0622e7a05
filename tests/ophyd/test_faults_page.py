"""docs/explanations/when-things-fail.md says what the user really reads."""

import re
from dataclasses import replace

import bluesky.plans as bp
import pytest

from srx_ophyd.client import ServiceError
from srx_ophyd.driver import DriverError
from srx_ophyd.watch import AcquisitionError
from tests.blocks import ROOT
from tests.ophyd.faults import IMPATIENCE_S, FaultyLine, either_flavour, flavour, line
from tests.ophyd.test_client import REQUEST
from tests.ophyd.test_faults import dies, has_a_fault, is_interrupted, is_silent

__all__ = ("flavour", "line")

PAGE = ROOT / "docs/explanations/when-things-fail.md"


def rows() -> dict[str, str]:
    """What happens, and what the page says is told."""
    found = {}
    for text in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in text.strip("|").split(" | ")]
        if len(cells) == 3 and cells[1].startswith("`"):
            found[cells[0].removeprefix("| ")] = cells[1].strip("`")
    return found


def staging(line: FaultyLine, kind: type[Exception] = ServiceError) -> str:
    return line.fails(bp.count([line.det]), kind)


def is_down(line):
    dies(line)
    return staging(line)


def is_another(line):
    line.service.version = None
    return staging(line)


def is_slow(line):
    is_silent(line)
    return staging(line)


def is_broken(line):
    has_a_fault(line)
    return staging(line)


def is_busy(line):
    line.det.client.arm(**REQUEST)
    return staging(line, AcquisitionError)


def in_exposure(line, fault, frames_per_event=1):
    def held(_number):
        line.driver.held.set()
        fault()

    line.det.frames_per_event.put(frames_per_event)
    line.driver.on_trigger = held
    return line.fails(bp.count([line.det]))


def is_killed(line):
    return in_exposure(line, line.service.die)


def comes_back(line):
    return in_exposure(line, lambda: is_interrupted(line))


def lease_ends(line):
    def end():
        words = "client gone: no call for 60 s"
        line.service.current.update(state="aborted", error=words)
        line.service.notify()

    return in_exposure(line, end)


def stalls(line):
    line.det._terms = replace(line.det._terms, stall_timeout_s=IMPATIENCE_S)
    return in_exposure(line, lambda: line.service.send(1, 2), 5)


def refuses(line):
    line.driver.error = DriverError("detector http://dcu refused PUT trigger: 400")
    return line.fails(bp.count([line.det]))


def differs(line):
    words = "the first frame is 4 x 6 uint32, armed for 4 x 6 uint16"
    return in_exposure(line, lambda: line.service.fail(words))


def is_lost(line):
    line.det._terms = replace(line.det._terms, allow_missing=False)

    def send():
        line.service.send(1)
        line.service.send(3, 4, 5, missing=1)

    return in_exposure(line, send, 5)


def is_full(line):
    return in_exposure(line, lambda: line.service.fail("No space left on device"))


def does_not_fit(line):
    text = "/data has 1.0 GiB free, of which 256.0 MiB stay free (keep_free); …"
    line.service.refusals["arm"] = (507, "no room on the disk", text)
    return staging(line)


SEEN = {
    "the service is not running": is_down,
    "another program answers there": is_another,
    "it answers too slowly": is_slow,
    "it has a fault of its own": is_broken,
    "another session scans": is_busy,
    "the service is killed in a scan": is_killed,
    "it is restarted in a scan": comes_back,
    "its lease ended: the session stood still too long": lease_ends,
    "no more frames come": stalls,
    "the detector refuses a trigger": refuses,
    "its frames are not what its driver said": differs,
    'a frame is lost, with `on_missing="fail"`': is_lost,
    "the disk is full": is_full,
    "the disk has no room, when it is staged": does_not_fit,
}


def test_every_row_of_the_page_is_seen():
    assert rows().keys() == SEEN.keys()


@either_flavour
@pytest.mark.parametrize("what", SEEN)
def test_what_the_page_says_is_told(line, what):
    pattern = ".*".join(map(re.escape, rows()[what].split("…")))
    assert re.fullmatch(pattern, SEEN[what](line))
