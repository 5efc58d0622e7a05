"""The configuration described for machines and people: JSON schema and a table.

Editors check detectors.yaml against the schema while it is written.
"""

import json
from typing import Any

from pydantic import TypeAdapter

from srx_service.config import DetectorConfig
from srx_service.protocols import DECODERS
from srx_service.transforms import TRANSFORMS

TYPES = {
    "integer": "integer",
    "number": "number",
    "string": "text",
    "boolean": "`true` or `false`",
    "null": "`null`",
    "object": "mapping",
}


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a whole detectors.yaml."""
    schema = TypeAdapter(dict[str, DetectorConfig]).json_schema(by_alias=True)
    keys = schema["$defs"]["DetectorConfig"]["properties"]
    for name, default in DetectorConfig.model_construct().public().items():
        keys[name]["default"] = default
    for key in keys.values():
        del key["title"]
        key["description"] = " ".join(key["description"].split())
    _offer(keys["class"], list(DECODERS))
    _offer(keys["pipeline"], list(TRANSFORMS), {"type": "null"})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Detectors and the services that receive them",
        **schema,
    }


def json_text() -> str:
    """Return the JSON schema as the text that is kept in docs/reference."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def markdown() -> str:
    """Return all keys as a Markdown table, in the order of the model."""
    keys = json_schema()["$defs"]["DetectorConfig"]["properties"]
    rows = [
        f"| `{name}` | {_type(key)} | {_default(key)} | {_cell(key['description'])} |"
        for name, key in keys.items()
    ]
    head = ["| key | type | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def _offer(key: dict[str, Any], names: list[str], *also: dict[str, Any]) -> None:
    """Let editors offer the names of a table; a site's own class is allowed too."""
    key.pop("type", None)
    own = {"type": "string", "pattern": r"^[\w.]+:\w+$"}
    key["anyOf"] = [*([{"enum": names}] if names else []), own, *also]


def _default(key: dict[str, Any]) -> str:
    if "default" not in key:
        return "*required*"
    return f"`{json.dumps(key['default'])}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _type(key: dict[str, Any]) -> str:
    if "anyOf" in key:
        return " or ".join(dict.fromkeys(_type(branch) for branch in key["anyOf"]))
    if "enum" in key:
        return " or ".join(f"`{value}`" for value in key["enum"])
    if "const" in key:
        return f"`{key['const']}`"
    if "items" in key:
        return f"list of {_type(key['items'])}"
    if "pattern" in key:
        return "`module:Class`"
    return TYPES[key["type"]]
