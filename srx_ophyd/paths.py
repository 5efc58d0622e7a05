"""Where a staging's file is written, and where readers find it."""

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import PurePosixPath

PathMap = Mapping[str, str] | Sequence[tuple[str, str]]

UNSAFE = re.compile(r"[^A-Za-z0-9._/+=@-]")
"""All else is kept out of file names: readers of a URI differ on what %20 means."""
FIELDS = re.compile(r"\{(\w*)\}")
ALLOWED_FIELDS = ("name", "uid8", "date")
SUFFIXES = (".h5", ".hdf5", ".nxs")


def check_template(template: str) -> str:
    """Return the template, known to make safe absolute paths.

    Args:
        template: strftime's codes and {name}, {uid8}, {date}:
            "/data/%Y/{name}_{uid8}.h5".

    Raises:
        ValueError: It is not absolute, names an unknown field or has unsafe characters.
    """
    unknown = set(FIELDS.findall(template)) - set(ALLOWED_FIELDS)
    if unknown:
        raise ValueError(
            f"write_path_template {template!r}: unknown field {{{unknown.pop()}}}, "
            f"there are {', '.join(f'{{{field}}}' for field in ALLOWED_FIELDS)}"
        )
    example = _expand(template, "name", "0" * 8, datetime(2000, 1, 1))
    check_path(example, f"write_path_template {template!r}")
    return template


def check_path(path: str, what: str) -> None:
    """Raise ValueError unless it is absolute, without `..` and unsafe characters."""
    if not path.startswith("/"):
        raise ValueError(f"{what}: must begin with /, as the service sees it")
    if ".." in PurePosixPath(path).parts:
        raise ValueError(f"{what}: must not contain ..")
    if found := UNSAFE.search(path):
        raise ValueError(
            f"{what}: the character {found.group()!r} cannot be in a file's name; "
            "letters, digits and . _ / + = @ - can"
        )


def write_path(template: str, name: str, now: datetime) -> str:
    """Return a new path: never the same twice, whatever the template says."""
    uid8 = uuid.uuid4().hex[:8]
    if "{uid8}" not in template:
        path = PurePosixPath(template)
        suffix = path.suffix if path.suffix in SUFFIXES else ""
        stem = template.removesuffix(suffix)
        template = f"{stem}{'' if stem.endswith('/') else '_'}{{uid8}}{suffix}"
    path = _expand(template, UNSAFE.sub("_", name).replace("/", "_"), uid8, now)
    return path if path.endswith(SUFFIXES) else f"{path}.h5"


def _expand(template: str, name: str, uid8: str, now: datetime) -> str:
    fields = {"name": name, "uid8": uid8, "date": f"{now:%Y-%m-%d}"}
    # strftime before the fields: a % in a device's name is no code.
    return FIELDS.sub(lambda match: fields[match.group(1)], now.strftime(template))


def check_map(path_map: PathMap | None) -> tuple[tuple[str, str], ...]:
    """Return the pairs of prefixes, the longest first.

    Raises:
        ValueError: A prefix cannot be one of a safe absolute path.
    """
    pairs = path_map.items() if isinstance(path_map, Mapping) else path_map or ()
    for pair in pairs:
        for path in pair:
            check_path(path, f"path_map {path!r}")
    return tuple(sorted(pairs, key=lambda pair: len(pair[0]), reverse=True))


def reader_path(path: str, pairs: Sequence[tuple[str, str]]) -> str:
    """Return the service's path as readers see it; `pairs` as from `check_map`."""
    whole = PurePosixPath(path)
    for ours, theirs in pairs:
        if whole.is_relative_to(ours):
            return str(PurePosixPath(theirs) / whole.relative_to(ours))
    return path


def file_uri(path: str) -> str:
    """Return the URI of a path; what passed `check_path` needs no quoting."""
    return f"file://localhost{path}"
