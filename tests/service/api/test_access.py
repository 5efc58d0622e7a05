"""Who may call."""

import pytest

from srx_service.api.line import ApiSettings
from srx_service.errors import ConfigError

TOKEN = {"Authorization": "Bearer s3cret"}


@pytest.mark.parametrize(
    ("method", "path", "protect_reads", "is_open"),
    [
        ("GET", "/status", False, True),
        ("GET", "/status", True, False),
        ("GET", "/metrics", True, False),
        ("GET", "/docs", True, False),
        ("GET", "/openapi.json", True, False),
        ("GET", "/api/v1/frame/latest.png", True, False),
        ("GET", "/nowhere", True, False),
        ("GET", "/healthz", True, True),
        ("GET", "/readyz", True, True),
        ("POST", "/healthz", True, True),
        ("POST", "/downsample?value=2", False, False),
        ("POST", "/api/v1/acquisitions", False, False),
        ("PATCH", "/api/v1/acquisitions/a1", False, False),
        ("POST", "/api/v1/acquisitions/a1/stop", False, False),
        ("POST", "/api/v1/acquisitions/a1/abort", False, False),
        ("POST", "/api/v1/acquisitions/a1/rewind", False, False),
        ("POST", "/nowhere", False, False),
    ],
)
def test_a_token_is_asked_for(asker, method, path, protect_reads, is_open):
    ask = asker(token="s3cret", protect_reads=protect_reads)
    assert (ask(method, path).status_code != 401) is is_open
    assert ask(method, path, headers=TOKEN).status_code != 401


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer s3cre",
        "Bearer s3crett",
        "s3cret",
        "Basic s3cret",
    ],
)
def test_a_wrong_token_is_refused_and_told_how(asker, line, given):
    headers = {"Authorization": given}
    answer = asker(token="s3cret")("POST", "/api/v1/acquisitions", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "Authorization: Bearer TOKEN" in answer.json()["detail"]
    assert "s3cret" not in answer.text
    assert line.calls == []


def test_a_token_beyond_ascii_is_refused_like_any_other(asker):
    headers = {"Authorization": "Bearer \xe9".encode("latin-1")}
    assert asker(token="s3cret")("POST", "/nowhere", headers=headers).status_code == 401


def test_the_scheme_may_be_written_in_any_case(asker):
    headers = {"Authorization": "bearer s3cret"}
    ask = asker(token="s3cret")
    assert ask("POST", "/downsample?value=2", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "settings",
    [{"token": ""}, {"token": "two words"}, {"token": "\xe9"}, {"protect_reads": True}],
)
def test_what_would_protect_nothing_is_refused_at_start(settings):
    with pytest.raises(ConfigError, match="SRX_API_TOKEN"):
        ApiSettings(**settings)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://srx"}, 200),
        ({"Origin": "http://SRX"}, 200),
        ({"Origin": "http://elsewhere"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://proxy"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_a_page_of_another_site_cannot_change_anything(ask, headers, status):
    answer = ask("POST", "/downsample?value=2", headers=headers)
    assert answer.status_code == status


def test_no_page_of_another_site_may_read(ask):
    answer = ask("GET", "/status", headers={"Origin": "http://elsewhere"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
