"""Acquisitions over HTTP."""

import threading

import msgspec
import numpy as np
import pytest

from srx_service.acquisitions import ArmRequest
from srx_service.api import v1
from srx_service.errors import ProtocolError, RequestError
from tests.service.api.fakes import ACQUISITION

A1 = "/api/v1/acquisitions/a1"


def test_arm_without_a_body_takes_every_default(ask, line):
    answer = ask("POST", "/api/v1/acquisitions")
    assert answer.status_code == 201
    assert line.calls == [("arm", ArmRequest())]


def test_arm_passes_on_what_the_body_says(ask, line):
    body = {
        "file": "/data/a.h5",
        "shape": [2162, 2068],
        "dtype": "uint32",
        "series": "open",
        "expected": 10,
        "missing": "skip",
        "idle_timeout_s": 2,
        "lease_s": 60.0,
        "metadata": {"sample": {"name": "LaB6", "temperatures": [1, 2.5, None]}},
        "await_series_id": True,
    }
    ask("POST", "/api/v1/acquisitions", json=body)
    request = msgspec.convert({**body, "shape": (2162, 2068)}, ArmRequest)
    assert line.calls == [("arm", request)]


def test_an_acquisition_is_told_as_the_line_tells_it(ask):
    shown = {**ACQUISITION, "shape": [2, 3]}
    assert ask("POST", "/api/v1/acquisitions").json() == shown
    assert ask("GET", A1).json() == shown
    assert ask("GET", "/api/v1/acquisitions").json() == {"acquisitions": [shown]}


def test_a_list_has_as_many_as_are_asked_for(ask):
    assert ask("GET", "/api/v1/acquisitions?limit=1").is_success
    assert ask("GET", "/api/v1/acquisitions?limit=0").status_code == 422
    assert ask("GET", "/api/v1/acquisitions?limit=1001").status_code == 422


@pytest.fixture
def with_rows(line, monkeypatch):
    """Two rows are durable."""
    monkeypatch.setitem(ACQUISITION, "rows", 2)


def last_frame(ask, wait_frames=2):
    query = f"?wait_frames={wait_frames}&total=true"
    return ask("GET", f"{A1}{query}").json().get("last_frame")


def test_the_last_frame_is_summed_for_whoever_waits_for_it(ask, latest, with_rows):
    latest.show(np.array([[1, 2], [3, 4]]))
    told = {"acquisition": None, "row": None, "total_counts": 10}
    assert last_frame(ask) == told
    assert threading.main_thread() not in latest.threads
    assert "last_frame" not in ask("GET", f"{A1}?wait_frames=2").json()


def test_frames_that_are_not_there_are_not_summed(ask, latest, with_rows):
    latest.show(np.ones((2, 2)))
    assert last_frame(ask, 3) is None


def test_a_sum_that_cannot_be_had_is_told_and_refuses_nothing(
    ask, latest, with_rows, monkeypatch
):
    assert "no frame has come yet" in last_frame(ask)["error"]
    latest.show(np.ones((2, 2)))
    latest.fault = ProtocolError("undecodable pixels", "8 bytes came, 16 are a frame")
    assert "8 bytes came, 16 are a frame" in last_frame(ask)["error"]
    go_on = threading.Event()
    latest.total = lambda: go_on.wait(0.5)  # the server waits for it at its end
    monkeypatch.setattr(v1, "TOTAL_MAX_S", 0.01)
    assert "takes longer than 0.01 s" in last_frame(ask)["error"]
    go_on.set()


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"fle": "/data/a.h5"}, "body.fle"),
        ({"file": ""}, "body.file"),
        ({"file": "/data/\0.h5"}, "body.file"),
        ({"file": "/" + 5000 * "a"}, "body.file"),
        ({"shape": []}, "body.shape"),
        ({"shape": [0, 2]}, "body.shape.0"),
        ({"shape": 100_000 * [-1]}, "body.shape"),
        ({"dtype": "os.system('x')"}, "body.dtype"),
        ({"series": 0}, "body.series"),
        ({"series": "all"}, "body.series"),
        ({"expected": -1}, "body.expected"),
        ({"expected": 10**40}, "body.expected"),
        ({"expected": True}, "body.expected"),
        ({"missing": "guess"}, "body.missing"),
        ({"idle_timeout_s": 0}, "body.idle_timeout_s"),
        ({"lease_s": 1e300}, "body.lease_s"),
        ({"metadata": []}, "body.metadata"),
        ([], "body"),
        ("x", "body"),
    ],
)
def test_a_body_that_cannot_be_meant_names_the_key(ask, line, body, where):
    answer = ask("POST", "/api/v1/acquisitions", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(where)
    assert len(answer.content) < 4000
    assert line.calls == []


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[" * 100_000,
        b'{"lease_s": NaN}',
        b'{"metadata": {"x": "\\ud800"}}',
        b'{"metadata": {"x": [Infinity]}}',
        b"\xff\xfe",
        b'{"expected": ' + 5000 * b"9" + b"}",
    ],
)
def test_a_body_that_is_no_json_is_refused(ask, line, content):
    headers = {"content-type": "application/json"}
    answer = ask("POST", "/api/v1/acquisitions", content=content, headers=headers)
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"
    assert line.calls == []


