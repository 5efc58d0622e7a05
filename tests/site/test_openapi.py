"""The OpenAPI as a page."""

import re

import pytest
import yaml

from docs.extensions.openapi import markdown
from tests.blocks import ROOT

API = yaml.safe_load((ROOT / "docs/reference/http-api.yaml").read_text())
PAGE = markdown(API)
REQUESTS = [
    f"{method.upper()} {path}"
    for path, methods in API["paths"].items()
    for method in methods
]


def section(title):
    return PAGE.split(f"### {title}\n")[1].split("\n#")[0]


@pytest.mark.parametrize("request_line", REQUESTS)
def test_every_request_has_a_section(request_line):
    method, path = request_line.split()
    told = section(f"`{request_line}`")
    for parameter in API["paths"][path][method.lower()].get("parameters", ()):
        assert f"| `{parameter['name']}`" in told
    assert "| `4XX` | application/problem+json: [Problem](#schema-problem) |" in told


def test_every_object_has_a_section_with_its_keys():
    for name, schema in API["components"]["schemas"].items():
        told = section(name)
        assert all(f"| `{key}`" in told for key in schema.get("properties", ()))


def test_every_object_that_is_named_is_told_of():
    named = set(re.findall(r"\(#(schema-\w+)\)", PAGE))
    assert named <= set(re.findall(r"^\((schema-\w+)\)=$", PAGE, re.M))
    assert "schema-acquisition" in named


def test_what_is_allowed_is_told_in_words():
    told = section("ArmBody")
    assert "| `series` | integer ≥ 1, ≤ 9007199254740991 or `open` | `1` |" in told
    assert "| `missing` | `fill` or `skip` or null |" in told
    assert "| `shape` | list of integer" in told
    assert "| `metadata` | object of [JsonValue](#schema-jsonvalue) | `{}` |" in told


def test_what_is_deprecated_is_told_so():
    assert "**Deprecated.**" in section("`GET /last_frame`")
    assert "**Deprecated.**" not in section("`GET /status`")


def test_a_table_is_not_broken_by_what_stands_in_it():
    schema = {"type": "string", "description": "a | b\nc", "pattern": "x"}
    api = {
        "info": {"description": "One."},
        "paths": {},
        "components": {"schemas": {"A": {"properties": {"k": schema}}}},
    }
    assert markdown(api).splitlines()[-1] == "| `k` | string |  | a \\| b c |"
