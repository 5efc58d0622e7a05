"""compose.yaml without a container engine: its commands, run on this machine."""

import json
import re
import shlex
from pathlib import Path

import httpx
import pytest
import yaml

from srx_service import cli
from srx_service.config import load

ROOT = Path(__file__).parents[2]
DETECTORS = ROOT / "deploy/compose/simulated/detectors.yaml"


@pytest.fixture
def compose():
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def command_of(compose, name):
    return shlex.split(compose["services"][name]["command"])


def option(words, name):
    return words[words.index(name) + 1]


def entry_of():
    """Return what the service of compose.yaml receives, as it is written."""
    return yaml.safe_load(DETECTORS.read_text())["eiger"]


def test_the_services_are_built_from_the_checkout(compose):
    assert set(compose["services"]) == {"simulator", "service", "tiled", "scan"}
    for name, service in compose["services"].items():
        of_bluesky = {"context": ".", "target": "bluesky"}
        assert service["build"] == (of_bluesky if name in ("tiled", "scan") else ".")
    stages = (ROOT / "Dockerfile").read_text()
    assert "\nFROM base AS bluesky\n" in stages
    assert "\nFROM base AS service\n" in stages


def test_its_configuration_is_one_that_the_service_takes(compose):
    entry = load(DETECTORS)[command_of(compose, "service")[-1]]
    published = compose["services"]["service"]["ports"]
    own = (entry.api_port, entry.forward_port)
    assert published == [f"127.0.0.1:{port}:{port}" for port in own]
    simulator = command_of(compose, "simulator")
    assert entry.endpoints == (f"tcp://simulator:{option(simulator, '--stream-port')}",)


def test_the_files_are_where_volumes_put_them(compose):
    places = [v.split(":") for v in compose["services"]["service"]["volumes"]]
    assert ROOT / places[0][0] == DETECTORS
    assert places[0][1] == command_of(compose, "service")[1]
    assert [place[1] for place in places[1:]] == ["/state", "/data"]


def test_nothing_is_published_to_other_machines(compose):
    for service in compose["services"].values():
        assert all(p.startswith("127.0.0.1:") for p in service.get("ports", []))


def test_the_image_has_the_command_that_compose_runs(compose):
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["srx"]' in dockerfile
    for name in ("simulator", "service"):
        words = command_of(compose, name)
        assert words[0] in cli.parser().format_help()


def test_simulator_and_service_of_compose_take_a_series(
    compose, start_simulator, start_service, data
):
    """The commands as they stand, but for hosts, ports and folders of this machine."""
    words = command_of(compose, "simulator")
    assert words[:2] == ["simulate", "eiger"]
    simulator = start_simulator("eiger", "--host", option(words, "--host"))
    entry = entry_of()
    here = {"dcu_host_purple": "127.0.0.1", "write_root": str(data)}
    here["dcu_port_purple"] = simulator.ports["stream_port"]
    for key in ("api_port", "data_port"):
        del entry[key]  # the test has ports of its own
    service = start_service(entry | here)
    base = f"http://127.0.0.1:{simulator.ports['control_port']}/detector/api/1.8.0"
    body = {"file": str(data / "a.h5"), "expected": 1}
    armed = httpx.post(f"{service.url}/api/v1/acquisitions", json=body).json()
    httpx.put(f"{base}/command/arm", timeout=30).raise_for_status()
    httpx.put(f"{base}/command/trigger", timeout=30).raise_for_status()
    path = f"/api/v1/acquisitions/{armed['id']}"
    service.wait_until(lambda: service.get(path)["counts"]["written"] >= 1)
    httpx.put(f"{base}/command/disarm", timeout=30).raise_for_status()
    service.wait_until(lambda: service.get(path)["state"] == "done")


def test_the_health_check_asks_what_the_service_answers(start_service, monkeypatch):
    text = (ROOT / "Dockerfile").read_text()
    assert f"SRX_READY=http://127.0.0.1:{entry_of()['api_port']}/readyz" in text
    [words] = re.findall(r"^    CMD (\[.*\])$", text, re.M)
    program, option, code = json.loads(words)
    assert (program, option) == ("python", "-c")
    service = start_service({"dcu_port_purple": 9})
    monkeypatch.setenv("SRX_READY", f"{service.url}/readyz")
    exec(compile(code, "healthcheck", "exec"))
    monkeypatch.setenv("SRX_READY", f"{service.url}/not-there")
    with pytest.raises(OSError, match="404"):
        exec(compile(code, "healthcheck", "exec"))
