"""Plans for detectors that fly, and for events that are bursts of frames."""

import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
from bluesky.protocols import WritesStreamAssets
from bluesky.utils import Msg, short_uid

from srx_ophyd.exposing import ExposingDevice

Plan = Generator[Msg, Any, Any]


def srx_fly(
    detectors: Sequence[Any],
    num_events: object = None,
    *,
    prepare: Mapping[str, Any] | None = None,
    stream: str = "primary",
    flush_period_s: float = 0.1,
    md: dict[str, Any] | None = None,
) -> Plan:
    """Take `num_events` events from all detectors at once, each in its own rhythm.

    A pause ends the run: a fly scan cannot be taken up again where it was. What was
    told of until then stays readable. How many frames are missing stands in a stream
    of its own, `primary_missing`, for those detectors that count them.

    Args:
        detectors: SrxDetector, ophyd-async's StandardDetector, or others that fly and
            write stream documents.
        num_events: A number, or what `prepare` of each detector takes, such as
            ophyd-async's TriggerInfo. None: as each is prepared.
        prepare: For detectors, by name, that are prepared with something else.
        stream: The stream's name.
        flush_period_s: How often documents tell of new frames.
        md: For the RunStart document.
    """
    about = {
        "plan_name": "srx_fly",
        "detectors": [detector.name for detector in detectors],
        "num_events": _number(num_events),
        **(md or {}),
    }
    values = _values(detectors, num_events, prepare or {})
    # An SrxDetector that is prepared before it is staged is armed once, and not for
    # stepping first. All others may forget at staging what they were prepared for.
    early = {d: value for d, value in values.items() if isinstance(d, ExposingDevice)}
    late = {d: value for d, value in values.items() if d not in early}

    @bpp.stage_decorator(detectors)
    @bpp.run_decorator(md=about)
    def fly() -> Plan:
        yield from _prepare(late)
        yield from bps.declare_stream(*detectors, name=stream, collect=True)
        # Without a checkpoint the RunEngine aborts on a pause. With one it would begin
        # the run's messages again, and its events would be counted twice.
        yield from bps.clear_checkpoint()
        yield from bps.kickoff_all(*detectors, wait=True)
        yield from bps.collect_while_completing(
            detectors, detectors, flush_period=flush_period_s, stream_name=stream
        )
        yield from _tell_missing(detectors, f"{stream}_missing")

    yield from _prepare(early)
    return (yield from fly())


def srx_count_burst(
    detectors: Sequence[Any],
    frames: int,
    num: int | None = 1,
    delay: float | Iterable[float] = 0.0,
    *,
    per_shot: Callable[..., Plan] | None = None,
    md: dict[str, Any] | None = None,
) -> Plan:
    """Count as bp.count does, each event a burst of `frames` frames.

    However it ends, `frames_per_event` is afterwards what it was before.

    Args:
        detectors: At least one that can take bursts, and others.
        frames: How many an event holds.
        num: How many events; None: until it is stopped.
        delay: From one event to the next in seconds, or an iterable of these.
        per_shot: As bp.count has it.
        md: For the RunStart document.
    """
    signals = [d.frames_per_event for d in detectors if hasattr(d, "frames_per_event")]
    infos = {
        detector: _trigger_info(collections_per_event=frames)
        for detector in detectors
        if _is_async(detector)
    }
    if not signals and not infos:
        names = ", ".join(detector.name for detector in detectors)
        raise ValueError(f"none of the detectors takes bursts of frames: {names}")
    about = {"plan_name": "srx_count_burst", "frames_per_event": frames, **(md or {})}
    count = bp.count(detectors, num, delay, per_shot=per_shot, md=about)
    before = []
    for signal in signals:
        before += [signal, (yield from bps.rd(signal))]

    def burst() -> Plan:
        yield from bps.mv(*(x for signal in signals for x in (signal, frames)))
        return (yield from _after_staging(count, infos))

    def restore() -> Plan:
        yield from bps.mv(*before)

    return (yield from bpp.finalize_wrapper(burst(), restore))


def declare_fly_streams(
    plan: Plan, flyers: Sequence[Any], stream: str = "primary"
) -> Plan:
    """Let a plan that knows no stream documents, such as bp.fly, run with these flyers.

    Such a plan collects each flyer by itself, so that each needs a stream by itself:
    with several flyers these are `<name>_<stream>`.

    Args:
        plan: It opens a run, kicks the flyers off and collects them.
        flyers: Those that write stream documents are declared.
        stream: The name of the stream that is declared in every run.
    """
    declared: list[Any] = [f for f in flyers if isinstance(f, WritesStreamAssets)]

    def declare() -> Plan:
        for flyer in declared:
            name = stream if len(declared) == 1 else f"{flyer.name}_{stream}"
            yield from bps.declare_stream(flyer, name=name, collect=True)

    def insert(msg: Msg) -> tuple[None, Plan | None]:
        return None, declare() if msg.command == "open_run" else None

    return (yield from bpp.plan_mutator(plan, insert))


def _after_staging(plan: Plan, values: Mapping[Any, Any]) -> Plan:
    """Prepare detectors before each run of a plan that stages them itself."""

    def prepare_and_open(msg: Msg) -> Plan:
        yield from _prepare(values)
        return (yield msg)

    def insert(msg: Msg) -> tuple[Plan | None, None]:
        return prepare_and_open(msg) if msg.command == "open_run" else None, None

    return (yield from bpp.plan_mutator(plan, insert))


def _values(
    detectors: Sequence[Any], num_events: object, others: Mapping[str, Any]
) -> dict[Any, Any]:
    """Return what each detector is to be prepared with; those with nothing are left."""
    names = [detector.name for detector in detectors]
    if unknown := sorted(set(others) - set(names)):
        raise ValueError(
            f"prepare: no detector {', '.join(unknown)}; there are {', '.join(names)}"
        )
    values = {}
    for name, detector in zip(names, detectors, strict=True):
        if not isinstance(detector, WritesStreamAssets):
            raise ValueError(
                f"{name} writes no stream documents: fly it with bp.fly, in "
                "bpp.stage_wrapper"
            )
        value = others.get(name, num_events)
        if isinstance(value, int) and _is_async(detector):
            value = _trigger_info(number_of_events=value)
        if value is not None:
            values[detector] = value
    return values


def _number(value: Any) -> Any:  # noqa: ANN401  whatever `prepare` takes
    """Return how many events a value of `prepare` stands for, where it tells."""
    if isinstance(value, Mapping):
        return value.get("num_events")
    return getattr(value, "number_of_events", value)


def _prepare(values: Mapping[Any, Any]) -> Plan:
    group = short_uid("prepare")
    for detector, value in values.items():
        yield from bps.prepare(detector, value, group=group)
    yield from bps.wait(group)


def _tell_missing(detectors: Sequence[Any], stream: str) -> Plan:
    """Make an event of how many frames of each detector are missing."""
    signals = [d.frames_missing for d in detectors if hasattr(d, "frames_missing")]
    if not signals:
        return
    yield from bps.declare_stream(*signals, name=stream)
    yield from bps.create(stream)
    for signal in signals:
        yield from bps.read(signal)
    yield from bps.save()


def _is_async(detector: object) -> bool:
    """Return True for a detector of ophyd-async, which need not be installed."""
    core = sys.modules.get("ophyd_async.core")
    return core is not None and isinstance(detector, core.StandardDetector)


def _trigger_info(**fields: int) -> object:
    """Return what such a detector is prepared with."""
    return sys.modules["ophyd_async.core"].TriggerInfo(**fields)
