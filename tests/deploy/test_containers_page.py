"""docs/how-to/run-with-containers.md: what it has Docker do is there to be done."""

import itertools
import json
import shlex
import shutil
import subprocess

import pytest
import yaml
import zmq

from srx_service.simulators.eiger import EigerSimulator
from tests.blocks import ROOT, blocks, commands
from tests.deploy.test_containers import dockerfile, read_by_compose, run

PAGE = "docs/how-to/run-with-containers.md"
OPTIONS = {"up": {"--build", "-d", "--no-build"}, "run": {"--rm"}}
OPTIONS |= {"down": {"--volumes"}, "logs": {"-f"}}


def found(program):
    """Return the arguments of each call of a program in the page."""
    texts = [block.text for block in blocks("bash") if block.file == PAGE]
    return [
        words for text in texts for name, *words in commands(text) if name == program
    ]


def of_docker(*first):
    calls = [words for words in found("docker") if words[: len(first)] == [*first]]
    assert calls
    return [list(words) for words in sorted({(*w[len(first) :],) for w in calls})]


@pytest.mark.parametrize("words", of_docker("compose"), ids=shlex.join)
def test_compose_files_and_services_that_are_named_are_there(words):
    file = "compose.yaml"
    if words[0] == "-f":
        _, file, *words = words
    services = read_by_compose(file)["services"]
    command, *rest = words
    options = {word for word in rest if word.startswith("-")}
    assert options <= OPTIONS[command]
    assert {*rest} - options <= services.keys()
    assert command != "run" or rest[-1] == "scan"


def test_what_is_built_is_a_target_with_such_arguments():
    for words in of_docker("build"):
        for option, value in itertools.pairwise(words):
            if option == "--target":
                assert f" AS {value}\n" in dockerfile()
            if option == "--build-arg":
                name, _, given = value.partition("=")
                assert f"ARG {name}={given.partition('@')[0]}\n" in dockerfile()


@pytest.fixture
def read_beside(tmp_path):
    """Read compose files beside receiver.yaml, as the page has it."""
    place = tmp_path / "deploy/compose"
    place.mkdir(parents=True)
    shutil.copy(ROOT / "deploy/compose/receiver.yaml", place)
    texts = [block.text for block in blocks("yaml") if block.file == PAGE]

    def read(count):
        words = []
        for number, text in enumerate(texts[:count]):
            (place / f"{number}.yaml").write_text(text)
            words += ["-f", str(place / f"{number}.yaml")]
        done = run("docker-compose", *words, "config", "--format", "json")
        assert done.returncode == 0, done.stderr
        [service] = json.loads(done.stdout)["services"].values()
        return service

    return read


def test_a_detector_of_ones_own_has_what_the_others_have(read_beside):
    service = read_beside(1)
    assert service["read_only"]
    assert service["command"][-1] == "my-eiger"
    targets = {volume["target"] for volume in service["volumes"]}
    assert targets == {"/data", "/state", "/cache", "/etc/srx/detectors.yaml"}


def test_tokens_may_stand_in_a_file(read_beside):
    service = read_beside(2)
    environment = service["environment"]
    assert environment["SRX_API_TOKEN_FILE"] == "/etc/srx/tokens"
    assert not environment.get("SRX_API_TOKEN")
    targets = {volume["target"]: volume for volume in service["volumes"]}
    assert targets["/etc/srx/tokens"]["read_only"]


def test_every_variable_of_the_table_is_one_of_receiver():
    text = (ROOT / "deploy/compose/receiver.yaml").read_text()
    rows = [
        line for line in (ROOT / PAGE).read_text().splitlines() if "| `SRX_" in line
    ]
    names = [row.split("`")[1] for row in rows]
    assert len(names) == 5
    assert [name for name in names if f"${{{name}:-" not in text] == []


def test_the_scan_gets_the_services_token(monkeypatch):
    monkeypatch.setenv("SRX_API_TOKEN", "s3cret")
    services = read_by_compose("compose.yaml")["services"]
    assert services["scan"]["environment"]["SRX_TOKEN"] == "s3cret"
    monkeypatch.setenv("SRX_TOKEN", "another")
    services = read_by_compose("compose.yaml")["services"]
    assert services["scan"]["environment"]["SRX_TOKEN"] == "another"


def test_pages_ports_are_those_that_compose_opens():
    text = (ROOT / PAGE).read_text()
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    ports = [
        port.split(":")[1] for s in services.values() for port in s.get("ports", ())
    ]
    assert [p for p in ports if p != "8080" and f"localhost:{p}" not in text] == []


def test_the_simulator_sends_what_it_is_asked_for():
    [text] = [b.text for b in blocks("bash") if b.file == PAGE and "curl" in b.text]
    assert "600" in text
    with (
        EigerSimulator(shape=(60, 50), rate=0) as eiger,
        zmq.Context() as context,
        context.socket(zmq.PULL) as pull,
    ):
        pull.rcvtimeo = 30_000
        pull.connect(eiger.endpoint)
        code = text.replace("http://localhost:8080", eiger.url).replace("600", "3")
        subprocess.run(["bash", "-euc", code], check=True, timeout=60)
        kinds = [json.loads(pull.recv_multipart()[0])["htype"] for _ in range(5)]
    assert kinds == ["dheader-1.0", *["dimage-1.0"] * 3, "dseries_end-1.0"]
