"""`srx keys`."""

import pytest
import zmq
import zmq.auth

from srx_service.keys import main


def test_each_name_gets_a_pair_that_pyzmq_reads(tmp_path, capsys):
    assert main([str(tmp_path / "keys"), "service", "live"]) == 0
    told = [line.rsplit("/", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert told == ["service.key", "service.key_secret", "live.key", "live.key_secret"]
    for name in ("service", "live"):
        path = tmp_path / "keys" / f"{name}.key_secret"
        public, secret = zmq.auth.load_certificate(path)
        assert zmq.curve_public(secret) == public
        known, none = zmq.auth.load_certificate(path.with_suffix(".key"))
        assert (known, none) == (public, None)


def test_a_secret_is_its_owners_alone(tmp_path):
    main([str(tmp_path), "a"])
    modes = {p.name: p.stat().st_mode & 0o777 for p in tmp_path.iterdir()}
    assert modes["a.key_secret"] == 0o600
    assert modes["a.key"] & 0o022 == 0


def test_no_key_is_overwritten(tmp_path, capsys):
    main([str(tmp_path), "a"])
    before = (tmp_path / "a.key_secret").read_text()
    assert main([str(tmp_path), "a"]) == 1
    assert "a.key_secret" in capsys.readouterr().err
    assert (tmp_path / "a.key_secret").read_text() == before


def test_no_secret_is_printed(tmp_path, capsys):
    main([str(tmp_path), "a"])
    secret = zmq.auth.load_certificate(tmp_path / "a.key_secret")[1].decode()
    assert secret not in "".join(capsys.readouterr())


@pytest.mark.parametrize("name", ["../a", ".a", ""])
def test_a_name_is_no_path(tmp_path, name):
    with pytest.raises(SystemExit):
        main([str(tmp_path / "keys"), name])
    assert list(tmp_path.iterdir()) == []
