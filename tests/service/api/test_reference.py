"""The page /docs."""

import re

import pytest

from srx_service.api.reference import PROGRAM

LOADED = re.compile(r'(?:src|href)="([^"]+)"')


@pytest.fixture
def page(ask):
    return ask("GET", "/docs")


def test_it_loads_nothing_from_elsewhere(page):
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    loaded = LOADED.findall(page.text)
    assert {*loaded} == {f"docs/{name}" for name in [*PROGRAM, "start.js"]}
    assert "//" not in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("name", [*PROGRAM, "start.js"])
def test_what_it_loads_is_there(ask, name):
    answer = ask("GET", f"/docs/{name}")
    assert (answer.status_code, bool(answer.content)) == (200, True)
    media_type = PROGRAM.get(name, "text/javascript")
    assert answer.headers["content-type"].startswith(media_type)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_the_browser_has_is_not_sent_again(ask):
    path = "/docs/swagger-ui.css"
    etag = ask("GET", path).headers["etag"]
    again = ask("GET", path, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    other = ask("GET", path, headers={"If-None-Match": '"another"'})
    assert other.status_code == 200


@pytest.mark.parametrize("name", ["nothing.js", "redoc.standalone.js", "..%2Fcore.py"])
def test_no_other_file_can_be_had(ask, name):
    assert ask("GET", f"/docs/{name}").status_code == 404


def test_the_predecessors_other_page_leads_there(ask):
    answer = ask("GET", "/redoc")
    assert (answer.status_code, answer.headers["location"]) == (307, "docs")
