"""The files of the page."""

import re

import pytest

from srx_service.api.page import FOLDER, INDEX, files, is_of_page

LOADED = re.compile(r'(?:src|href)="(page/[^"]+)"')


def test_the_root_is_the_page(ask):
    answer = ask("GET", "/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.content == (FOLDER / INDEX).read_bytes()


def test_all_that_the_page_loads_is_there(ask):
    loaded = LOADED.findall(ask("GET", "/").text)
    assert len(loaded) >= 3
    for path in loaded:
        answer = ask("GET", f"/{path}")
        assert answer.content == (FOLDER / path.removeprefix("page/")).read_bytes()


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("app.js", "text/javascript; charset=utf-8"),
        ("app.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
def test_a_browser_is_told_what_a_file_is(ask, name, media_type):
    answer = ask("GET", f"/page/{name}")
    assert answer.headers["content-type"] == media_type
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_may_use_its_own_service_only(ask):
    policy = ask("GET", "/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_what_a_browser_has_is_not_sent_again(ask):
    first = ask("GET", "/page/app.js")
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        again = ask("GET", "/page/app.js", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
    other = ask("GET", "/page/app.js", headers={"If-None-Match": '"other"'})
    assert other.content == first.content


@pytest.mark.parametrize("path", ["/", "/page/app.js"])
def test_head_tells_what_get_would(ask, path):
    head, get = ask("HEAD", path), ask("GET", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == get.headers


@pytest.mark.parametrize(
    "name", ["nothing.js", "..%2Fpage.py", "%2e%2e%2fpage.py", "source", "x" * 5000]
)
def test_there_is_nothing_else(ask, name):
    answer = ask("GET", f"/page/{name}")
    assert answer.status_code == 404
    assert len(answer.json()["detail"]) < 200


def test_nothing_can_be_done_to_it(ask):
    assert ask("POST", "/").status_code == 405


def test_what_is_served_is_small():
    assert sum(len(file.content) for file in files().values()) < 500_000


@pytest.mark.parametrize(
    ("path", "is_open"),
    [("/", True), ("/page/app.js", True), ("/status", False), ("/pages", False)],
)
def test_what_is_of_the_page(path, is_open):
    assert is_of_page(path) is is_open
