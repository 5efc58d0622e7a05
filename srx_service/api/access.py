"""Who may call: tokens, and pages of other sites."""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from srx_service.api.page import is_of_page
from srx_service.api.problems import problem
from srx_service.api.refusals import Refusals
from srx_service.api.tokens import Tokens

READS = frozenset({"GET", "HEAD", "OPTIONS"})
ALWAYS_OPEN = frozenset({"/healthz", "/readyz"})
"""A supervisor's probes carry no token."""


class AccessMiddleware:
    """Refuse a request before anything of it is read.

    A middleware and not a dependency, so that a new route is protected without a word.

    Args:
        app: The application behind it.
        tokens: That are known.
        protect_reads: As in ApiSettings.
        origins: As in ApiSettings.
    """

    def __init__(
        self,
        app: ASGIApp,
        tokens: Tokens,
        protect_reads: bool,
        origins: Collection[str],
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._protect_reads = protect_reads
        self._origins = origins
        self._refusals = Refusals()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a problem, or let the request pass."""
        is_call = scope["type"] in {"http", "websocket"}
        refusal = self._refusal(scope) if is_call else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        is_view = scope["type"] == "websocket"
        is_read = is_view or scope["method"] in READS
        if is_read and not is_view and not self._protect_reads:
            return None
        headers = Headers(scope=scope)
        if (is_view or not is_read) and self._is_foreign(headers):
            return self._foreign(scope)
        if not self._tokens or scope["path"] in ALWAYS_OPEN:
            return None
        if is_read and not is_view and is_of_page(scope["path"]):
            return None  # it asks its user for the token
        granted = self._tokens.scope(headers)
        if granted == "control" or (is_read and (granted or not self._protect_reads)):
            return None
        return self._read_only(scope) if granted else self._unknown(scope)

    def _is_foreign(self, headers: Headers) -> bool:
        # Browsers ask no leave to open a WebSocket or to post a form to another site:
        # without this any web page could watch the detector, or abort what it measures.
        origin = headers.get("origin")
        if origin is not None and origin.lower() in self._origins:
            return False
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site not in {"same-origin", "none"}
        if origin is None:
            return False
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()

    def _foreign(self, scope: Scope) -> Response:
        self._count("a page of another site", scope)
        text = (
            "a page of another site may not use this service; call it without an"
            " Origin header, from a page it serves itself, or from one of cors_origins"
        )
        return problem(403, "cross-site request", text)

    def _read_only(self, scope: Scope) -> Response:
        self._count("a token for reading", scope)
        text = (
            f"the token sent is for reading only, and {scope['path']} changes what the"
            " service does; send one for control"
        )
        return problem(403, "token for reading", text)

    def _unknown(self, scope: Scope) -> Response:
        self._count("no token, or an unknown one", scope)
        text = (
            f"{scope['path']} asks for a token this service was started with"
            " (SRX_API_TOKEN): send the header `Authorization: Bearer TOKEN`"
        )
        return problem(401, "Unauthorized", text, {"WWW-Authenticate": "Bearer"})

    def _count(self, kind: str, scope: Scope) -> None:
        client = scope.get("client")
        self._refusals.count(kind, client[0] if client else None)
