"""The web page at `/`: files that are built beforehand and ship with the package."""

import functools
import hashlib
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from srx_service.api.problems import problem

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parent / "page" / "static"
INDEX = "index.html"
PREFIX = "/page/"
METHODS = ["GET", "HEAD"]
POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self';"
    " object-src 'none'"
)
"""What a browser lets the page do: use its own service, and nothing else."""
HEADERS = {
    # asked for again each time, answered with 304: a new version is seen at once
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
"""By the end of a file's name; the same on every machine."""


class PageFile(NamedTuple):
    """A file of the page."""

    content: bytes
    media_type: str
    etag: str


def is_of_page(path: str) -> bool:
    """True for what holds nothing of the detector, and so asks for no token."""
    return path == "/" or path.startswith(PREFIX)


@functools.cache
def files() -> dict[str, PageFile]:
    """Return all files of the page by name; read once, so that they fit together."""
    found = sorted(path for path in FOLDER.glob("*") if path.suffix in MEDIA_TYPES)
    return {path.name: _read(path) for path in found}


def _read(path: Path) -> PageFile:
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    return PageFile(content, MEDIA_TYPES[path.suffix], etag)


@router.api_route("/", methods=METHODS)
async def index(request: Request) -> Response:
    """Return the page."""
    return _answer(request, INDEX)


@router.api_route(PREFIX + "{name}", methods=METHODS)
async def file(request: Request, name: str) -> Response:
    """Return what the page loads."""
    return _answer(request, name)


def _answer(request: Request, name: str) -> Response:
    found = files().get(name)
    if found is None:
        return problem(404, "Not Found", f"the page has no file {name[:60]!r}")
    headers = HEADERS | {"ETag": found.etag}
    known = request.headers.get("if-none-match", "").split(",")
    if found.etag in (etag.strip().removeprefix("W/") for etag in known):
        return Response(status_code=304, headers=headers)
    return Response(found.content, headers=headers, media_type=found.media_type)
