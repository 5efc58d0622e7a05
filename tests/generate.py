"""Write anew what is generated from code: `python -m tests.generate`."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from srx_service import schema
from tests.deploy import chart, compose_files

ROOT = Path(__file__).parents[1]


def with_table(text: str) -> str:
    """Return docs/reference/configuration.md with the table of keys put in."""
    return _with_part(text, "keys", schema.markdown())


def with_flows(text: str) -> str:
    """Return docs/explanations/documents.md with newly recorded documents put in."""
    from tests.ophyd import flows  # runs plans: not for who wants another file

    return _with_part(text, "flows", f"\n{flows.markdown()}\n")


def _compose_file(name: str, _: str) -> str:
    return compose_files.text(name)


def _with_part(text: str, name: str, part: str) -> str:
    begin, end = f"<!-- generated: {name} -->\n", f"<!-- /generated: {name} -->"
    return re.sub(f"{begin}.*?{end}", lambda _: begin + part + end, text, flags=re.S)


GENERATED: dict[str, Callable[[str], str]] = {
    "docs/reference/detectors.schema.json": lambda _: schema.json_text(),
    "docs/reference/configuration.md": with_table,
    "docs/explanations/documents.md": with_flows,
    "deploy/helm/srx/files/alerts.yaml": chart.alerts_text,
    "deploy/helm/srx/values.schema.json": chart.schema_text,
    **{
        compose_files.path(name): partial(_compose_file, name)
        for name in compose_files.names()
    },
}
"""Files, and what makes their text out of the text they have."""


def main() -> None:
    """Write all of them."""
    for name, make in GENERATED.items():
        path = ROOT / name
        path.write_text(make(path.read_text() if path.exists() else ""))


if __name__ == "__main__":
    main()
