"""The command: arguments, environment, exit codes; the rest is tested elsewhere."""

import json
import logging
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from srx_service import cli, process
from srx_service.errors import ConfigError, WriteError

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "detectors.yaml")
SRX = "import sys; from srx_service.cli import main; sys.exit(main())"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    tokens = ("SRX_API_TOKEN", "SRX_API_TOKEN_FILE")
    for name in (*tokens, "LOG_LEVEL", "NUMBA_CACHE_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _keep_logging():
    """Put back the levels that the command sets."""
    loggers = [logging.getLogger(name) for name in ("uvicorn.access", "httpx", None)]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
def served(monkeypatch):
    """Stand in for the service; return what it is started with."""
    calls = []
    monkeypatch.setattr(process, "main", lambda *call: calls.append(call) or 0)
    return calls


@pytest.mark.parametrize("command", [cli.main_run, lambda a: cli.main(["run", *a])])
def test_run_and_streaming_receiver_are_the_same(served, command):
    assert command([CONFIG, "dummy-eiger"]) == 0
    [(config, name, settings)] = served
    assert (config.decoder, name) == ("Eiger", "dummy-eiger")
    assert settings.api_token is None


def test_run_takes_its_settings_from_the_environment(served, monkeypatch, tmp_path):
    monkeypatch.setenv("SRX_API_TOKEN", "secret")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("LOG_LEVEL", "debug")
    cli.main(["run", CONFIG, "dummy"])
    [(_, _, settings)] = served
    assert settings.state_dir == tmp_path / "srx"
    assert (settings.api_token, settings.log_level) == ("secret", "DEBUG")


@pytest.mark.parametrize(
    ("given", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_what_systemd_wants_is_taken_from_it(served, monkeypatch, given, watchdog_s):
    for name, value in {"NOTIFY_SOCKET": "/run/notify", **given}.items():
        monkeypatch.setenv(name, value)
    cli.main(["run", CONFIG, "dummy"])
    [(_, _, settings)] = served
    assert (settings.notify_socket, settings.watchdog_s) == ("/run/notify", watchdog_s)


def test_as_many_files_may_be_open_as_the_system_allows(served):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] - 1, before[1]))
    try:
        cli.main(["run", CONFIG, "dummy"])
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert soft == hard


def test_tokens_may_be_in_a_file(served, monkeypatch, tmp_path):
    path = tmp_path / "tokens"
    path.write_text("secret\nread:other\n")
    monkeypatch.setenv("SRX_API_TOKEN_FILE", str(path))
    cli.main(["run", CONFIG, "dummy"])
    assert served[0][2].api_token.split() == ["secret", "read:other"]


def test_a_file_of_tokens_that_is_not_there_is_refused(served, monkeypatch, capsys):
    monkeypatch.setenv("SRX_API_TOKEN_FILE", "/no/where")
    assert cli.main(["run", CONFIG, "dummy"]) == 2
    assert "SRX_API_TOKEN_FILE: /no/where: No such file" in capsys.readouterr().err
    assert served == []


def test_tokens_come_from_one_place(served, monkeypatch, capsys):
    monkeypatch.setenv("SRX_API_TOKEN", "secret")
    monkeypatch.setenv("SRX_API_TOKEN_FILE", "/no/where")
    assert cli.main(["run", CONFIG, "dummy"]) == 2
    told = capsys.readouterr().err
    assert "unset one" in told
    assert "secret" not in told


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_cache_for_pipelines_that_cannot_be_written_is_refused(
    served, monkeypatch, capsys, tmp_path, command
):
    (tmp_path / "file").touch()
    folder = tmp_path / "file/cache"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))
    names = ["cosaxs-pilatus"] if command == "run" else []
    assert cli.main([command, CONFIG, *names]) == 2
    told = capsys.readouterr().err
    assert f"cannot write to {folder} (Not a directory); name a folder that" in told
    assert served == []


def test_a_cache_for_pipelines_is_made(served, monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "not/yet"))
    assert cli.main(["run", CONFIG, "cosaxs-pilatus"]) == 0
    assert list((tmp_path / "not").iterdir()) == [tmp_path / "not/yet"]
    assert list((tmp_path / "not/yet").iterdir()) == []


