"""Templates of paths: text with strftime's codes and fields in braces."""

import difflib
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from srx_ophyd.paths import (
    UNSAFE,
    check_path,
    plain_path,
    safe_word,
    split_suffix,
    with_suffix,
)

FIELD = re.compile(
    r"\{(?P<key>[^{}\[\].:!]+)"
    r"(?P<inner>(?:\[[^{}\[\]]+\]|\.[^{}\[\].:!]+)*)"
    r"(?::(?P<format>[^{}]*))?\}"
)
"""{sample}, {sample[name]} or {sample.name}, {scan_id:05d}."""
INNER = re.compile(r"\[([^\]]+)\]|\.([^\[.]+)")
OWN_FIELDS = ("name", "date", "time", "uid", "uid8")
UIDS = ("uid", "uid8")
DEFAULT_FORMATS = {"date": "%Y-%m-%d", "time": "%H-%M-%S"}
NAMED_AT_MOST = 20
"""Keys that an error lists."""
EXAMPLE_TIME = datetime(2000, 1, 1)


class TemplateError(ValueError):
    """A template that makes no path; the text says what is allowed instead."""


@dataclass(frozen=True, slots=True)
class Field:
    """One pair of braces."""

    text: str
    """As the template has it: "{sample[name]}"."""
    key: str
    inner: tuple[str, ...]
    """Keys below the first one."""
    format: str

    @property
    def is_own(self) -> bool:
        """True when it is none of the metadata's."""
        return self.key in OWN_FIELDS and not self.inner


class PathTemplate:
    """Makes paths from a text, such as "/data/%Y/{sample}/{name}_{scan_id:05d}.h5".

    Args:
        text: The template.
        has_md: There is metadata: other fields than our own may come from it.

    Raises:
        TemplateError: It cannot make a safe absolute path.
    """

    def __init__(self, text: str, *, has_md: bool) -> None:
        self.text = text
        self._what = f"write_path_template {text!r}"
        pieces = [*_pieces(text)]
        fields = [piece for piece in pieces if isinstance(piece, Field)]
        for field in fields:
            self._check_field(field, has_md)
        self.has_scan_id = any(field.key == "scan_id" for field in fields)
        has_uid = any(field.is_own and field.key in UIDS for field in fields)
        if text.endswith("/") or not has_uid:
            pieces = [*_pieces(_with_uid8(text))]
        self._pieces = pieces
        self._check_example()

    def path(self, name: str, now: datetime, md: Mapping[str, Any]) -> str:
        """Return a new path, never the same twice.

        Args:
            name: The device's.
            now: What strftime's codes, {date} and {time} tell.
            md: What the other fields are taken from.

        Raises:
            TemplateError: A field is not in the metadata, or is no text and no number.
        """
        uid = uuid.uuid4().hex
        own = {"name": name, "date": now, "time": now, "uid": uid, "uid8": uid[:8]}
        words = []
        for piece in self._pieces:
            if isinstance(piece, str):
                # Names of months and days may have any letters.
                words.append(UNSAFE.sub("_", now.strftime(piece)))
            else:
                value = own[piece.key] if piece.is_own else self._find(piece, md)
                words.append(safe_word(self._format(piece, value)))
        return self._checked("".join(words))

    def _check_field(self, field: Field, has_md: bool) -> None:
        if not (field.is_own or has_md):
            own = ", ".join(f"{{{name}}}" for name in OWN_FIELDS)
            raise TemplateError(
                f"{self._what}: unknown field {field.text}, there are {own}; with "
                "md=RE.md also {scan_id} and whatever is in the metadata"
            )
        if field.is_own and field.key in UIDS and field.format:
            raise TemplateError(f"{self._what}: {field.text} takes no format")
        if field.is_own:
            example = EXAMPLE_TIME if field.key in DEFAULT_FORMATS else "name"
            self._format(field, example)
        elif field.key == "scan_id" and not field.inner:
            self._format(field, 1)

    def _check_example(self) -> None:
        words = []
        for piece in self._pieces:
            if isinstance(piece, str):
                # Before strftime, which ends at a NUL, and after it: %c has blanks.
                self._checked(f"/{piece.replace('%', '')}")
                words.append(EXAMPLE_TIME.strftime(piece))
            else:
                words.append("x")
        self._checked("".join(words))

    def _checked(self, path: str) -> str:
        path = with_suffix(plain_path(path))
        try:
            check_path(path, self._what)
        except ValueError as error:
            raise TemplateError(str(error)) from None
        return path

    def _find(self, field: Field, md: Mapping[str, Any]) -> object:
        value: Any = md
        where = "the metadata"
        for key in (field.key, *field.inner):
            if not isinstance(value, Mapping):
                kind = type(value).__name__
                raise TemplateError(
                    f"{self._what}: {field.text} is not there, {where} is a {kind}"
                )
            if key not in value:
                why = _lacks(where, key, value)
                raise TemplateError(f"{self._what}: {field.text} is not there, {why}")
            value, where = value[key], f"{where}[{key!r}]"
        return value

    def _format(self, field: Field, value: object) -> str:
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, Mapping) and value:
            kinds = f"name one of what it holds, {{{field.key}[{next(iter(value))}]}}"
        else:
            kinds = "text and numbers can be in a file's name"
        if not isinstance(value, str | int | float | datetime):
            kind = type(value).__name__
            raise TemplateError(f"{self._what}: {field.text} is a {kind}; {kinds}")
        default = DEFAULT_FORMATS.get(field.key, "") if field.is_own else ""
        try:
            return format(value, field.format or default)
        except ValueError as error:
            raise TemplateError(
                f"{self._what}: {field.text} cannot format {value!r:.40}: {error}"
            ) from None


def _pieces(text: str) -> Iterator[str | Field]:
    end = 0
    for match in FIELD.finditer(text):
        if match.start() > end:
            yield text[end : match.start()]
        inner = tuple(a or b for a, b in INNER.findall(match["inner"]))
        yield Field(match[0], match["key"], inner, match["format"] or "")
        end = match.end()
    if end < len(text):
        yield text[end:]


def _with_uid8(text: str) -> str:
    stem, suffix = split_suffix(text)
    return f"{stem}{'' if stem.endswith('/') else '_'}{{uid8}}{suffix}"


def _lacks(where: str, key: str, there: Mapping[str, Any]) -> str:
    names = sorted(map(str, there))
    has = ", ".join(map(repr, names[:NAMED_AT_MOST])) or "nothing"
    if len(names) > NAMED_AT_MOST:
        has += ", …"
    near = difflib.get_close_matches(key, names, 1)
    return f"{where} has {has}" + (f"; did you mean {near[0]!r}?" if near else "")
