"""`srx demo --watch`: a simulated Eiger and its service, to look at in a browser."""

import contextlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from srx_ophyd.processes import free_port, python_module, running

SERIES_S = 10.0
"""Then the next file is begun."""
FILES_KEPT = 3
"""The newest ones: it may run for days."""
API = "api/1.8.0"


@dataclass(frozen=True, slots=True)
class Line:
    """Where a simulator and its service are to be found."""

    service: str
    simplon: str


@contextlib.contextmanager
def line(folder: Path, shape: str, api_port: int = 0) -> Iterator[Line]:
    """Run a simulated Eiger and its service for as long as the block lasts.

    Args:
        folder: For files, configuration and logs.
        shape: Of a frame: "rows,columns".
        api_port: Of the service; 0: any free one.
    """
    logs = folder / "logs"
    for path in (logs, folder / "data"):
        path.mkdir(exist_ok=True)
    simulate = python_module("srx_service", "simulate", "eiger", "--shape", shape)
    with running("simulator", simulate, logs / "simulator.log") as simulator:
        ports = simulator.ready_line()
        port = api_port or free_port()
        config = _configure(folder, int(ports["stream_port"]), port)
        run = python_module("srx_service", "run", str(config), "demo")
        with running("service", run, logs / "service.log") as service:
            url = f"http://127.0.0.1:{port}"
            service.wait_for_url(f"{url}/readyz")
            yield Line(url, f"http://127.0.0.1:{ports['control_port']}")


def _configure(folder: Path, source: int, api: int) -> Path:
    entry = {
        "class": "Eiger",
        "dcu_host_purple": "127.0.0.1",
        "dcu_port_purple": source,
        "api_host": "127.0.0.1",
        "api_port": api,
        "data_port": 0,
        "dset_name": "/entry/instrument/eiger/data",
        "write_root": str(folder / "data"),
        "state_dir": str(folder / "state"),
    }
    path = folder / "detectors.yaml"
    path.write_text(json.dumps({"demo": entry}, indent=2))  # JSON is YAML too
    return path


def show(folder: Path, shape: str, rate_hz: float, port: int) -> None:
    """Take series after series until Ctrl-C."""
    print("starting a simulated Eiger and the service …", flush=True)
    with line(folder, shape, port) as where:
        print(
            f"\n    {where.service}/\n\nOpen this page in a browser: {rate_hz:g} frames"
            f" a second, in files of {SERIES_S:g} s of which\n{folder / 'data'} keeps"
            f" {FILES_KEPT}. Ctrl-C ends it.",
            flush=True,
        )
        with httpx.Client(base_url=where.simplon, timeout=None) as simplon:
            for number in itertools.count(1):
                _take(simplon, _next_file(folder / "data", number), rate_hz)


def _next_file(data: Path, number: int) -> Path:
    """Return the name of a file that is not there, and remove the oldest."""
    name = "live_{:06}.h5".format
    for known in (number - FILES_KEPT, number):
        (data / name(known)).unlink(missing_ok=True)
    return data / name(number)


def _take(simplon: httpx.Client, file: Path, rate_hz: float) -> None:
    """Expose one series, written to a file that the stream names."""
    settings = {
        "stream/{}/config/header_appendix": json.dumps({"filename": str(file)}),
        "detector/{}/config/nimages": max(1, round(SERIES_S * rate_hz)),
        "detector/{}/config/frame_time": 1 / rate_hz,
        "detector/{}/config/count_time": 0.9 / rate_hz,
    }
    for path, value in settings.items():
        answer = simplon.put(path.format(API), json={"value": value})
        answer.raise_for_status()
    for command in ("arm", "trigger", "disarm"):
        simplon.put(f"detector/{API}/command/{command}").raise_for_status()