def test_who_has_no_pipeline_needs_no_cache(served, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file/cache"))
    assert cli.main(["run", CONFIG, "dummy"]) == 0


@pytest.mark.parametrize(
    ("arguments", "level"),
    [(["run", CONFIG, "dummy"], logging.INFO), (["list", CONFIG], logging.WARNING)],
)
def test_only_the_service_logs_what_is_not_a_warning(
    served, monkeypatch, arguments, level
):
    levels = []
    monkeypatch.setattr(logging, "basicConfig", lambda level, **_: levels.append(level))
    cli.main(arguments)
    assert levels == [logging.getLevelName(level)]


@pytest.mark.parametrize("home", ["", "relative"])
def test_state_is_kept_in_the_home_where_nothing_else_is_said(
    served, monkeypatch, home
):
    monkeypatch.setenv("XDG_STATE_HOME", home)
    cli.main(["run", CONFIG, "dummy"])
    assert served[0][2].state_dir == Path.home() / ".local/state/srx"


def test_the_entrys_own_state_dir_goes_first(served, tmp_path):
    path = tmp_path / "d.yaml"
    entry = (
        "{class: Eiger, dcu_host_purple: d, data_port: 1, dset_name: /d, state_dir: /s}"
    )
    path.write_text(f"x: {entry}\n")
    cli.main(["run", str(path), "x"])
    assert served[0][2].state_dir == Path("/s")


def test_an_unknown_entry_is_refused(served, capsys):
    assert cli.main(["run", CONFIG, "dumy"]) == 2
    assert "no entry 'dumy' (did you mean 'dummy'?)" in capsys.readouterr().err
    assert served == []


def test_an_unknown_log_level_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("LOG_LEVEL", "loud")
    assert cli.main(["check", CONFIG]) == 2
    assert (
        "LOG_LEVEL in the environment: should be one of DEBUG"
        in capsys.readouterr().err
    )


def test_check_finds_nothing_wrong_with_the_file_that_comes_with_it(capsys):
    assert cli.main(["check", CONFIG]) == 0
    assert "entries, no errors" in capsys.readouterr().out


def test_check_tells_every_problem(tmp_path, capsys):
    path = tmp_path / "d.yaml"
    path.write_text("a: {class: Eigr}\nb: 1\n")
    assert cli.main(["check", str(path)]) == 2
    told = capsys.readouterr().err
    assert f"srx: {path}:1: a: " in told
    assert f"{path}:2: b: should hold keys" in told


def test_check_imports_classes_of_the_sites_own(tmp_path, capsys):
    path = tmp_path / "d.yaml"
    entry = "{class: 'no.where:Own', dcu_host_purple: d, data_port: 1, dset_name: /d}"
    path.write_text(f"x: {entry}\n")
    assert cli.main(["check", str(path)]) == 2
    assert "x: class: no.where:Own: No module named 'no'" in capsys.readouterr().err


def test_list_shows_where_each_detector_comes_from(capsys):
    assert cli.main(["list", CONFIG]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert " ".join(first.split()) == (
        "dummy-eiger Eiger from tcp://localhost:9999, "
        "live processing on port 26001, HTTP on port 5000"
    )


def test_schema_is_json_or_a_table(capsys):
    assert cli.main(["schema"]) == 0
    assert "$defs" in json.loads(capsys.readouterr().out)
    assert cli.main(["schema", "--format", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("| key |")


@pytest.mark.parametrize("name", cli.DELEGATES)
def test_delegates_read_their_own_arguments(monkeypatch, name):
    asked = []
    monkeypatch.setattr(cli.Delegate, "run", lambda _, argv: asked.append(argv) or 7)
    assert cli.main([name, "--help", "-x"]) == 7
    assert asked == [["--help", "-x"]]


@pytest.mark.parametrize("name", cli.DELEGATES)
def test_delegates_are_there(name, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([name, "--help"])
    assert left.value.code == 0
    assert f"srx {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError("no"), 2), (WriteError("no"), 1), (KeyboardInterrupt(), 130)],
)
def test_the_exit_code_tells_whose_fault_it_is(monkeypatch, error, code):
    def fail(*_):
        raise error

    monkeypatch.setattr(process, "main", fail)
    assert cli.main(["run", CONFIG, "dummy"]) == code


def test_a_missing_extra_is_named(monkeypatch, capsys):
    def fail(*_):
        raise ModuleNotFoundError("No module named 'zmq'", name="zmq")

    monkeypatch.setattr(process, "main", fail)
    assert cli.main(["run", CONFIG, "dummy"]) == 1
    assert "No module named 'zmq': pip install 'srx[" in capsys.readouterr().err


def test_any_other_error_is_a_traceback(monkeypatch):
    monkeypatch.setattr(process, "main", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["run", CONFIG, "dummy"])


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run"], ["run", CONFIG]])
def test_wrong_arguments_are_refused_with_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    assert "usage: srx" in capsys.readouterr().err


@pytest.mark.parametrize("heavy", ["zmq", "fastapi", "bluesky", "tiled"])
def test_check_starts_without_what_only_the_service_needs(heavy):
    code = f"{SRX.partition(';')[0]}; sys.modules[{heavy!r}] = None; {SRX}"
    command = [sys.executable, "-c", code, "check", CONFIG]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out.startswith("srx ")
