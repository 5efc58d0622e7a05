"""Who may call."""

import pytest

from srx_service.api.line import ApiSettings
from srx_service.errors import ConfigError

TOKEN = {"Authorization": "Bearer s3cret"}
READER = {"Authorization": "Bearer look"}
SITE = "https://daq.example.org"


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
        ("GET", "/", True, True),
        ("HEAD", "/", True, True),
        ("GET", "/page/app.js", True, True),
        ("GET", "/pages", True, False),
        ("POST", "/", False, False),
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


@pytest.mark.parametrize("protect_reads", [False, True])
def test_a_token_for_reading_reads_and_changes_nothing(asker, line, protect_reads):
    ask = asker(token="s3cret read:look", protect_reads=protect_reads)
    assert ask("GET", "/api/v1/acquisitions", headers=READER).status_code == 200
    seen = list(line.calls)
    for method, path in (
        ("POST", "/downsample?value=2"),
        ("POST", "/api/v1/acquisitions"),
        ("PATCH", "/api/v1/acquisitions/a1"),
        ("POST", "/api/v1/acquisitions/a1/stop"),
        ("POST", "/api/v1/acquisitions/a1/abort"),
        ("POST", "/api/v1/acquisitions/a1/rewind"),
    ):
        answer = ask(method, path, headers=READER)
        assert (answer.status_code, answer.json()["title"]) == (
            403,
            "token for reading",
        )
    assert line.calls == seen


def test_any_of_several_tokens_will_do(asker):
    ask = asker(token="one,two three")
    for token in ("one", "two", "three"):
        headers = {"Authorization": f"Bearer {token}"}
        assert ask("POST", "/downsample?value=2", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("token", "headers", "renews"),
    [
        (None, {}, True),
        ("s3cret read:look", TOKEN, True),
        ("s3cret read:look", READER, False),
        ("s3cret read:look", {}, False),
    ],
)
def test_only_who_may_control_keeps_an_acquisition_alive(
    asker, line, token, headers, renews
):
    asker(token=token)("GET", "/api/v1/acquisitions/a1", headers=headers)
    assert line.renewals == [renews]


def test_who_is_refused_is_told_in_the_log_without_what_it_sent(asker, caplog):
    headers = {"Authorization": "Bearer s3cre7"}
    for _ in range(12):
        asked = asker(token="s3cret")
        asked("POST", "/api/v1/acquisitions?token=s3cre7", headers=headers)
    assert "no token, or an unknown one" in caplog.text
    assert "127.0.0.1" in caplog.text
    assert "s3cre" not in caplog.text


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
    [{"token": ""}, {"token": " ,"}, {"token": "\xe9"}, {"protect_reads": True}],
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


def test_a_site_that_is_named_may_read_and_change(asker):
    ask = asker(origins=frozenset({SITE}))
    for origin in (SITE, SITE.upper()):
        headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
        answer = ask("POST", "/downsample?value=2", headers=headers)
        assert answer.status_code == 200
    answer = ask("GET", "/status", headers={"Origin": SITE})
    assert answer.headers["access-control-allow-origin"] == SITE


def test_a_site_that_is_named_needs_the_token_like_all_others(asker):
    ask = asker(token="s3cret", origins=frozenset({SITE}))
    headers = {"Origin": SITE}
    assert ask("POST", "/downsample?value=2", headers=headers).status_code == 401
    answer = ask("POST", "/downsample?value=2", headers=headers | TOKEN)
    assert answer.status_code == 200


@pytest.mark.parametrize(("origin", "status"), [(SITE, 200), ("https://other", 400)])
def test_a_browser_that_asks_for_leave_needs_no_token(asker, origin, status):
    ask = asker(token="s3cret", protect_reads=True, origins=frozenset({SITE}))
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = ask("OPTIONS", "/api/v1/acquisitions", headers=headers)
    assert answer.status_code == status
    allowed = answer.headers.get("access-control-allow-origin")
    assert allowed == (SITE if status == 200 else None)


def test_sites_that_are_not_named_stay_outside(asker):
    ask = asker(origins=frozenset({SITE}))
    headers = {"Origin": "https://other"}
    assert ask("POST", "/downsample?value=2", headers=headers).status_code == 403
    answer = ask("GET", "/status", headers=headers)
    assert "access-control-allow-origin" not in answer.headers
