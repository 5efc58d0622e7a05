"""The text of deploy/compose/: a file for each detector of detectors.yaml."""

import re
from pathlib import Path

from srx_service import config
from srx_service.config import DetectorConfig

ROOT = Path(__file__).parents[2]
DETECTORS = ROOT / "detectors.yaml"
_ENTRY = re.compile(r"^(?P<comment>(?:#.*\n)+)(?P<name>[\w-]+):\n", re.M)


def names() -> list[str]:
    """Return the entries that stand for a detector: not those to try srx with."""
    return [name for name in config.load(DETECTORS) if not name.startswith("dummy")]


def path(name: str) -> str:
    """Return where the file of an entry is, as tests/generate.py names files."""
    return f"deploy/compose/{name}.yaml"


def text(name: str) -> str:
    """Return the compose file of an entry."""
    entry = config.load(DETECTORS)[name]
    kept = ["state", "cache"] if entry.pipeline else ["state"]
    mounts = ", ".join(f"{volume}:/{volume}" for volume in kept)
    volumes = "\n".join(f"  {volume}: {{}}" for volume in kept)
    return f"""\
# Made from detectors.yaml by `python -m tests.generate`.
{_comment(name)}\
#   docker compose -f {path(name)} up -d
name: srx-{name}
services:
  {name}:
    extends: {{ file: receiver.yaml, service: receiver }}
    command: run /etc/srx/detectors.yaml {name}
    environment: {{ SRX_READY: "{_ready(entry)}" }}
    volumes: [{mounts}]
volumes:
{volumes}
"""


def _comment(name: str) -> str:
    """Return what stands above the entry."""
    found = _ENTRY.finditer(DETECTORS.read_text())
    [comment] = [match["comment"] for match in found if match["name"] == name]
    return comment


def _ready(entry: DetectorConfig) -> str:
    return f"http://127.0.0.1:{entry.api_port}/readyz"
