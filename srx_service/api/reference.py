"""The page /docs: Swagger UI on this service's OpenAPI, for networks without internet.

Its program comes from the package fastapi-offline, of which nothing else is used.
"""

from importlib.metadata import version
from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from srx_service.api.page import HEADERS, POLICY
from srx_service.api.problems import problem

router = APIRouter(include_in_schema=False)

PACKAGE = "fastapi-offline"
FOLDER = Path(fastapi_offline.__file__).parent / "static"
PROGRAM = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
"""Files of the package and their types; 1.7 MB, read when somebody asks."""
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>srx: the HTTP interface</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="docs/favicon.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
START = """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
"""
"""A file of its own, since the policy forbids scripts within the page. Unless told
otherwise Swagger UI has a server on the internet look at the OpenAPI."""
OWN_HEADERS = HEADERS | {
    # Swagger UI draws its icons from data: URLs.
    "Content-Security-Policy": f"{POLICY}; img-src 'self' data:",
}


@router.get("/docs")
async def docs() -> Response:
    """Return the page."""
    return Response(PAGE, headers=OWN_HEADERS, media_type="text/html")


@router.get("/redoc")
async def redoc() -> Response:
    """Lead to the page: there is one for all."""
    return RedirectResponse("docs")


@router.get("/docs/start.js")
async def start() -> Response:
    """Return what starts Swagger UI."""
    return Response(START, headers=HEADERS, media_type="text/javascript")


@router.get("/docs/{name}")
async def program(request: Request, name: str) -> Response:
    """Return a file of Swagger UI; one that the browser has is not sent again."""
    media_type = PROGRAM.get(name)
    if media_type is None:
        return problem(404, "Not Found", f"the page has no file {name[:60]!r}")
    headers = HEADERS | {"ETag": f'"{version(PACKAGE)}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    content = (FOLDER / name).read_bytes()
    return Response(content, headers=headers, media_type=media_type)
