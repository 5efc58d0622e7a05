"""Paths that every reader understands, and where readers find the service's files."""

import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

PathMap = Mapping[str, str] | Sequence[tuple[str, str]]

UNSAFE = re.compile(r"[^A-Za-z0-9._/+=@-]")
"""All else is kept out of file names: readers of a URI differ on what %20 means."""
SUFFIXES = (".h5", ".hdf5", ".nxs")
LONGEST_NAME = 255
"""In bytes, as Linux's file systems have it."""
LONGEST_PATH = 4095
"""In bytes: Linux's PATH_MAX counts the NUL at the end."""
LONGEST_WORD = 64
"""Of what is put into a path, so that a title of many words does not fill it."""


def check_path(path: str, what: str) -> None:
    """Raise ValueError unless it is absolute, without `..` and unsafe characters."""
    if not path.startswith("/"):
        raise ValueError(f"{what}: must begin with /, as the service sees it")
    parts = PurePosixPath(path).parts
    if ".." in parts:
        raise ValueError(f"{what}: must not contain ..")
    if found := UNSAFE.search(path):
        raise ValueError(
            f"{what}: the character {found.group()!r} cannot be in a file's name; "
            "letters, digits and . _ / + = @ - can"
        )
    if len(path) > LONGEST_PATH or max(map(len, parts)) > LONGEST_NAME:
        raise ValueError(
            f"{what}: {path:.80}… is too long; a path may have {LONGEST_PATH} bytes, "
            f"a name in it {LONGEST_NAME}"
        )


def safe_word(text: str) -> str:
    """Return the text as it may stand in a file's name, never empty.

    It does not begin with a dot, which hides a file, nor with a dash, which shell
    commands take for an option.
    """
    word = re.sub(r"\.\.+", ".", UNSAFE.sub("_", text).replace("/", "_"))
    return (word if word and word[0] not in ".-" else f"_{word}")[:LONGEST_WORD]


def plain_path(path: str) -> str:
    """Return the path with one slash wherever it has more, and none at its end."""
    plain = str(PurePosixPath(path))
    return f"/{plain.lstrip('/')}" if plain.startswith("/") else plain


def with_suffix(path: str) -> str:
    """Return the path of an HDF5 file: with .h5 unless it has one of our suffixes."""
    return path if path.endswith(SUFFIXES) else f"{path}.h5"


def split_suffix(path: str) -> tuple[str, str]:
    """Return the path without its suffix, and that; empty when it has none of ours."""
    suffix = PurePosixPath(path).suffix
    return (path.removesuffix(suffix), suffix) if suffix in SUFFIXES else (path, "")


def another_path(path: str) -> str:
    """Return a path like this one that no file has: "/data/a_1f0c92d3.h5"."""
    stem, suffix = split_suffix(path)
    return f"{stem}_{uuid.uuid4().hex[:8]}{suffix}"


def check_map(path_map: PathMap | None) -> tuple[tuple[str, str], ...]:
    """Return the pairs of prefixes, the longest first.

    Raises:
        ValueError: A prefix cannot be one of a safe absolute path.
    """
    pairs = path_map.items() if isinstance(path_map, Mapping) else path_map or ()
    for pair in pairs:
        for path in pair:
            check_path(path, f"path_map {path!r}")
    # By parts: a slash too many makes no prefix longer.
    return tuple(
        sorted(pairs, key=lambda pair: len(PurePosixPath(pair[0]).parts), reverse=True)
    )


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
