"""Files of CURVE keys: those of `srx keys`, and those of pyzmq."""

import pytest
import zmq
import zmq.auth

from srx_service import curve
from srx_service.errors import ConfigError
from srx_service.keys import make


@pytest.fixture
def folder(tmp_path):
    """Keys of a service, a source and two clients."""
    for name in ("service", "source"):
        make(tmp_path, name)
    for name in ("live", "viewer"):
        make(tmp_path / "clients", name)
    return tmp_path


def public(folder, name):
    return zmq.auth.load_certificate(folder / f"{name}.key")[0]


def test_the_secondary_port_knows_its_secret_and_its_clients(folder):
    clients = folder / "clients"
    keys = curve.server_keys(folder / "service.key_secret", clients)
    assert zmq.curve_public(keys.secret) == public(folder, "service")
    assert keys.clients == {public(clients, "live"), public(clients, "viewer")}


def test_a_connection_knows_its_secret_and_the_source(folder):
    keys = curve.client_keys(folder / "service.key_secret", folder / "source.key")
    assert zmq.curve_public(keys.secret) == public(folder, "service")
    assert keys.server == public(folder, "source")


def test_what_is_not_asked_for_is_open(tmp_path):
    assert curve.server_keys(tmp_path, None) is None
    assert curve.client_keys(tmp_path, None) is None
    assert curve.server_keys(None, None) is None


def test_files_that_pyzmq_made_will_do(tmp_path):
    told, own = zmq.auth.create_certificates(tmp_path, "other")
    keys = curve.server_keys(tmp_path / own, tmp_path)
    assert keys.clients == {public(tmp_path, "other")}
    assert told.endswith("other.key")


def test_no_key_is_shown(folder):
    keys = curve.server_keys(folder / "service.key_secret", folder / "clients")
    assert keys.secret.decode() not in repr(keys)
    keys = curve.client_keys(folder / "service.key_secret", folder / "source.key")
    assert keys.secret.decode() not in repr(keys)


@pytest.mark.parametrize(
    ("key", "clients", "told"),
    [
        ("no.key_secret", "clients", "curve_key: .*no.key_secret: No such file"),
        ("service.key", "clients", "curve_key: .*service.key holds no secret-key"),
        ("service.key_secret", "none", "curve_clients: .*none: No such file"),
        ("service.key_secret", "service.key", "curve_clients: .*Not a directory"),
        ("service.key_secret", "empty", "curve_clients: .*empty holds no .key file"),
        (
            "service.key_secret",
            "broken",
            "curve_clients: .*bad.key holds no public-key",
        ),
    ],
)
def test_keys_that_are_not_there_are_told_with_their_key(folder, key, clients, told):
    (folder / "empty").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "bad.key").write_bytes(b'public-key = "short"\xff\n')
    with pytest.raises(ConfigError, match=told):
        curve.server_keys(folder / key, folder / clients)


def test_a_source_without_a_key_is_told(folder):
    with pytest.raises(ConfigError, match=r"curve_source: .*no.key: No such file"):
        curve.client_keys(folder / "service.key_secret", folder / "no.key")


def test_a_secret_that_others_can_read_is_none(folder):
    path = folder / "service.key_secret"
    assert curve.is_secret(path)
    path.chmod(0o640)
    assert not curve.is_secret(path)
