import asyncio

import pytest

from srx_ophyd.async_status import TellingProgress, TellingStatus
from srx_ophyd.endpoint import RemoteError
from srx_ophyd.watch import AcquisitionError


def text_of(error, flavour=TellingStatus):
    async def work():
        if error is not None:
            raise error

    async def report():
        if error is not None:
            raise error
        yield

    async def run():
        job = work() if flavour is TellingStatus else report()
        status = flavour(job, "det")
        before = str(status)
        await asyncio.wait([status.task])
        assert "pending" in before
        assert repr(status) == str(status)
        return str(status)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RemoteError("service is down"), "det: service is down"),
        (AcquisitionError("det: no new frame"), "det: no new frame"),
        (KeyError("x"), "det: KeyError: 'x'"),
    ],
)
@pytest.mark.parametrize("flavour", [TellingStatus, TellingProgress])
def test_the_text_of_a_failure_is_its_cause(error, text, flavour):
    assert text_of(error, flavour) == text


def test_without_a_failure_it_is_ophyd_asyncs():
    assert "device: det" in text_of(None)
