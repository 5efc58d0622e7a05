"""Lets documents link to any file of the checkout, as they do where git shows them.

A document outside of docs/ that is a page of the site is linked as this page; other
files are downloads, as MyST makes them; a folder that is no page is only named.
"""

import os
import re
from functools import partial
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
PAGES = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "benchmarks/README.md": "project/benchmarks.md",
    "deploy/helm/srx/README.md": "project/helm-chart.md",
    "examples/README.md": "project/examples.md",
    "examples/ipython_profile/README.md": "project/ipython-profile.md",
    "Internals.md": "explanations/internals.md",
    "README.md": "index.md",
}
"""Documents of the checkout, and the pages in docs/ that include or stand for them."""
_LINK = re.compile(
    r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<to>[^()\s:#]+)(?P<at>#\S*?)?\)"
)


def setup(app: Sphinx) -> dict[str, bool]:
    """Have links changed in every document that is read."""
    app.connect("source-read", _read)
    app.connect("include-read", _include)
    return {"parallel_read_safe": True}


def _read(app: Sphinx, docname: str, content: list[str]) -> None:
    folder = Path(app.env.doc2path(docname)).parent
    content[0] = relinked(content[0], folder, folder)


def _include(app: Sphinx, path: Path, _: str, content: list[str]) -> None:
    folder = Path(app.env.doc2path(app.env.docname)).parent
    content[0] = relinked(content[0], (app.srcdir / path).resolve().parent, folder)


def relinked(text: str, written_in: Path, shown_in: Path) -> str:
    """Return a document's text with its links as the site needs them.

    Args:
        text: Markdown.
        written_in: The folder of the file, to which its links are relative.
        shown_in: The folder of the page.
    """
    return _LINK.sub(partial(_link, written_in=written_in, shown_in=shown_in), text)


def _link(link: re.Match[str], *, written_in: Path, shown_in: Path) -> str:
    target = Path(os.path.normpath(written_in / link["to"]))
    if target.is_dir():
        pages = [page for page in map(_page, target.glob("*.md")) if page]
        if not pages:
            return link["text"]
        target = pages[0]
    shown = os.path.relpath(_page(target) or target, shown_in)
    return f"{link['image']}[{link['text']}]({shown}{link['at'] or ''})"


def _page(path: Path) -> Path | None:
    """Return the page of a document, if it has one."""
    name = os.path.relpath(path, ROOT)
    if name in PAGES:
        return ROOT / "docs" / PAGES[name]
    is_page = path.is_relative_to(ROOT / "docs") and path.name == "index.md"
    return path if is_page else None
