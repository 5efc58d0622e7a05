"""The HTTP application: what it shows comes in as arguments."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.cors import CORSMiddleware

from srx_service.api import (
    compat,
    frames,
    health,
    live,
    page,
    problems,
    reference,
    v1,
    view,
)
from srx_service.api.access import AccessMiddleware
from srx_service.api.limits import BodyLimitMiddleware
from srx_service.api.line import ApiSettings, Line
from srx_service.api.models import Problem
from srx_service.api.rate import RateMiddleware
from srx_service.api.viewing import Views
from srx_service.latest import Latest

VERSION = "1"
"""Of the API, not of the distribution: that of its paths."""
DESCRIPTION = """\
A streaming receiver: detector stream to HDF5, live processing and Bluesky.
Errors are problem details (RFC 9457). Where the service was started with SRX_API_TOKEN,
all that changes state asks for `Authorization: Bearer TOKEN`.
"""


def create_app(line: Line, latest: Latest, settings: ApiSettings) -> FastAPI:
    """Return the application for a running line."""
    app = routes(settings)
    app.state.line = line
    app.state.latest = latest
    app.state.views = Views(line, latest)
    return app


def routes(settings: ApiSettings) -> FastAPI:
    """Return the application without a line: enough for its OpenAPI."""
    app = FastAPI(
        title="srx",
        version=VERSION,
        description=DESCRIPTION,
        responses=problems.RESPONSES,
        docs_url=None,  # `reference` has it, without a CDN
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    for module in (compat, frames, v1, live, view, health, page, reference):
        app.include_router(module.router)
    if settings.pickle_route:
        app.include_router(compat.pickle_router)
    problems.install(app)
    app.state.tokens = settings.tokens()
    _bound(app, settings)
    app.openapi = lambda: _openapi(app)
    return app


def _bound(app: FastAPI, settings: ApiSettings) -> None:
    """Put before the application what refuses; added last is first to see a request."""
    app.add_middleware(BodyLimitMiddleware, limits=settings.limits)
    app.add_middleware(compat.PolledMiddleware)
    app.add_middleware(
        AccessMiddleware,
        tokens=app.state.tokens,
        protect_reads=settings.protect_reads,
        origins=settings.origins,
    )
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(settings.origins),
            allow_methods=["GET", "POST", "PATCH"],
            allow_headers=["Authorization", "Content-Type"],
        )
    if settings.limits.rate_hz is not None:
        app.add_middleware(RateMiddleware, rate_hz=settings.limits.rate_hz)


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        # FastAPI writes a model named in `responses` under application/json only.
        schemas = app.openapi_schema["components"]["schemas"]
        schemas["Problem"] = Problem.model_json_schema()
    return app.openapi_schema
