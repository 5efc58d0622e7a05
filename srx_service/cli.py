"""The command `srx`: arguments, environment, logging, exit codes; no work of its own.

Exit codes: 0 done; 1 it failed on the way; 2 the arguments or the configuration cannot
be used, so starting again without a change is in vain; 130 interrupted by Ctrl-C.
"""

import argparse
import importlib
import logging
import os
import resource
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from srx_service.errors import ConfigError, SrxError

if TYPE_CHECKING:
    from srx_service.config import DetectorConfig, Settings

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class Delegate(NamedTuple):
    """A subcommand that reads its own arguments."""

    module: str
    function: str
    summary: str

    def run(self, argv: Sequence[str]) -> int:
        """Import the module, which may take a while, and hand over."""
        function = getattr(importlib.import_module(self.module), self.function)
        return function(list(argv))


DELEGATES = {
    "simulate": Delegate(
        "srx_service.simulators",
        "main",
        "a detector that is not there: eiger, detector",
    ),
    "record": Delegate(
        "srx_service.recording", "main_record", "keep what a detector sends in a file"
    ),
    "replay": Delegate(
        "srx_service.recording", "main_replay", "send a recording as the detector did"
    ),
    "repair": Delegate(
        "srx_service.repair", "main", "make files readable that a crash left open"
    ),
    "verify": Delegate(
        "srx_service.verify", "main", "tell whether files are as they were written"
    ),
    "keys": Delegate(
        "srx_service.keys", "main", "make CURVE keys for clients of the secondary port"
    ),
    "demo": Delegate(
        "srx_ophyd.demo", "main", "simulator, service, Bluesky and Tiled, end to end"
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `srx` and return its exit code."""
    return _guarded(lambda: _run(sys.argv[1:] if argv is None else argv))


def main_run(argv: Sequence[str] | None = None) -> int:
    """Run `streaming-receiver CONFIG NAME`, which is `srx run` under its older name."""
    arguments = sys.argv[1:] if argv is None else argv
    return _guarded(lambda: _run(["run", *arguments]))


def parser() -> argparse.ArgumentParser:
    """Return the parser of all that is not delegated."""
    top = argparse.ArgumentParser(
        prog="srx",
        description="srx, the streaming receiver: detector streams to HDF5 files, live "
        "processing and Bluesky.",
        epilog="Exit codes: 0 done, 1 failed, 2 arguments or configuration refused.",
    )
    top.add_argument("--version", action="version", version=f"srx {_version()}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="receive a detector until SIGTERM or Ctrl-C")
    _add_config(run)
    run.add_argument("name", metavar="NAME", help="the entry of the detector")
    run.set_defaults(function=_serve)
    check = commands.add_parser("check", help="tell what is wrong with a configuration")
    _add_config(check)
    check.set_defaults(function=_check)
    show = commands.add_parser("list", help="list the detectors of a configuration")
    _add_config(show)
    show.set_defaults(function=_list)
    schema = commands.add_parser("schema", help="describe all keys of a configuration")
    schema.add_argument("--format", choices=("json", "markdown"), default="json")
    schema.set_defaults(function=_schema)
    for name, delegate in DELEGATES.items():
        commands.add_parser(name, help=delegate.summary, add_help=False)
    return top


def _run(argv: Sequence[str]) -> int:
    _configure_logging(_log_level(argv))
    if argv and argv[0] in DELEGATES:
        return DELEGATES[argv[0]].run(argv[1:])
    arguments = parser().parse_args(argv)
    return arguments.function(arguments)


def _guarded(command: Callable[[], int]) -> int:
    """Turn errors that a person can act on into one text and an exit code."""
    try:
        return command()
    except ConfigError as error:
        return _fail(error, 2)
    except SrxError as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("srx_service", "srx_ophyd"):
            raise
        return _fail(f"{error}: pip install 'srx[demo]' brings all of srx", 1)


def _fail(error: object, code: int) -> int:
    print(f"srx: {error}", file=sys.stderr)
    return code


def _serve(arguments: argparse.Namespace) -> int:
    from srx_service import config, process

    entry = config.load_one(arguments.config, arguments.name)
    _require_numba_cache([entry])
    _allow_open_files()
    return process.main(entry, arguments.name, _settings(entry))


def _check(arguments: argparse.Namespace) -> int:
    from srx_service import check, config

    entries = config.load(arguments.config)
    _require_numba_cache(entries.values())
    if problems := check.problems(entries):
        raise ConfigError("\n".join(f"{arguments.config}: {text}" for text in problems))
    for note in check.notes(entries):
        print(f"note: {note}")
    print(f"{arguments.config}: {len(entries)} entries, no errors")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from srx_service import config

    entries = config.load(arguments.config)
    width = max(map(len, entries))
    for name, entry in entries.items():
        print(f"{name:{width}}  {_summary(entry)}")
    return 0


def _summary(entry: "DetectorConfig") -> str:
    return (
        f"{entry.decoder} from {', '.join(entry.endpoints)}, live processing on port "
        f"{entry.forward_port}, HTTP on port {entry.api_port}"
    )


def _schema(arguments: argparse.Namespace) -> int:
    from srx_service import schema

    write = {"json": schema.json_text, "markdown": schema.markdown}
    sys.stdout.write(write[arguments.format]())
    return 0


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "config", metavar="CONFIG", type=Path, help="a file like detectors.yaml"
    )


def _settings(entry: "DetectorConfig") -> "Settings":
    from srx_service.config import Settings

    return Settings(
        state_dir=entry.state_dir or _state_home() / "srx",
        api_token=_api_token(),
        log_level=_log_level(["run"]),
        notify_socket=os.environ.get("NOTIFY_SOCKET") or None,
        watchdog_s=_watchdog_s(),
    )


def _require_numba_cache(entries: "Iterable[DetectorConfig]") -> None:
    from srx_service import check

    # numba itself would say nothing, and compile at every start
    folder = os.environ.get("NUMBA_CACHE_DIR")
    if folder and any(entry.pipeline for entry in entries):
        check.require_cache(Path(folder))


def _allow_open_files() -> None:
    # Whoever connects takes a file descriptor. With the 1024 that are usual, a port
    # scan of the secondary port would leave none to open the next file with.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _api_token() -> str | None:
    token, file = (os.environ.get(f"SRX_API_TOKEN{end}") for end in ("", "_FILE"))
    if token and file:
        raise ConfigError("SRX_API_TOKEN and SRX_API_TOKEN_FILE are set: unset one")
    if not file:
        return token or None
    try:
        return Path(file).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise ConfigError(f"SRX_API_TOKEN_FILE: {file}: {error.strerror}") from error


def _watchdog_s() -> float | None:
    # sd_watchdog_enabled(3): children inherit it, and are not meant
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() else None


def _state_home() -> Path:
    # The XDG specification: a path that is not absolute is to be ignored.
    home = Path(os.environ.get("XDG_STATE_HOME", ""))
    return home if home.is_absolute() else Path.home() / ".local/state"


def _log_level(argv: Sequence[str]) -> str:
    # A service has nothing but its log; other commands answer by themselves.
    default = "INFO" if argv[:1] == ["run"] else "WARNING"
    level = os.environ.get("LOG_LEVEL", "").upper() or default
    if level not in LEVELS:
        raise ConfigError(
            f"LOG_LEVEL in the environment: should be one of {', '.join(LEVELS)}, "
            f"not {level!r}"
        )
    return level


def _configure_logging(level: str) -> None:
    logging.basicConfig(
        level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # Clients poll /status many times a second; each request is a line at INFO.
    for noisy in ("uvicorn.access", "httpx"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, getattr(logging, level)))


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("srx")
    except PackageNotFoundError:
        return "(not installed)"
