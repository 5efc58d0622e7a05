"""Requests made from the OpenAPI, and damaged ones, to a living service."""

import contextlib

import httpx
import pytest

from tests.conftest import pick_port
from tests.fuzz.http import UNLIMITED, HttpFuzz, streaming, table
from tests.system.sources import sender_on, series
from tests.system.test_line import frames_in, wait_for

EACH = 4
"""Requests of each operation that the OpenAPI allows; as many that it does not."""
DAMAGED = 200


@pytest.fixture(scope="module")
def fuzzed(shared_programs):
    """A service to which requests were sent while series came, and what it answered."""
    port, data = pick_port(), shared_programs.data
    service = shared_programs.service({"dcu_port_purple": port, **UNLIMITED})
    with sender_on(port) as sender:
        fuzz = HttpFuzz(service.url, data)
        sender.send(*series(str(data / "first.h5"), 3))
        wait_for(service, data / "first.h5")
        with contextlib.closing(fuzz), streaming(sender, data):
            fuzz.from_openapi(EACH, seed=1)
            fuzz.damaged(DAMAGED, seed=1)
        yield service, sender, fuzz


def test_no_request_makes_the_service_fail(fuzzed):
    service, _, fuzz = fuzzed
    assert fuzz.defects == []
    assert fuzz.statuses.total() >= DAMAGED + EACH * len(fuzz.operations)
    assert "Traceback" not in service.log.read_text()


def test_every_operation_is_met_and_refused_at_times(fuzzed):
    _, _, fuzz = fuzzed
    met = {what for what, status in fuzz.statuses if status in range(200, 300)}
    refused = {what for what, status in fuzz.statuses if status in range(400, 500)}
    assert len(met) >= len(fuzz.operations) * 3 // 4, "\n".join(table(fuzz.statuses))
    assert {"damaged bytes", "POST /api/v1/acquisitions"} <= refused


def test_the_line_goes_on_after_all_of_them(fuzzed, shared_programs):
    service, sender, _ = fuzzed
    for busy in service.get("/api/v1/acquisitions")["acquisitions"]:
        if busy["origin"] == "api" and busy["finished_s"] is None:
            post(service, f"/api/v1/acquisitions/{busy['id']}/abort")
    path = shared_programs.data / "last.h5"
    sender.send(*series(str(path), 4))
    wait_for(service, path)
    assert frames_in(path).shape[0] == 4


def post(service, path):
    return httpx.post(f"{service.url}{path}", timeout=30.0).raise_for_status()
