"""JSON over HTTP to one server, with errors that a user may read as they are."""

import threading
import time
from typing import Any

import httpx

Json = Any
"""What goes over the wire; whoever reads an answer turns it into a type."""

RETRY_DELAYS_S = (0.05, 0.2)
KEEPALIVE_S = 3.0
"""Less than the 5 s after which uvicorn closes an idle connection: a request is never
sent on one that is just being closed."""


class RemoteError(Exception):
    """A request that failed; the text names server, request and cause.

    Args:
        text: What a user reads.
        status: The HTTP status; None when the server did not answer.
        may_be_done: True when the server may have carried out what it did not answer.
    """

    def __init__(
        self, text: str, status: int | None = None, *, may_be_done: bool = False
    ) -> None:
        super().__init__(text)
        self.status = status
        self.may_be_done = may_be_done


class Endpoint:
    """One server, by its base URL; every call ends within a bounded time.

    Args:
        what: What errors call it: "srx service".
        url: Its address, with the path that all requests share.
        timeout_s: For connecting and for each answer.
        token: Sent as a bearer token when given.
        error: The class of RemoteError to raise.
    """

    def __init__(
        self,
        what: str,
        url: str,
        *,
        timeout_s: float = 3.0,
        token: str | None = None,
        error: type[RemoteError] = RemoteError,
    ) -> None:
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        self._what = f"{what} {self.url}"
        self._token = token
        self._error = error
        self._http: httpx.Client | None = None
        self._opening = threading.Lock()

    def request(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        params: dict[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> Json:
        """Return the decoded answer; `timeout_s` where it may take longer than usual.

        Raises:
            RemoteError: It was refused, or nobody answered.
        """
        response = self._send(method, path, body, params, timeout_s or self.timeout_s)
        if response.is_error:
            raise self._error(
                f"{self._what} refused {method} {path}: {_refusal(response)}",
                response.status_code,
            )
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            kind = response.headers.get("content-type", "no content type")
            raise self._error(
                f"{self._what} answered {method} {path} with {kind}, not with JSON: "
                "is this its address?"
            ) from error

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        http, self._http = self._http, None
        if http is not None:
            http.close()

    def _send(
        self,
        method: str,
        path: str,
        body: Json,
        params: dict[str, Any] | None,
        timeout_s: float,
    ) -> httpx.Response:
        for delay_s in (*RETRY_DELAYS_S, None):
            try:
                return self._client().request(
                    method,
                    path,
                    json=body,
                    params=params,
                    # An answer may take longer, being there may not.
                    timeout=httpx.Timeout(timeout_s, connect=self.timeout_s),
                )
            except httpx.TransportError as error:
                if delay_s is None or not _is_worth_another_try(method, error):
                    raise self._unanswered(method, path, error, timeout_s) from error
                time.sleep(delay_s)
        raise AssertionError("the last delay is None")

    def _client(self) -> httpx.Client:
        # Made at the first request: it reads the system's certificates, which a
        # session that only loads its devices should not wait for.
        with self._opening:
            if self._http is None:
                self._http = self._open()
            return self._http

    def _open(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return httpx.Client(
            base_url=self.url,
            headers=headers,
            limits=httpx.Limits(keepalive_expiry=KEEPALIVE_S),
            # A proxy that the environment names must not stand between a beamline's
            # own machines.
            trust_env=False,
        )

    def _unanswered(
        self, method: str, path: str, error: httpx.TransportError, timeout_s: float
    ) -> RemoteError:
        never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        if isinstance(error, httpx.ReadTimeout):
            text = f"did not answer within {timeout_s:g} s"
        else:
            text = f"unreachable ({type(error).__name__})"
        return self._error(
            f"{self._what} {text} on {method} {path}", may_be_done=not never_sent
        )


def _is_worth_another_try(method: str, error: httpx.TransportError) -> bool:
    # A connection that was refused carried no request. One that broke may have: then
    # only reading is repeated, never what changes something.
    if isinstance(error, httpx.ConnectError):
        return True
    broke = isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError)
    return method == "GET" and broke


def _refusal(response: httpx.Response) -> str:
    """Return status and reason; from problem details (RFC 9457) if there are some."""
    try:
        problem = response.json()
    except ValueError:
        problem = response.text
    if not isinstance(problem, dict):
        text = str(problem).strip()[:300]
        return f"{response.status_code} {text or response.reason_phrase}"
    title = problem.get("title") or response.reason_phrase
    detail = problem.get("detail")
    return f"{response.status_code} {title}" + (f": {detail}" if detail else "")
