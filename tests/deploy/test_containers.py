"""Containers without an engine: what Docker's own client and a linter say of them."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

from srx_service import config
from tests.deploy import compose_files

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
FILES = ["compose.yaml", *map(compose_files.path, compose_files.names())]
LOCKS = {"service": ["service"], "bluesky": ["ophyd", "tiled"]}
"""Lists of packages in deploy/image, and the extras each is made of."""
[PYTHON] = re.findall(
    r"^ARG PYTHON=(\d+\.\d+)", (ROOT / "Dockerfile").read_text(), re.M
)
"""Which the images hold: "3.13"."""


def run(*words):
    """Run a program that came with the extra `dev`; its absence is a failure."""
    program, *arguments = words
    return subprocess.run(
        [BIN / program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def read_by_compose(file):
    done = run(
        "docker-compose", "-f", file, "--profile", "*", "config", "--format", "json"
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("file", FILES)
def test_compose_understands_every_file_and_no_container_has_privileges(file):
    for service in read_by_compose(file)["services"].values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["user"] == "1000:1000"


def test_compose_refuses_what_is_none(tmp_path):
    path = tmp_path / "compose.yaml"
    path.write_text("services: {a: {image: b, red_only: true}}")
    assert run("docker-compose", "-f", str(path), "config", "-q").returncode != 0


@pytest.mark.parametrize("name", compose_files.names())
def test_each_detector_is_run_with_its_entry(name):
    entry = config.load(ROOT / "detectors.yaml")[name]
    [service] = read_by_compose(compose_files.path(name))["services"].values()
    assert service["command"] == ["run", "/etc/srx/detectors.yaml", name]
    ready = service["environment"]["SRX_READY"]
    assert ready == f"http://127.0.0.1:{entry.api_port}/readyz"
    targets = {volume["target"] for volume in service["volumes"]}
    assert ("/cache" in targets) == (entry.pipeline is not None)
    assert {"/data", "/state", "/etc/srx/detectors.yaml"} <= targets


def test_there_is_a_file_for_each_detector_and_for_nothing_else():
    found = {path.stem for path in (ROOT / "deploy/compose").glob("*.yaml")}
    assert found - {"receiver"} == set(compose_files.names())


def test_hadolint_finds_nothing_in_the_dockerfile():
    done = run("hadolint", "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def pins(name):
    text = (ROOT / f"deploy/image/{name}.txt").read_text()
    found = re.findall(r"^([\w.-]+)==([^ ;\n]+)(?: ; ([^\\\n]+))?", text, re.M)
    here = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0"}
    return {
        name: version
        for name, version, marker in found
        if not marker or Marker(marker.strip()).evaluate(here)
    }


@pytest.mark.parametrize("lock", LOCKS)
def test_the_image_holds_what_the_extras_ask_for(lock):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in LOCKS[lock]:
        wanted += project["optional-dependencies"][extra]
    pinned = pins(lock)
    for requirement in map(Requirement, wanted):
        marker = requirement.marker
        if marker and not marker.evaluate({"python_version": PYTHON}):
            continue
        version = pinned.get(requirement.name.lower())
        assert version, f"{requirement}: run deploy/image/lock.sh"
        assert requirement.specifier.contains(version, prereleases=True)


def dockerfile():
    return (ROOT / "Dockerfile").read_text()


def test_what_is_copied_into_the_image_is_there():
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile(), re.M)
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    for source in " ".join(copied).split():
        assert (ROOT / source).exists()
        whole = f"!{re.sub(r'[^/]+[.]txt$', '*.txt', source)}"
        assert whole in kept
