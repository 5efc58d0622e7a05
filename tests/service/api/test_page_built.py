"""The files of the page that are served, against what they are built from."""

import hashlib
import json
import re

from srx_service import api
from tests.blocks import ROOT

PAGE = ROOT / "srx_service" / "api" / "page"
SOURCE, STATIC = PAGE / "source", PAGE / "static"
SUMS = "built.sha256"
REMEDY = f"cd {SOURCE.relative_to(ROOT)} && npm ci && npm run build"


def built_from():
    """Return each file that was there when the page was built, and its sum then."""
    lines = (SOURCE / SUMS).read_text().splitlines()
    return {name: total for total, name in (line.split("  ") for line in lines)}


def files_now():
    sources = [path for path in SOURCE.iterdir() if path.is_file()]
    names = {path.name: path for path in sources if path.name != SUMS}
    return names | {f"../static/{path.name}": path for path in STATIC.iterdir()}


def test_the_page_was_built_from_these_sources_and_not_changed_since():
    now = {name: sha256(path) for name, path in files_now().items()}
    assert now == built_from(), REMEDY


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_page_asks_nobody_else_for_anything():
    html = (STATIC / "index.html").read_text()
    links = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert [link for link in links if ":" in link or link.startswith("/")] == []
    for link in links:
        if link.startswith("page/"):
            assert (STATIC / link.removeprefix("page/")).is_file()
    assert "url(" not in (STATIC / "app.css").read_text()


def test_the_page_does_without_what_its_policy_forbids():
    html = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|style=|<script>| on\w+=", html)


def test_licences_of_all_that_is_bundled_are_there():
    lock = json.loads((SOURCE / "package-lock.json").read_text())["packages"]
    words = (STATIC / "LICENSES.txt").read_text()
    for path, package in lock.items():
        if path and not package.get("dev"):
            assert f"{path.removeprefix('node_modules/')} {package['version']}" in words
    assert words.count("Permission is hereby granted") == len(
        [path for path, package in lock.items() if path and not package.get("dev")]
    )


def test_the_lock_file_names_no_registry():
    assert "resolved" not in (SOURCE / "package-lock.json").read_text()


def test_the_page_is_small_and_in_the_package():
    assert sum(path.stat().st_size for path in STATIC.iterdir()) < 200_000
    assert STATIC.is_relative_to(api.__path__[0])
