"""Errors as problem details."""

import pytest

from srx_service.api.problems import MAX_LISTED, problem


@pytest.mark.parametrize(
    ("method", "path", "status", "title"),
    [
        ("GET", "/nowhere", 404, "Not Found"),
        ("DELETE", "/status", 405, "Method Not Allowed"),
        ("GET", "/api/v1/frame/latest.png?scale=cubic", 422, "invalid request"),
        ("GET", "/api/v1/frame/latest.png", 404, "no frame yet"),
    ],
)
def test_every_error_is_a_problem(ask, method, path, status, title):
    answer = ask(method, path)
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert list(told) == ["type", "title", "status", "detail"]
    assert (answer.status_code, told["status"], told["title"]) == (
        status,
        status,
        title,
    )
    assert told["detail"]


def test_a_fault_of_the_service_is_a_problem_and_tells_no_traceback(ask, line):
    line.fault = ZeroDivisionError("a secret")
    answer = ask("GET", "/status")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "GET /status: ZeroDivisionError" in answer.json()["detail"]
    assert "secret" not in answer.text


def test_an_answer_of_the_line_that_is_none_is_a_fault(ask, line):
    line.acquisitions = lambda: [{"state": "asleep"}]
    assert ask("GET", "/api/v1/acquisitions").status_code == 500


def test_a_wrong_method_is_told_the_right_ones(ask):
    assert ask("DELETE", "/status").headers["allow"] == "GET"


def test_only_the_first_faults_of_a_body_are_listed(ask):
    answer = ask(
        "POST", "/api/v1/acquisitions", json=dict.fromkeys("abcdefghijklmn", 1)
    )
    assert f"and {14 - MAX_LISTED} more" in answer.json()["detail"]


def test_what_was_given_is_quoted(ask):
    detail = ask("POST", "/downsample?value=none").json()["detail"]
    assert "query.value" in detail
    assert "'none'" in detail
    assert "/docs" in detail


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("File exists already", "urn:srx:problem:file-exists-already"),
        ("Conflict", "about:blank"),
    ],
)
def test_the_type_is_the_same_for_all_of_a_sort(title, kind):
    assert f'"type":"{kind}"'.encode() in problem(409, title, "x").body
