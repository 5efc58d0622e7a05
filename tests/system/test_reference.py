"""The page /docs in a browser, on a network without internet."""

import pytest
from playwright.sync_api import expect

from tests.system.browsing import chromium


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser):
    """A page that reaches this machine alone; what it lacks is in `page.complaints`."""
    page = browser.new_page()
    page.set_default_timeout(60_000)
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.complaints = complaints
    yield page
    page.close()


def test_the_page_shows_every_route_and_lets_try_it(page, line):
    service, _ = line
    foreign = []
    page.on("request", lambda request: foreign.append(request.url))
    page.goto(f"{service.url}/docs")
    routes = page.locator(".opblock")
    expect(routes.first).to_be_visible()
    paths = service.get("/openapi.json")["paths"]
    expect(routes).to_have_count(sum(len(methods) for methods in paths.values()))
    route = page.locator("#operations-health-readyz")
    route.click()
    route.get_by_role("button", name="Try it out").click()
    route.get_by_role("button", name="Execute").click()
    expect(route.locator(".live-responses-table")).to_contain_text('"ready": true')
    own = (service.url, "data:")
    assert [url for url in foreign if not url.startswith(own)] == []
    assert page.complaints == []
