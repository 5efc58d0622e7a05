"""What the Helm chart makes, run on this machine as Kubernetes would."""

import json
import shlex
from pathlib import Path

import httpx
import pytest
import yaml

from tests.conftest import pick_port
from tests.deploy.chart import helm

FOLDERS = ("/etc/srx", "/state", "/cache", "/data")
"""Mounted in the pods; below the test's own folder here."""
FRAMES = 20


@pytest.fixture(scope="module")
def simulated():
    """The release that comes without any values: a simulated Eiger."""
    with helm() as chart:
        return chart.render()


class Node:
    """Runs the pods of a release, with folders and ports of this machine's own."""

    def __init__(self, rendered, programs):
        self.rendered = rendered
        self._programs = programs
        self._places = {path: f"{programs.folder}{path}" for path in FOLDERS}
        for path in self._places.values():
            Path(path).mkdir(parents=True, exist_ok=True)

    def listen(self, *ports):
        """Let others stand for ports, which may be taken here."""
        self._places |= {str(port): str(pick_port()) for port in ports}

    def here(self, text):
        for there, place in self._places.items():
            text = text.replace(there, place)
        return text

    def mount(self, **keys):
        """Put the configuration where the pod has it, with other values of keys."""
        config = self.rendered.one("ConfigMap")["data"]["detectors.yaml"]
        [(name, entry)] = yaml.safe_load(self.here(config)).items()
        path = Path(self.here("/etc/srx"), "detectors.yaml")
        path.write_text(yaml.safe_dump({name: entry | keys}))

    def container(self, name):
        pod = self.rendered.one("Deployment", name)["spec"]["template"]["spec"]
        [container] = pod["containers"]
        return container

    def start(self, name):
        container = self.container(name)
        for item in container.get("env", []):
            self._programs.environment[item["name"]] = self.here(item["value"])
        words = ["srx_service", *map(self.here, container["args"])]
        port = self.here(str(container["ports"][0]["containerPort"]))
        return self._programs.start(name, words, f"http://127.0.0.1:{port}")


@pytest.fixture
def node(simulated, programs):
    return Node(simulated, programs)


def put(line, base):
    """Do what a line of the notes has a shell do: curl -X PUT ... -d BODY URL."""
    words = shlex.split(line.replace("$base", base))
    body = json.loads(words[words.index("-d") + 1]) if "-d" in words else {}
    few = dict.fromkeys(body, FRAMES)
    httpx.put(words[-1], json=few or None, timeout=60.0).raise_for_status()


def test_the_simulated_eiger_is_received_as_the_notes_say(node):
    node.listen(5000, 26001, 8080, 9999)
    simulator = node.start("simulator")
    simulator.wait_until(lambda: simulator.log.read_bytes().startswith(b"{"))
    port = int(node.here("9999"))
    node.mount(dcu_host_purple="127.0.0.1", dcu_port_purple=port)
    service = node.start("simulated-eiger")
    probe = node.container("simulated-eiger")["startupProbe"]["httpGet"]["path"]
    service.wait_until(lambda: service.answers(probe))
    lines = [line for line in node.rendered.notes.splitlines() if "curl" in line]
    assert len(lines) == 3
    for line in lines:
        put(line, f"{simulator.url}/detector/api/1.8.0")
    service.wait_until(lambda: service.get("/received_frames") == {"value": FRAMES})
    assert service.terminate() == 0
