"""A Prometheus that scrapes a service, and what to ask it."""

import contextlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml

from tests.blocks import ROOT
from tests.conftest import pick_port

DEPLOY = ROOT / "deploy"
PATIENCE_S = 60.0
_SELECTOR = re.compile(r"\b(up|srx_\w+|process_\w+)(?:\{(.*?)\})?")
_MATCHER = re.compile(r'(\w+)(=~|=)"(.*?)"')


class Rule(NamedTuple):
    """An alert."""

    name: str
    expression: str


def rules() -> list[Rule]:
    """Return all alerts."""
    [group] = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())["groups"]
    return [Rule(rule["alert"], rule["expr"]) for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    return json.loads((DEPLOY / "grafana/srx.json").read_text())


def queries() -> list[str]:
    """Return each query of the dashboard."""
    return [t["expr"] for panel in dashboard()["panels"] for t in panel["targets"]]


def panels() -> list[Any]:
    """Return each with nothing left to choose, for a test of its own."""
    return [
        pytest.param(_chosen(query), id=f"{k}") for k, query in enumerate(queries())
    ]


def _chosen(expression: str) -> str:
    chosen = expression.replace("$__rate_interval", "1m")
    return re.sub(r"\$\w+", ".*", chosen)


def selectors(expression: str) -> Iterator[str]:
    """Yield what a query looks for, one selector for each of several values."""
    for name, inside in _SELECTOR.findall(expression):
        matchers = [_exactly(*matcher) for matcher in _MATCHER.findall(inside)]
        choices: list[list[str]] = [[]]
        for values in matchers:
            choices = [[*chosen, value] for chosen in choices for value in values]
        for chosen in choices:
            yield f"{name}{{{','.join(chosen)}}}"


def _exactly(label: str, how: str, value: str) -> list[str]:
    if how == "=" or value == ".*":
        return [f'{label}{how}"{value}"']
    return [f'{label}="{each}"' for each in value.split("|")]


def tool(name: str) -> str:
    """Return where a program of Prometheus is; tests that lack it are not run."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name}: install Debian's package prometheus")
    return path


class Prometheus:
    """A running one, its HTTP interface at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **parameters: str) -> Any:
        url = f"{self.url}/api/v1/{path}"
        answer = httpx.get(url, params=parameters, timeout=10.0, verify=False)
        told = answer.json()
        assert told["status"] == "success", told
        return told["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        return self.ask("query", query=expression)["result"]

    def wait_for(self, expression: str) -> list[dict[str, Any]]:
        """Ask until something is found."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not (found := self.query(expression)):
            assert time.monotonic() < deadline_s, f"nothing is found: {expression}"
            time.sleep(0.05)
        return found

    def is_ready(self) -> bool:
        try:
            url = f"{self.url}/-/ready"
            return httpx.get(url, timeout=10.0, verify=False).is_success
        except httpx.TransportError:
            return False


@contextlib.contextmanager
def scraping(target: str, folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus on the configuration in deploy/, hurried, for one service."""
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text())
    [job] = config["scrape_configs"]
    job["static_configs"] = [{"targets": [target]}]
    job["scrape_interval"] = job["scrape_timeout"] = "250ms"
    config["global"] = {"evaluation_interval": "250ms"}
    config["rule_files"] = [str(DEPLOY / "prometheus/alerts.yaml")]
    path, port = folder / "prometheus.yaml", pick_port()
    path.write_text(yaml.safe_dump(config))
    words = [f"--config.file={path}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    words += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [tool("prometheus"), *words], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        prometheus = Prometheus(f"http://127.0.0.1:{port}")
        deadline_s = time.monotonic() + PATIENCE_S
        while not prometheus.is_ready():
            assert process.poll() is None, (folder / "prometheus.log").read_text()
            assert time.monotonic() < deadline_s, "Prometheus is not ready"
            time.sleep(0.05)
        yield prometheus
    finally:
        process.terminate()
        process.wait(30)
