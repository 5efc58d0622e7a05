"""Bearer tokens and what each of them allows."""

import base64
import contextlib
import hashlib
import hmac
import re
from collections.abc import Iterator
from typing import Literal

from starlette.datastructures import Headers

from srx_service.errors import ConfigError

Scope = Literal["read", "control"]
SCOPES: dict[str, Scope] = {"read": "read", "control": "control"}
"""What may stand before a token and a colon; "control" where nothing does."""
SUBPROTOCOL = "srx.token."
"""Before a token as base64url, without padding, that comes with a WebSocket."""


class Tokens:
    """The tokens a service was started with, as digests: none can leak from here.

    Args:
        text: One or several, separated by blanks or commas: "read:aa51 control:9f1c".
            None: there are none, and everybody may do everything.

    Raises:
        ConfigError: It holds no token, or one that no client could send.
    """

    def __init__(self, text: str | None) -> None:
        self._scopes: dict[bytes, Scope] = {}
        if text is None:
            return
        for scope, token in _read(text):
            if self._scopes.setdefault(_digest(token), scope) != scope:
                raise _refusal("one token is given for reading and for control")
        if not self._scopes:
            raise _refusal("there is none in it; unset it to serve without one")

    def __bool__(self) -> bool:
        return bool(self._scopes)

    def scope(self, headers: Headers) -> Scope | None:
        """Return what the token of a request allows; None without a known one."""
        given = _given(headers)
        digest = _digest(given or "")
        found: Scope | None = None
        for known, scope in self._scopes.items():
            # All are compared, each in the same time: how long it takes tells nothing.
            if hmac.compare_digest(digest, known):
                found = scope
        return None if given is None else found

    def may_control(self, headers: Headers) -> bool:
        """True where a request may change state."""
        return not self or self.scope(headers) == "control"


def _given(headers: Headers) -> str | None:
    kind, _, given = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return given.strip()
    # A page can send no header with a WebSocket, but names of subprotocols.
    for name in headers.get("sec-websocket-protocol", "").split(","):
        text = name.strip().removeprefix(SUBPROTOCOL)
        if text != name.strip():
            with contextlib.suppress(ValueError):
                padding = "=" * (-len(text) % 4)
                return base64.urlsafe_b64decode(text + padding).decode("latin-1")
    return None


def _read(text: str) -> Iterator[tuple[Scope, str]]:
    words = re.split(r"[\s,]+", text.strip(" \t\r\n,"))
    for place, word in enumerate(filter(None, words), 1):
        name, colon, token = word.rpartition(":")
        if not token or not all("!" <= sign <= "~" for sign in token):
            raise _refusal(f"token {place} is not made of visible ASCII characters")
        if colon and name not in SCOPES:
            raise _refusal(
                f"what stands before the colon of token {place} is neither read nor"
                " control"
            )
        yield SCOPES[name or "control"], token


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("latin-1")).digest()


def _refusal(what: str) -> ConfigError:
    return ConfigError(
        f"SRX_API_TOKEN: {what}; it holds one or several of TOKEN, read:TOKEN and"
        " control:TOKEN, separated by blanks"
    )
