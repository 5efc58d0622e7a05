"""Docstrings in Google's style for autodoc, by Napoleon's parser.

Napoleon as an extension takes what stands before a colon in a field's docstring for its
type. Here types are annotations, and a field's docstring is plain text.
"""

from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon.docstring import GoogleDocstring

FIELDS = ("attribute", "property", "data")


def setup(app: Sphinx) -> dict[str, bool]:
    """Have docstrings of modules, classes and functions read."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", _read)
    return {"parallel_read_safe": True}


def _read(
    _app: Sphinx,
    what: Any,  # noqa: ANN401  one of autodoc's words
    name: str,
    it: object,
    _: object,
    lines: list[str],
) -> None:
    if what not in FIELDS:
        lines[:] = GoogleDocstring(lines, what=what, name=name, obj=it).lines()
