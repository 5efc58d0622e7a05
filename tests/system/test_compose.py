"""compose.yaml without a container engine: its commands, run on this machine."""

import shlex
from pathlib import Path

import httpx
import pytest
import yaml

from srx_service import cli
from srx_service.config import load

ROOT = Path(__file__).parents[2]


@pytest.fixture
def compose():
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def command_of(compose, name):
    return shlex.split(compose["services"][name]["command"])


def option(words, name):
    return words[words.index(name) + 1]


def test_the_services_are_built_from_the_checkout(compose):
    assert set(compose["services"]) == {"simulator", "service"}
    for service in compose["services"].values():
        assert service["build"] == "."
    assert (ROOT / "Dockerfile").is_file()


def test_the_embedded_configuration_is_one_that_the_service_takes(compose, tmp_path):
    config = tmp_path / "compose.yaml"
    config.write_text(compose["configs"]["detectors"]["content"])
    entry = load(config)[command_of(compose, "service")[-1]]
    published = compose["services"]["service"]["ports"]
    own = (entry.api_port, entry.forward_port)
    assert published == [f"127.0.0.1:{port}:{port}" for port in own]
    simulator = command_of(compose, "simulator")
    assert entry.endpoints == (f"tcp://simulator:{option(simulator, '--stream-port')}",)


def test_the_files_are_where_volumes_and_configs_put_them(compose):
    service = compose["services"]["service"]
    assert service["configs"][0]["target"] == command_of(compose, "service")[1]
    mounted = [volume.split(":")[1] for volume in service["volumes"]]
    assert mounted == ["/state", "/data"]


def test_the_service_has_no_privileges(compose):
    service = compose["services"]["service"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "\nUSER srx\n" in (ROOT / "Dockerfile").read_text()


def test_nothing_is_published_to_other_machines(compose):
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_image_has_the_command_that_compose_runs(compose):
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["srx"]' in dockerfile
    for name in compose["services"]:
        words = command_of(compose, name)
        assert words[0] in cli.parser().format_help()


def test_simulator_and_service_of_compose_take_a_series(
    compose, start_simulator, start_service, data
):
    """The commands as they stand, but for hosts, ports and folders of this machine."""
    words = command_of(compose, "simulator")
    assert words[:2] == ["simulate", "eiger"]
    simulator = start_simulator("eiger", "--host", option(words, "--host"))
    entry = yaml.safe_load(compose["configs"]["detectors"]["content"])["eiger"]
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


def test_the_health_check_asks_what_the_service_answers(compose, start_service):
    check = compose["services"]["service"]["healthcheck"]["test"]
    assert check[:3] == ["CMD", "python", "-c"]
    service = start_service({"dcu_port_purple": 9})
    port = compose["configs"]["detectors"]["content"]
    code = check[3].replace(
        f":{yaml.safe_load(port)['eiger']['api_port']}",
        f":{service.ports['api_port']}",
    )
    exec(compile(code.replace("localhost", "127.0.0.1"), "healthcheck", "exec"))
