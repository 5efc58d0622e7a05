"""What runs at every push and at a release, tried without either of the servers."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
GITHUB = ROOT / ".github/workflows/ci.yml"
GITLAB = ROOT / ".gitlab-ci.yml"
SCHEMAS = [(GITHUB, "vendor.github-workflows"), (GITLAB, "vendor.gitlab-ci")]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
JOB = "jobs: {a: {runs-on: b, %s: [{run: c}]}}"


def run(*words, **options):
    return subprocess.run(
        words, capture_output=True, text=True, timeout=60, check=False, **options
    )


def checked(path, schema):
    return run(BIN / "check-jsonschema", "--builtin-schema", schema, path)


@pytest.mark.parametrize(("path", "schema"), SCHEMAS)
def test_a_workflow_is_one(path, schema):
    done = checked(path, schema)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        (f"on: push\n{JOB % 'step'}", "vendor.github-workflows"),
        (f"on: pull\n{JOB % 'steps'}", "vendor.github-workflows"),
        ("check: {script: [a], artifact: {paths: [b]}}", "vendor.gitlab-ci"),
        ("check: {image: a, script: 1}", "vendor.gitlab-ci"),
    ],
)
def test_a_wrong_workflow_is_refused(text, schema, tmp_path):
    path = tmp_path / "workflow.yml"
    path.write_text(text)
    assert checked(path, schema).returncode == 1


def test_zizmor_finds_nothing_that_strangers_could_use():
    done = run(BIN / "zizmor", "--offline", "--no-progress", GITHUB)
    assert done.returncode == 0, done.stdout


def test_zizmor_finds_an_action_that_is_not_pinned(tmp_path):
    path = tmp_path / ".github/workflows/ci.yml"
    path.parent.mkdir(parents=True)
    commit = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8"
    text = GITHUB.read_text()
    assert commit in text
    path.write_text(text.replace(commit, "some/action@v5"))
    done = run(BIN / "zizmor", "--offline", "--no-progress", path)
    assert "unpinned-uses" in done.stdout


def lines():
    """Yield all that the workflows have a shell run."""
    for job in yaml.safe_load(GITHUB.read_text())["jobs"].values():
        yield from (step["run"] for step in job["steps"] if "run" in step)
    for job in yaml.safe_load(GITLAB.read_text()).values():
        if isinstance(job, dict):
            yield from [*job.get("before_script", ()), *job.get("script", ())]


@pytest.mark.parametrize("line", sorted(set(lines())))
def test_each_line_is_shell_and_our_programs_are_there(line):
    assert run("bash", "-n", "-c", line).returncode == 0
    word = line.split()[0]
    assert not word.startswith(".ci/") or os.access(ROOT / word, os.X_OK)


@pytest.mark.parametrize("path", [GITHUB, GITLAB])
def test_both_run_everything_and_release_by_the_same_program(path):
    text = path.read_text()
    for line in (".ci/run", "sphinx -W docs", ".ci/image"):
        assert line in text


@pytest.fixture
def released(tmp_path):
    """Run .ci/image with a docker that writes down what it is told."""
    told = tmp_path / "told"
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    docker.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"

    def release(tag, root=ROOT):
        environment = os.environ | {"PATH": path}
        done = run(root / ".ci/image", "example.org/srx", tag, env=environment)
        return done, told.read_text().splitlines() if told.exists() else []

    return release


def test_a_release_builds_tries_and_pushes_both_images(released):
    done, told = released(f"v{VERSION}")
    assert done.returncode == 0, done.stderr
    builds = [line for line in told if line.startswith("build")]
    assert [line.split()[3] for line in builds] == ["service", "bluesky"]
    names = ("example.org/srx", "example.org/srx-bluesky")
    pushed = [f"push {name}:{tag}" for name in names for tag in (VERSION, "latest")]
    assert [line for line in told if line.startswith("push")] == pushed
    tried = [number for number, line in enumerate(told) if line.startswith("run")]
    assert len(tried) == 2
    assert max(tried) < told.index(pushed[0])


def test_a_candidate_is_not_the_latest(released, tmp_path):
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/image").write_bytes((ROOT / ".ci/image").read_bytes())
    (tmp_path / ".ci/image").chmod(0o755)
    (tmp_path / "pyproject.toml").write_text('version = "9.0.0rc1"\n')
    done, told = released("v9.0.0rc1", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "push example.org/srx:9.0.0rc1" in told
    assert not any("latest" in line for line in told)


def test_a_tag_of_another_version_is_refused(released):
    done, told = released("v99.0.0")
    assert (done.returncode, told) == (1, [])
    assert f"pyproject.toml says {VERSION}" in done.stderr
