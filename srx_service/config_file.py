"""A YAML file of entries, read safely, and in words what is wrong with it.

YAML itself lets a key that is given twice win silently; here it is a problem.
"""

import difflib
import reprlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from srx_service.errors import ConfigError

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200
Model = TypeVar("Model", bound=BaseModel)
Keys = tuple[str, ...]


@dataclass(slots=True)
class Document:
    """What a YAML file holds, where it stands in it, and what is wrong with it."""

    path: Path
    entries: dict[Any, Any] = field(default_factory=dict)
    """As the file has them: neither names nor values are checked yet."""
    lines: dict[Keys, int] = field(default_factory=dict)
    """The line of each key, from 1: {("dummy-eiger", "nworkers"): 12}."""
    problems: list[tuple[Keys, str]] = field(default_factory=list)
    """The keys concerned, outermost first, and what is wrong with them."""

    def add(self, text: str, *keys: str) -> None:
        """Note a problem."""
        self.problems.append((keys, text))

    def raise_problems(self, name: str | None = None) -> None:
        """Raise what was found, all of it or that of one entry.

        Raises:
            ConfigError: One problem a line, each with its place in the file.
        """
        found = [
            f"{self._where(keys)}: {text}"
            for keys, text in sorted(self.problems, key=self._line)
            if name is None or keys[0] == name
        ]
        if found:
            raise ConfigError("\n".join(found))

    def _line(self, problem: tuple[Keys, str]) -> int:
        keys = problem[0]
        return self.lines.get(keys) or self.lines.get(keys[:1], 0)

    def _where(self, keys: Keys) -> str:
        return f"{self.path}:{self._line((keys, ''))}: {': '.join(keys)}"


def read(path: Path) -> Document:
    """Read a file of entries.

    Raises:
        ConfigError: It cannot be read, is no YAML, or holds no entries.
    """
    document = Document(path)
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode) or not root.value:
            raise ConfigError(f"{path}: should hold entries: `name:` and below it keys")
        _note_keys(document, root)
        document.entries = loader.construct_document(root)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text: {error}") from error
    except (yaml.YAMLError, RecursionError, ValueError, AttributeError) as error:
        # PyYAML's own, at `!!timestamp x`, is an AttributeError
        raise ConfigError(f"{path}: is not YAML: {error}") from error
    return document


def validate(document: Document, name: object, model: type[Model]) -> Model | None:
    """Return an entry as its type; None when it has problems, which are noted."""
    entry = document.entries[name]
    if not isinstance(name, str):
        document.add("the name of an entry should be text", str(name))
        return None
    if not isinstance(entry, dict):
        document.add("should hold keys, each `key: value`", name)
        return None
    try:
        return model.model_validate(entry, by_alias=True, by_name=False)
    except ValidationError as error:
        known = [field.alias or key for key, field in model.model_fields.items()]
        for keys, text in _explain(error, known):
            document.add(text, name, *keys)
    return None


def nearest(word: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" when a known word is near, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _note_keys(document: Document, root: yaml.MappingNode) -> None:
    """Note where each key of the two levels stands, and those given twice."""
    for name, key, value in _keys(root):
        _note(document, key, name)
        if isinstance(value, yaml.MappingNode):
            for inner_name, inner_key, _ in _keys(value):
                _note(document, inner_key, name, inner_name)


def _keys(node: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    for key, value in node.value:
        # `<<: *other` may stand more than once and is no key of its own.
        if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge"):
            yield key.value, key, value


def _note(document: Document, key: yaml.Node, *keys: str) -> None:
    line = key.start_mark.line + 1
    first = document.lines.setdefault(keys, line)
    if first != line:
        document.add(f"given twice, in line {line} again", *keys)


def _explain(error: ValidationError, known: list[str]) -> Iterator[tuple[Keys, str]]:
    """Yield what is wrong with each key; the branches of a union are one problem."""
    by_key: dict[Keys, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        by_key.setdefault(tuple(map(str, detail["loc"][:1])), []).append(detail)
    for keys, details in by_key.items():
        yield keys, _text(details, keys, known)


def _text(details: list[ErrorDetails], keys: Keys, known: list[str]) -> str:
    kind, value = details[0]["type"], details[0]["input"]
    if kind == "extra_forbidden":
        hint = nearest(keys[0], known)
        return f"unknown key{hint}; allowed are: {', '.join(sorted(known))}"
    if kind == "missing":
        return "this key is required"
    wanted = dict.fromkeys(
        detail["msg"].replace("Input should", "should") for detail in details
    )
    text = " or ".join(wanted)
    is_told = not isinstance(value, BaseModel | dict)
    return f"{text}, not {_told(value)}" if is_told else text


def _told(value: object) -> str:
    """Return a value in a few words: lists may hold one another, numbers any digits."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # more digits than Python turns into text
        return "a number of thousands of digits"
