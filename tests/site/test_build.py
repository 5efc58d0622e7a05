"""The site of the documents: it builds, and all of it can be reached without a CDN."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.blocks import ROOT

DOCS = ROOT / "docs"
PATIENCE_S = 110
LOADED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("link", "href")}
"""Where a browser fetches what it is told without being asked."""
SMALLEST = 60
"""Pages; fewer would mean that whole folders were passed over."""


class Page(HTMLParser):
    """What a page of the site links to, loads, and can be linked at."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors = {"", "top"}
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)
                if (tag, name) in LOADED:
                    self.loads.append(value)

    def targets(self):
        """Each link to another file of the site, with its anchor."""
        for link in self.links:
            parts = urlsplit(link)
            if not parts.scheme and not parts.netloc:
                path = (self.path.parent / unquote(parts.path)).resolve()
                yield link, path if parts.path else self.path, unquote(parts.fragment)


def build(folder):
    """Build into a folder, with warnings as errors."""
    words = ["-q", "-W", "--keep-going", "-E", "-d", str(folder / "trees")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *words, str(DOCS), str(folder / "site")],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return folder / "site"


def broken(pages):
    """Links of the site that lead nowhere, each with the page it is on."""
    for page in pages.values():
        for link, path, anchor in page.targets():
            there = pages.get(path)
            if not path.is_file() or (there and anchor not in there.anchors):
                yield page.path.name, link


def test_the_site_builds_and_every_page_and_link_of_it_is_there(tmp_path):
    """One test, since the build takes most of its time."""
    site = build(tmp_path)
    found = (p for p in site.resolve().rglob("*.html") if "_static" not in p.parts)
    pages = {path: Page(path) for path in found}
    assert sorted(set(broken(pages))) == []
    fetched = [link for page in pages.values() for link in page.loads]
    assert [link for link in fetched if urlsplit(link).netloc] == []
    styles = [path.read_text() for path in (site / "_static").rglob("*.css")]
    assert not any("url(http" in style or "url(//" in style for style in styles)
    sources = [*DOCS.rglob("*.md"), *DOCS.rglob("*.rst")]
    names = [path.relative_to(DOCS).with_suffix(".html") for path in sources]
    assert [str(name) for name in names if site.resolve() / name not in pages] == []
    assert len(names) >= SMALLEST
