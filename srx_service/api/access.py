"""Who may call: the token, and pages of other sites."""

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from srx_service.api.problems import problem

READS = frozenset({"GET", "HEAD", "OPTIONS"})
ALWAYS_OPEN = frozenset({"/healthz", "/readyz"})
"""A supervisor's probes carry no token."""


class AccessMiddleware:
    """Refuse a request before anything of it is read.

    A middleware and not a dependency, so that a new route is protected without a word.

    Args:
        app: The application behind it.
        token: As in ApiSettings.
        protect_reads: As in ApiSettings.
    """

    def __init__(self, app: ASGIApp, token: str | None, protect_reads: bool) -> None:
        self._app = app
        self._wanted = None if token is None else token.encode()
        self._protect_reads = protect_reads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a problem, or let the request pass."""
        is_call = scope["type"] in {"http", "websocket"}
        refusal = self._refusal(scope) if is_call else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        is_read = scope.get("method") in READS  # a live view has no method
        if is_read and not self._protect_reads:
            return None
        headers = Headers(scope=scope)
        if not is_read and _is_foreign(headers):
            text = (
                "a page of another site may not use this service; call it without an"
                " Origin header, or from a page it serves itself"
            )
            return problem(403, "cross-site request", text)
        is_watched = scope["type"] == "websocket" and not self._protect_reads
        if self._wanted is None or is_watched or scope["path"] in ALWAYS_OPEN:
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        is_same = hmac.compare_digest(given.strip().encode("latin-1"), self._wanted)
        if is_same and scheme.lower() == "bearer":
            return None
        text = (
            f"{scope['path']} asks for the token this service was started with"
            " (SRX_API_TOKEN): send the header `Authorization: Bearer TOKEN`"
        )
        return problem(401, "Unauthorized", text, {"WWW-Authenticate": "Bearer"})


def _is_foreign(headers: Headers) -> bool:
    # Browsers ask no leave to open a WebSocket or to post a form to another site:
    # without this any web page could watch the detector, or abort what it measures.
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    if origin is None:
        return False
    return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
