"""Plans for fly scans whose frames are told of by StreamResource and StreamDatum."""

from collections.abc import Generator, Sequence
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import Msg

Plan = Generator[Msg, Any, Any]


def srx_fly(
    detectors: Sequence[Any],
    num_events: int | None = None,
    *,
    stream: str = "primary",
    flush_period_s: float = 0.1,
    md: dict[str, Any] | None = None,
) -> Plan:
    """Take `num_events` events from all detectors at once, each in its own rhythm.

    A pause ends the run: a fly scan cannot be taken up again where it was. What was
    told of until then stays readable.

    Args:
        detectors: SrxDetector, or others that fly and write stream documents.
        num_events: None: as each is prepared.
        stream: The stream's name.
        flush_period_s: How often documents tell of new frames.
        md: For the RunStart document.
    """
    about = {
        "plan_name": "srx_fly",
        "detectors": [detector.name for detector in detectors],
        "num_events": num_events,
        **(md or {}),
    }

    @bpp.stage_decorator(detectors)
    @bpp.run_decorator(md=about)
    def fly() -> Plan:
        yield from bps.declare_stream(*detectors, name=stream, collect=True)
        # Without a checkpoint the RunEngine aborts on a pause. With one it would begin
        # the run's messages again, and its events would be counted twice.
        yield from bps.clear_checkpoint()
        yield from bps.kickoff_all(*detectors, wait=True)
        yield from bps.collect_while_completing(
            detectors, detectors, flush_period=flush_period_s, stream_name=stream
        )

    if num_events is not None:
        for detector in detectors:
            yield from bps.prepare(detector, num_events, wait=True)
    return (yield from fly())


def declare_fly_streams(
    plan: Plan, flyers: Sequence[Any], stream: str = "primary"
) -> Plan:
    """Let a plan that knows no stream documents, such as bp.fly, run with these flyers.

    Args:
        plan: It opens a run, kicks the flyers off and collects them.
        flyers: Those that write stream documents.
        stream: The name of the stream that is declared in every run.
    """

    def insert(msg: Msg) -> tuple[None, Plan | None]:
        return None, declare() if msg.command == "open_run" else None

    def declare() -> Plan:
        for flyer in flyers:
            yield from bps.declare_stream(flyer, name=stream, collect=True)

    return (yield from bpp.plan_mutator(plan, insert))
