"""What is understood as a token, and what each allows."""

import base64

import pytest
from starlette.datastructures import Headers

from srx_service.api.tokens import Tokens
from srx_service.errors import ConfigError


def bearer(token, scheme="Bearer"):
    return Headers({"Authorization": f"{scheme} {token}"})


@pytest.mark.parametrize(
    ("text", "scopes"),
    [
        ("one", {"one": "control"}),
        ("control:one", {"one": "control"}),
        ("read:one", {"one": "read"}),
        ("one,two read:three", {"one": "control", "two": "control", "three": "read"}),
        (" one\n\tread:two ,", {"one": "control", "two": "read"}),
        ("one one", {"one": "control"}),
    ],
)
def test_each_token_has_its_scope(text, scopes):
    tokens = Tokens(text)
    assert {name: tokens.scope(bearer(name)) for name in scopes} == scopes
    assert [tokens.may_control(bearer(name)) for name in scopes] == [
        scope == "control" for scope in scopes.values()
    ]


def subprotocols(token, *others):
    text = base64.urlsafe_b64encode(token.encode("latin-1")).decode().rstrip("=")
    return Headers(
        {"Sec-WebSocket-Protocol": ", ".join((*others, f"srx.token.{text}"))}
    )


@pytest.mark.parametrize("token", ["a", "ab", "abc", "abcd", "?>~|\\{}"])
def test_a_token_may_come_as_a_subprotocol(token):
    tokens = Tokens(f"read:{token}")
    assert tokens.scope(subprotocols(token, "srx.view")) == "read"
    assert tokens.scope(subprotocols(token + "x", "srx.view")) is None


@pytest.mark.parametrize(
    "text", ["", "srx.token.", "srx.token.?", "srx.token.\xff", "a"]
)
def test_a_subprotocol_that_is_no_token_opens_nothing(text):
    assert Tokens("a").scope(Headers({"Sec-WebSocket-Protocol": text})) is None


@pytest.mark.parametrize(
    "headers",
    [
        Headers({}),
        bearer(""),
        bearer("on"),
        bearer("onee"),
        bearer("read:two"),
        bearer("one", "Basic"),
        bearer("one two"),
        bearer("\xe9"),
    ],
)
def test_any_other_is_unknown(headers):
    tokens = Tokens("one read:two")
    assert tokens.scope(headers) is None
    assert not tokens.may_control(headers)


def test_without_tokens_everybody_may_do_everything():
    assert not Tokens(None)
    assert Tokens(None).may_control(Headers({}))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "there is none in it"),
        (" , ", "there is none in it"),
        ("ok s\xe9cret", "token 2 is not made of visible ASCII characters"),
        ("read:", "token 1 is not made of"),
        ("ok admin:secret", "before the colon of token 2 is neither read nor control"),
        ("read:secret secret", "one token is given for reading and for control"),
    ],
)
def test_what_no_client_could_send_is_refused_without_telling_it(text, told):
    with pytest.raises(ConfigError, match=f"SRX_API_TOKEN: .*{told}") as refusal:
        Tokens(text)
    assert "ecret" not in str(refusal.value)


def test_a_token_cannot_be_read_back():
    tokens = Tokens("s3cret")
    assert "s3cret" not in repr(vars(tokens))
