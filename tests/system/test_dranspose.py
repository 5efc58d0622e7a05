"""dranspose, whole: redis, controller, ingester, two workers and reducer do two scans.

It reads the secondary port with its own ingester, see
github.com/felix-engelmann/dranspose.
"""

import json
import shutil
import subprocess

import httpx
import pytest

from tests.conftest import pick_port
from tests.system.conftest import Programs
from tests.system.sources import pixels, sender_on, series

FRAMES = 6


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    """A redis of our own; its URL."""
    port, folder = pick_port(), tmp_path_factory.mktemp("redis")
    program = shutil.which("redis-server", path="/usr/bin:/usr/local/bin")
    assert program is not None, "redis-server is not installed"
    words = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, *map(str, words)], stdout=log)
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait()


@pytest.fixture(scope="module")
def line(shared_programs: Programs):
    """A service and its source."""
    port = pick_port()
    service = shared_programs.service({"dcu_port_purple": port})
    with sender_on(port) as sender:
        yield service, sender


@pytest.fixture(scope="module")
def stack(shared_programs, redis, line):
    """dranspose, connected to that service."""
    http = pick_port()
    upstream = f"tcp://127.0.0.1:{line[0].ports['data_port']}"
    words = ["tests.system.dranspose_stack", upstream, http, pick_port(), pick_port()]
    shared_programs.environment["REDIS_URL"] = redis
    url = f"http://127.0.0.1:{http}"
    program = shared_programs.start("dranspose", [*map(str, words)], url)
    program.wait_until(lambda: is_whole(program))
    return program


def is_whole(program):
    """Whether ingester, workers and reducer have found one another."""
    try:
        told = program.get("/api/v1/config")
    except httpx.HTTPError:
        return False
    connected = [len(i["connected_workers"]) for i in told["ingesters"]]
    return connected == [2] and len(told["workers"]) == 2 and bool(told["reducer"])


def connections(service):
    """How often one client was left alone with the secondary port."""
    return service.log.read_text().count(": 1 clients")


def results(program):
    lines = program.log.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"event"')]


@pytest.mark.parametrize("encoding", ["none", "bslz4"])
def test_a_scan_is_finished_and_every_image_was_worked_on(stack, line, encoding):
    service, sender = line
    before, connected = len(results(stack)), connections(service)
    images = {"det": [[{"constraint": k}] for k in range(FRAMES)]}
    sequence = {"parts": {"main": images}, "sequence": ["main"]}
    httpx.post(f"{stack.url}/api/v1/sequence", json=sequence).raise_for_status()
    # Its ingester connects anew for each scan, once it knows what is to be done.
    service.wait_until(lambda: connections(service) > connected)
    sender.send(*series("scan.h5", FRAMES, encoding=encoding))
    stack.wait_until(lambda: stack.get("/api/v1/progress")["finished"])
    told = sorted(results(stack)[before:], key=lambda result: result["event"])
    kinds = [result["kind"] for result in told]
    # Every worker gets header and end, one of them each image.
    assert kinds == [*["header"] * 2, *["image"] * FRAMES, *["series_end"] * 2]
    assert told[0]["filename"] == "scan.h5"
    sums = [result["sum"] for result in told[2:-2]]
    assert sums == [int(pixels(k).sum()) for k in range(FRAMES)]
