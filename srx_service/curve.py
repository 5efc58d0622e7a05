"""CURVE keys: who may connect to the secondary port, and which source is believed.

Sources: ZeroMQ's RFC 26 (CurveZMQ) and RFC 32 (Z85); the files are those of pyzmq's
`zmq.auth`, which live processing may use as they are:

| file | what is in it |
|---|---|
| NAME.key | `public-key = "…"`: for whoever is to know NAME |
| NAME.key_secret | the same and `secret-key = "…"`: for NAME alone |
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from srx_service.errors import ConfigError

PUBLIC, SECRET = ".key", ".key_secret"
"""Endings of the files."""
_LINE = r"^\s*{}\s*=\s*[\"']?([0-9a-zA-Z.:+=^!/*?&<>()\[\]{{}}@%$#-]{{40}})[\"']?\s*$"
OTHERS = 0o077
"""Permissions that a secret key gives nobody."""


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """What the secondary port needs to let in those it knows; keys as Z85 text."""

    secret: bytes = field(repr=False)
    clients: frozenset[bytes]
    """Public keys of those who may come in."""


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What a connection to a source needs; keys as Z85 text."""

    secret: bytes = field(repr=False)
    server: bytes
    """Public key of the source."""


def server_keys(key: Path | None, clients: Path | None) -> ServerKeys | None:
    """Return the keys of the secondary port; None where it is to be open.

    Args:
        key: File with our secret key.
        clients: Directory of public keys.

    Raises:
        ConfigError: There are none where they should be.
    """
    if key is None or clients is None:
        return None
    secret = _read(key, "curve_key", "secret-key")
    try:
        paths = sorted(path for path in clients.iterdir() if path.suffix == PUBLIC)
    except OSError as error:
        raise ConfigError(f"curve_clients: {clients}: {error.strerror}") from error
    if not paths:
        raise ConfigError(f"curve_clients: {clients} holds no {PUBLIC} file")
    known = (_read(path, "curve_clients", "public-key") for path in paths)
    return ServerKeys(secret, frozenset(known))


def client_keys(key: Path | None, source: Path | None) -> ClientKeys | None:
    """Return the keys of connections to a source; None where it speaks no CURVE.

    Args:
        key: File with our secret key.
        source: File with the source's public key.

    Raises:
        ConfigError: There are none where they should be.
    """
    if key is None or source is None:
        return None
    secret = _read(key, "curve_key", "secret-key")
    return ClientKeys(secret, _read(source, "curve_source", "public-key"))


def is_secret(path: Path) -> bool:
    """True unless others than its owner may read or write a file."""
    return not path.stat().st_mode & OTHERS


def _read(path: Path, where: str, what: str) -> bytes:
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise ConfigError(f"{where}: {path}: {error.strerror}") from error
    found = re.search(_LINE.format(what), text, re.M)
    if found is None:
        raise ConfigError(
            f"{where}: {path} holds no {what}; `srx keys` makes such files"
        )
    return found[1].encode()
