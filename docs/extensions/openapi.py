"""An OpenAPI file as a page that needs no script and can be searched.

Where a document has `<!-- openapi: FILE -->`, FILE beside it is put in as Markdown.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from sphinx.application import Sphinx

Json = Any
"""A part of the file: foreign JSON."""
BOUNDS = {
    "minimum": "≥",
    "exclusiveMinimum": ">",
    "maximum": "≤",
    "exclusiveMaximum": "<",
}
_MARK = re.compile(r"<!-- openapi: (\S+) -->")


def setup(app: Sphinx) -> dict[str, bool]:
    """Have the mark replaced in every document that has one."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}


def _read(app: Sphinx, docname: str, content: list[str]) -> None:
    folder = Path(app.env.doc2path(docname)).parent

    def page(mark: re.Match[str]) -> str:
        app.env.note_dependency(folder / mark[1], docname=docname)
        return markdown(yaml.safe_load((folder / mark[1]).read_text()))

    content[0] = _MARK.sub(page, content[0])


def markdown(api: Json) -> str:
    """Return a page: every request with what it takes and answers, then the objects."""
    requests: dict[str, list[str]] = {}
    for path, methods in api["paths"].items():
        for method, request in methods.items():
            lines = requests.setdefault(request["tags"][0], [])
            lines += _request(f"{method.upper()} {path}", request)
    lines = [api["info"]["description"]]
    for tag, about in requests.items():
        lines += ["", f"## {tag.capitalize()}", *about]
    lines += ["", "## Objects"]
    for name, schema in api["components"]["schemas"].items():
        lines += _object(name, schema)
    return "\n".join(lines)


def _request(title: str, request: Json) -> Iterator[str]:
    yield from ("", f"### `{title}`", "")
    if request.get("deprecated"):
        yield from ("**Deprecated.**", "")
    yield request["description"]
    parameters = request.get("parameters", [])
    if parameters:
        yield from _table("parameter", "in", "type", "default", "meaning")
    for one in parameters:
        name = f"`{one['name']}`" + (" (required)" if one["required"] else "")
        meaning = one.get("description", "")
        yield _row(
            name, one["in"], _type(one["schema"]), _default(one["schema"]), meaning
        )
    body = request.get("requestBody")
    if body is not None:
        yield from ("", f"Body: {_content(body['content'])}")
    yield from _table("answer", "with")
    for status, answer in request["responses"].items():
        what = _content(answer.get("content", {})) or answer["description"]
        yield _row(f"`{status}`", what)


def _object(name: str, schema: Json) -> Iterator[str]:
    yield from ("", f"(schema-{name.lower()})=", f"### {name}", "")
    yield schema.get("description") or "Any JSON."
    properties = schema.get("properties", {})
    if not properties:
        return
    yield from _table("key", "type", "default", "meaning")
    required = schema.get("required", ())
    for key, value in properties.items():
        title = f"`{key}`" + (" (required)" if key in required else "")
        yield _row(title, _type(value), _default(value), value.get("description", ""))


def _content(content: Json) -> str:
    return ", ".join(
        f"{kind}: {_type(about.get('schema', {}))}" for kind, about in content.items()
    )


def _type(schema: Json) -> str:
    """Return a type in words, objects as links to where they are told of."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#schema-{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        allowed = schema.get("enum") or [schema["const"]]
        return " or ".join(f"`{value}`" for value in allowed)
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    values = schema.get("additionalProperties")
    if kind == "object" and isinstance(values, dict):
        return f"object of {_type(values)}"
    bounds = [f"{sign} {schema[b]:.16g}" for b, sign in BOUNDS.items() if b in schema]
    return " ".join([kind, ", ".join(bounds)]).strip()


def _default(schema: Json) -> str:
    return f"`{json.dumps(schema['default'])}`" if "default" in schema else ""


def _table(*columns: str) -> Iterator[str]:
    yield from ("", _row(*columns), _row(*["---"] * len(columns)))


def _row(*cells: str) -> str:
    joined = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(joined)} |"
