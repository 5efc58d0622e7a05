"""The Helm chart, rendered in a process of its own: Helm is a library in Go."""

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from srx_service import schema

CHART = Path(__file__).parents[2] / "deploy/helm/srx"
NOTES = "srx/templates/NOTES.txt"


class Rendered(NamedTuple):
    """What the chart makes of values."""

    objects: list[dict[str, Any]]
    notes: str
    """What Helm prints for people."""

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return all objects of a kind, in the order of their names."""
        found = [o for o in self.objects if o["kind"] == kind]
        return sorted(found, key=lambda found: found["metadata"]["name"])

    def one(self, kind: str, end: str = "") -> dict[str, Any]:
        """Return the only object of a kind whose name ends so."""
        [found] = [o for o in self.of(kind) if o["metadata"]["name"].endswith(end)]
        return found


class Refused(Exception):
    """Helm's own text: what is wrong with the values."""


class Helm:
    """Helm's commands, called in another process."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def render(self, values: dict[str, Any] | None = None) -> Rendered:
        """Return what `helm template srx deploy/helm/srx -n beamline` makes.

        Raises:
            Refused: The values cannot be used.
        """
        files = self._pool.submit(_render, values or {}).result()
        if isinstance(files, str):
            raise Refused(files)
        notes = files.pop(NOTES, "")
        loaded = [
            found
            for text in files.values()
            for found in yaml.load_all(text, yaml.CSafeLoader)
        ]
        return Rendered([found for found in loaded if found], notes)

    def read(self, text: str) -> dict[str, Any]:
        """Return values as Helm reads them from a file: its YAML is not Python's."""
        return self._pool.submit(_read, text).result()

    def lint(self, values: dict[str, Any]) -> list[str]:
        """Return what `helm lint --strict` finds, but what is only advice."""
        return self._pool.submit(_lint, values).result()


@contextmanager
def helm() -> Iterator[Helm]:
    """Yield Helm for as long as needed.

    Go's threads and signal handlers stay out of the process of the tests, which forks.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        found = Helm(pool)
        found.render()  # the process is there now, and not first during a test
        yield found


def _render(values: dict[str, Any]) -> dict[str, str] | str:
    from helm_python import Chart, HelmError

    try:
        with Chart.load(CHART) as chart:
            chart.validate_schema(values)
            return chart.render(values, name="srx", namespace="beamline")
    except HelmError as error:
        return str(error)


def _read(text: str) -> dict[str, Any]:
    from helm_python import values_from_yaml

    return values_from_yaml(text)


def _lint(values: dict[str, Any]) -> list[str]:
    from helm_python import lint

    report = lint(CHART, values, strict=True)
    advice = 1  # helm's levels: unknown, info, warning, error
    found = [m["error"] for m in report["messages"] if m["severity"] != advice]
    return [*found, *report["errors"]]


def alerts_text(_: str) -> str:
    """Return the alerts as a chart can have them: in its own folder."""
    return (CHART.parents[1] / "prometheus/alerts.yaml").read_text()


def schema_text(text: str) -> str:
    """Return values.schema.json with the keys of detectors.yaml put in."""
    document = json.loads(text)
    document["$defs"]["entry"] = schema.json_schema()["$defs"]["DetectorConfig"]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
