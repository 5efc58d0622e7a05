"""The schema describes the configuration as it is."""

import jsonschema
import pytest
import yaml

from srx_service import schema
from tests.generate import GENERATED, ROOT

ENTRY = {"class": "Eiger", "dcu_host_purple": "d", "data_port": 1, "dset_name": "/e/d"}


@pytest.fixture(scope="module")
def validator():
    return jsonschema.Draft202012Validator(schema.json_schema())


@pytest.mark.parametrize("name", GENERATED)
def test_what_is_kept_in_git_is_what_the_code_makes(name):
    text = (ROOT / name).read_text()
    assert GENERATED[name](text) == text, "run `python -m tests.generate`"


def test_the_schema_accepts_the_file_that_comes_with_it(validator):
    validator.validate(yaml.safe_load((ROOT / "detectors.yaml").read_text()))


@pytest.mark.parametrize(
    "keys", [{"nworker": 2}, {"class": "Egier"}, {"data_port": "1"}, {"socket": "push"}]
)
def test_the_schema_refuses_what_the_service_refuses(validator, keys):
    assert not validator.is_valid({"x": ENTRY | keys})


@pytest.mark.parametrize(
    "keys",
    [
        {"class": "a.b:C"},
        {"buffer_limit": "1 GiB"},
        {"mask": [[0, 1], [0, 1]]},
        {"tot": None},
    ],
)
def test_the_schema_accepts_what_the_service_accepts(validator, keys):
    assert validator.is_valid({"x": ENTRY | keys})


def test_every_key_has_a_description():
    keys = schema.json_schema()["$defs"]["DetectorConfig"]["properties"]
    assert [
        name for name, key in keys.items() if len(key.get("description", "")) < 20
    ] == []


def test_the_file_that_comes_with_it_names_the_schema():
    first = (ROOT / "detectors.yaml").read_text().splitlines()[0]
    path = first.removeprefix("# yaml-language-server: $schema=")
    assert (ROOT / path).is_file()