def test_who_asks_for_an_unknown_acquisition_is_told(ask):
    answer = ask("GET", "/api/v1/acquisitions/zz")
    assert (answer.status_code, answer.json()["title"]) == (404, "unknown acquisition")


def test_a_long_poll_waits_a_minute_at_most(ask, line):
    ask("GET", f"{A1}?wait_frames=0&timeout=1e9")
    assert line.calls == [("acquisition", 0, 60.0)]


@pytest.mark.parametrize(
    "query", ["wait_frames=-1", "wait_frames=x", "timeout=-1", "timeout=nan"]
)
def test_a_long_poll_that_cannot_be_meant_is_refused(ask, query):
    assert ask("GET", f"{A1}?{query}").status_code == 422


@pytest.mark.parametrize(
    ("body", "expected", "series_id"),
    [
        ({}, msgspec.UNSET, None),
        ({"expected": None}, None, None),
        ({"expected": 5}, 5, None),
        ({"series_id": 7}, msgspec.UNSET, 7),
        ({"series_id": 0, "expected": 0}, 0, 0),
    ],
)
def test_patch_tells_null_from_absent(ask, line, body, expected, series_id):
    assert ask("PATCH", A1, json=body).status_code == 200
    assert line.calls == [("patch", "a1", expected, series_id)]


def test_stop_waits_five_seconds_unless_told_otherwise(ask, line):
    ask("POST", f"{A1}/stop")
    ask("POST", f"{A1}/stop?timeout=0.5")
    ask("POST", f"{A1}/stop?timeout=600")
    assert line.calls == [
        ("stop", "a1", 5.0),
        ("stop", "a1", 0.5),
        ("stop", "a1", 60.0),
    ]


def test_abort_and_rewind_reach_the_line(ask, line):
    ask("POST", f"{A1}/abort")
    ask("POST", f"{A1}/rewind", json={"rows": 3})
    assert line.calls == [("abort", "a1"), ("rewind", "a1", 3)]


@pytest.mark.parametrize("body", [{}, {"rows": -1}, {"rows": None}, {"row": 1}])
def test_a_rewind_to_nowhere_is_refused(ask, line, body):
    assert ask("POST", f"{A1}/rewind", json=body).status_code == 422
    assert line.calls == []


def test_a_refusal_of_the_line_keeps_its_status_title_and_text(ask, line):
    line.fault = RequestError(409, "busy", "a2 is running into /data/b.h5: stop it")
    answer = ask("POST", "/api/v1/acquisitions")
    assert answer.status_code == 409
    assert answer.json() == {
        "type": "urn:srx:problem:busy",
        "title": "busy",
        "status": 409,
        "detail": "a2 is running into /data/b.h5: stop it",
    }


def test_the_detector_is_told_as_configured(ask):
    assert ask("GET", "/api/v1/detector").json() == {"class": "Eiger"}
