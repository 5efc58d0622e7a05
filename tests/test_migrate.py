"""docs/how-to/migrate.md leaves out nothing that the predecessor had."""

import pytest
import yaml

from srx_service.config import DetectorConfig
from tests.blocks import ROOT

PAGE = (ROOT / "docs/how-to/migrate.md").read_text()
SMALLEST = {
    "class": "Detector",
    "dcu_host_purple": "127.0.0.1",
    "data_port": 20001,
    "dset_name": "/entry/data/data",
}
DEFAULTS = {"required": None, "the protocol's": [], "none": None}
"""Words of the page."""


def rows(heading):
    """The cells of the table under a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize("row", rows("Key by key"), ids=lambda row: row[0].strip(" `"))
def test_each_key_is_there_with_the_default_it_had(row):
    key, default = row[0].strip("` "), row[1]
    schema = DetectorConfig.model_json_schema()
    assert key in schema["properties"]
    assert (key in schema["required"]) == (default == "required")
    if default != "required":
        found = DetectorConfig.model_validate(SMALLEST).public()[key]
        wanted = DEFAULTS[default] if default in DEFAULTS else yaml.safe_load(default)
        assert found == wanted or (found, wanted) == (None, [])


def test_no_key_of_the_predecessor_is_left_out():
    """Those that its README, detectors.yaml and classes name."""
    theirs = "class dcu_host_purple dcu_port_purple dset_name data_port api_port"
    theirs += " nworkers pipeline compress rotate mask tot"
    assert {row[0].strip("` ") for row in rows("Key by key")} == set(theirs.split())


def test_each_endpoint_of_the_predecessor_is_in_the_api():
    api = yaml.safe_load((ROOT / "docs/reference/http-api.yaml").read_text())
    own = {"/docs", "/openapi.json"}  # FastAPI's
    told = [row[0].strip("` ").split() for row in rows("Endpoint by endpoint")]
    theirs = {"/status", "/received_frames", "/downsample", "/last_frame"}
    assert {path for _, path in told} == theirs | own
    assert all(p in own or m.lower() in api["paths"][p] for m, p in told)
