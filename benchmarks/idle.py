"""What the service takes while nothing comes."""

import time

from benchmarks import senders
from benchmarks.rows import SMALL
from benchmarks.runs import Effort, Place
from benchmarks.service import WARM_UP, Service
from benchmarks.verdicts import Figure, Measured

NAME = "idle, after a series"
MOST_PERCENT = 1.0
LASTS_S = 10.0
SETTLES_S = 1.0
"""What the series left behind is over by then."""


def measure(place: Place, effort: Effort) -> Measured:
    """Return the part of a core that it uses, in percent: the worst of three looks."""
    scale = 0.02 if effort.is_quick else 1.0
    image, file = senders.payload(SMALL, place.folder), place.target / "idle.h5"
    found: list[float] = []
    with Service(SMALL, place.folder, image) as service:
        try:
            service.series(WARM_UP, file)
        finally:
            file.unlink(missing_ok=True)
        time.sleep(SETTLES_S * scale)
        for _ in range(1 if effort.is_quick else 3):
            cpu_s, begun_s = service.cpu_s(), time.monotonic()
            time.sleep(LASTS_S * scale)
            used_s = service.cpu_s() - cpu_s
            found.append(100 * used_s / (time.monotonic() - begun_s))
        memory = round(service.memory_mib("VmRSS"), 1)
    figure = Figure("% of a core", max(found), most=MOST_PERCENT)
    return Measured(
        (figure,),
        {"percent": [round(share, 3) for share in found], "rss_mib": memory},
    )
