import asyncio

import httpx
import pytest

from srx_service.api.app import create_app
from srx_service.api.line import ApiSettings
from tests.service.api.fakes import FakeLatest, FakeLine


@pytest.fixture
def line():
    return FakeLine()


@pytest.fixture
def latest():
    return FakeLatest()


@pytest.fixture
def asker(line, latest):
    """Make a function that asks an application with such settings."""

    def make(latest=latest, **settings):
        app = create_app(line, latest, ApiSettings(**settings))

        async def send(method, path, **request):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://srx"
            ) as client:
                return await client.request(method, path, **request)

        return lambda *args, **request: asyncio.run(send(*args, **request))

    return make


@pytest.fixture
def ask(asker):
    return asker()
