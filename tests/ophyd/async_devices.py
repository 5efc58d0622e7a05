"""What the tests of the ophyd-async flavour share."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bluesky.run_engine import call_in_bluesky_event_loop
from bluesky.utils import FailedStatus
from ophyd_async.core import init_devices

from srx_ophyd.async_device import SrxAsyncDetector

NOBODY = "http://127.0.0.1:1"
"""Where no service is."""


def in_loop(call: Callable[[], Awaitable[Any]], timeout_s: float = 60.0) -> Any:
    """Call in the RunEngine's event loop and wait for what it returns."""

    async def wait() -> Any:
        return await call()

    return call_in_bluesky_event_loop(wait(), timeout_s)


@contextlib.contextmanager
def making(**common: Any) -> Iterator[Callable[..., SrxAsyncDetector]]:
    """Give a function that makes devices; all are gone afterwards."""
    made: list[SrxAsyncDetector] = []

    def make(*, mock: bool = False, **arguments: Any) -> SrxAsyncDetector:
        arguments = {"name": "det"} | common | arguments
        with init_devices(mock=mock):
            device = SrxAsyncDetector(
                arguments.pop("url"), arguments.pop("path_provider"), **arguments
            )
            made.append(device)
        return device

    yield make
    for device in made:
        in_loop(device.unstage)
        device.client.close()
        device.driver.close()


def shot(detector, info):
    """A step scan of one point, prepared."""

    @bpp.stage_decorator([detector])
    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(detector, info, wait=True)
        yield from bps.trigger_and_read([detector])

    return plan()


def flight(detectors, infos, between=bps.null, late=bps.null):
    """A fly scan with one kickoff for each of `infos`."""

    @bpp.stage_decorator(detectors)
    @bpp.run_decorator()
    def plan():
        for number, info in enumerate(infos):
            for detector in detectors:
                yield from bps.prepare(detector, info, wait=True)
            if number == 0:
                yield from bps.declare_stream(*detectors, name="fly", collect=True)
            yield from between()
            yield from bps.kickoff_all(*detectors, wait=True)
            yield from late()
            yield from bps.collect_while_completing(
                detectors, detectors, flush_period=0.05, stream_name="fly"
            )

    return plan()


def fails(engine, documents, plan):
    """Run a plan that fails; return what the user reads, which RunStop says too."""
    with pytest.raises(FailedStatus) as caught:
        engine(plan)
    assert documents.of("stop")[-1]["reason"] == str(caught.value)
    return str(caught.value)
