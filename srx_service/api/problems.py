"""Errors as problem details (RFC 9457): what is in the way and what to do."""

import http
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from srx_service.api.models import Problem
from srx_service.errors import RequestError

MEDIA_TYPE = "application/problem+json"
MAX_LISTED = 10
"""Faults of one request that are told; a body of 1 MiB can hold a hundred thousand."""
MAX_QUOTED = 60
"""Characters of what was sent that are repeated in the answer."""

_SCHEMA = {"schema": {"$ref": "#/components/schemas/Problem"}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "It cannot be met.", "content": {MEDIA_TYPE: _SCHEMA}},
    "5XX": {"description": "The service failed.", "content": {MEDIA_TYPE: _SCHEMA}},
}
"""What any route may answer instead, for the OpenAPI."""

_HINTS = {
    404: "there is no such path; /docs lists those there are",
    405: "this path does not know this method; /docs lists those it knows",
}


def problem(
    status: int,
    title: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an answer with a problem's details.

    Its type is a URN made of the title, the same for all problems of one sort, or
    `about:blank` where the title says no more than the status (RFC 9457, 4.2.1).
    """
    is_plain = title == http.HTTPStatus(status).phrase
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    kind = "about:blank" if is_plain else f"urn:srx:problem:{slug}"
    body = Problem(type=kind, title=title, status=status, detail=detail)
    return Response(body.model_dump_json(), status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let every error of an application leave as problem details."""
    app.exception_handler(RequestError)(_request_error)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(WebSocketRequestValidationError)(_invalid_live)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(Exception)(_fault)


async def _request_error(request: Request, error: RequestError) -> Response:
    return problem(error.status, error.title, str(error))


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    return _unprocessable(error.errors())


async def _invalid_live(
    websocket: WebSocket, error: WebSocketRequestValidationError
) -> None:
    await websocket.send_denial_response(_unprocessable(error.errors()))


def _unprocessable(faults: Sequence[Mapping[str, Any]]) -> Response:
    told = [_fault_text(fault) for fault in faults[:MAX_LISTED]]
    if len(faults) > MAX_LISTED:
        told.append(f"and {len(faults) - MAX_LISTED} more")
    detail = "; ".join(told) + "; /docs tells what is allowed"
    return problem(422, "invalid request", detail)


def _fault_text(fault: Mapping[str, Any]) -> str:
    where = ".".join(str(step) for step in fault["loc"])
    text = f"{where}: {fault['msg']}"
    given = fault.get("input")
    if isinstance(given, str | int | float):
        text += f" (given: {repr(given)[:MAX_QUOTED]})"
    return text


async def _http_error(request: Request, error: HTTPException) -> Response:
    phrase = http.HTTPStatus(error.status_code).phrase
    text = error.detail
    if text == phrase:
        hint = _HINTS.get(error.status_code, phrase)
        text = f"{request.method} {request.url.path}: {hint}"
    return problem(error.status_code, phrase, text, error.headers)


async def _fault(request: Request, error: Exception) -> Response:
    # Starlette raises it again after this answer, and uvicorn logs its traceback.
    text = (
        f"{request.method} {request.url.path}: {type(error).__name__}, a fault of the"
        " service; its log holds the traceback. Reception and writing go on."
    )
    return problem(500, "Internal Server Error", text)
