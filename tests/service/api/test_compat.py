"""The predecessor's routes."""

import pickle
import time

import numpy as np
import pytest
from fastapi import FastAPI

from srx_service.api import compat
from srx_service.api.compat import POLLED, POLLS_APART_S, dumps
from srx_service.api.line import ApiSettings


def test_idle_is_told_as_the_predecessor_told_it(ask):
    assert ask("GET", "/status").content == b'{"state":"idle"}'


def test_the_cause_of_an_error_stands_beside_the_state(ask, line):
    line.shown = {"state": "error", "error": "disk full"}
    assert ask("GET", "/status").content == b'{"state":"error","error":"disk full"}'


def test_the_status_may_tell_more_than_the_predecessors(ask, line):
    line.shown = {"state": "running", "held": True, "of_tomorrow": [1]}
    assert ask("GET", "/status").json() == line.shown


def test_received_frames_are_told_as_the_predecessor_told_them(ask):
    assert ask("GET", "/received_frames").content == b'{"value":7}'


@pytest.mark.parametrize("path", POLLED)
def test_polls_are_answered_apart_while_the_detector_sends(ask, line, path):
    line.receiving = True
    begun_s = time.monotonic()
    assert [ask("GET", path).status_code for _ in range(4)] == [200] * 4
    assert time.monotonic() - begun_s >= 3 * POLLS_APART_S


def test_a_poll_of_one_path_does_not_wait_for_one_of_the_other(ask, line, monkeypatch):
    monkeypatch.setattr(compat, "POLLS_APART_S", 3600.0)
    line.receiving = True
    assert [ask("GET", path).status_code for path in POLLED] == [200, 200]


def test_a_poll_that_waits_is_answered_when_all_is_received(ask, line, monkeypatch):
    monkeypatch.setattr(compat, "POLLS_APART_S", 3600.0)
    line.receiving, line.over_after_s = True, 0.01
    assert [ask("GET", "/status").status_code for _ in range(3)] == [200] * 3
    assert not line.receiving


def test_polls_are_answered_at_once_while_nothing_comes(ask, monkeypatch):
    monkeypatch.setattr(compat, "POLLS_APART_S", 3600.0)
    for path in POLLED:
        assert [ask("GET", path).status_code for _ in range(3)] == [200] * 3


def test_the_routes_of_the_openapi_tell_the_same(asker, monkeypatch):
    monkeypatch.setattr(FastAPI, "add_middleware", lambda *_, **__: None)
    ask = asker()
    assert ask("GET", "/status").content == b'{"state":"idle"}'
    assert ask("GET", "/received_frames").content == b'{"value":7}'


def test_downsample_is_one_until_set_and_then_holds_for_everybody(ask, latest):
    assert ask("GET", "/downsample").content == b'{"value":1}'
    assert ask("POST", "/downsample?value=4").content == b'{"value":4}'
    assert (
        ask("GET", "/downsample").json() == {"value": latest.downsample} == {"value": 4}
    )


@pytest.mark.parametrize("query", ["", "?value=", "?value=x", "?value=0", "?value=-1"])
def test_downsample_that_is_no_positive_number_is_refused(ask, latest, query):
    answer = ask("POST", f"/downsample{query}")
    assert answer.status_code == 422
    assert "query.value" in answer.json()["detail"]
    assert latest.downsample == 1


def test_last_frame_before_the_first_is_an_empty_header_and_no_bytes(ask):
    answer = ask("GET", "/last_frame")
    assert answer.headers["content-type"] == "image/pickle"
    assert pickle.loads(answer.content) == [{}, b""]


def test_last_frame_is_the_pickle_the_predecessor_sent(ask, latest):
    parts = [{"htype": "image", "frame": 3, "shape": [1, 2]}, b"\1\0\2\0"]
    latest.parts = lambda: parts
    assert ask("GET", "/last_frame").content == pickle.dumps(parts, protocol=4)


def test_a_downsampled_last_frame_is_read_back_writable(ask, latest):
    latest.show(np.arange(6, dtype="uint16").reshape(2, 3)[:, ::2])
    header, pixels = pickle.loads(ask("GET", "/last_frame").content)
    assert header["shape"] == [2, 2]
    assert pixels.tolist() == [[0, 2], [3, 5]]
    assert pixels.dtype == "uint16"
    assert pixels.flags.writeable


def test_a_pickled_array_names_no_module_of_numpy_2():
    content = dumps([{}, np.zeros((2, 2), "uint16")])
    assert b"numpy" in content
    assert b"_core" not in content


def test_last_frame_is_deprecated_in_the_openapi(ask):
    operation = ask("GET", "/openapi.json").json()["paths"]["/last_frame"]["get"]
    assert operation["deprecated"] is True
    assert "image/pickle" in operation["responses"]["200"]["content"]


def test_a_site_can_leave_the_pickle_out(asker):
    assert ApiSettings().pickle_route
    assert asker(pickle_route=False)("GET", "/last_frame").status_code == 404


def test_docs_are_where_the_predecessor_had_them(ask):
    assert "text/html" in ask("GET", "/docs").headers["content-type"]
