"""The control side of all simulators: HTTP in a thread, a ready line, signals."""

import argparse
import functools
import socket
import threading
import time
from typing import Any, Protocol, Self, Unpack

import uvicorn
from fastapi import FastAPI

from srx_service.console import print_line, stop_signals, within
from srx_service.errors import ConfigError
from srx_service.simulators.faults import ALLOWED, Faults
from srx_service.simulators.stream import SEND_TIMEOUT_S, ImageStream, StreamOptions

START_TIMEOUT_S = 10.0


class ControlServer:
    """An HTTP application served from a thread, on a port that is known at once."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=128)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=2
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run,
            kwargs={"sockets": [self._socket]},
            name="simulator-control",
            daemon=True,
        )

    def start(self) -> None:
        """Serve; returns when requests are answered."""
        self._thread.start()
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline_s:
                raise OSError(f"no HTTP server on port {self.port}")
            time.sleep(0.005)

    def stop(self) -> None:
        """Answer what is being answered, then close the port."""
        self._server.should_exit = True
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(START_TIMEOUT_S)
        self._socket.close()

    def stop_at_once(self) -> None:
        """Break off all requests, as a dying process would; a request may call it."""
        self._server.force_exit = True
        self._server.should_exit = True


class Ports:
    """The ports of a simulator: HTTP control and image stream.

    Args:
        app: What answers on the control port.
        host: The address to listen on.
        control_port: 0: any free one.
        stream_port: Likewise; of several modules the first, the others follow on it.
        seed: Of the stream's faults.
        stream: `kind`, `modules`, `faults`, `high_water`, `send_timeout_s`.
    """

    def __init__(
        self,
        app: FastAPI,
        host: str,
        control_port: int,
        stream_port: int,
        seed: int,
        **stream: Unpack[StreamOptions],
    ) -> None:
        self.died = threading.Event()
        self.stream = ImageStream(host, stream_port, seed=seed, **stream)
        try:
            self._control = ControlServer(app, host, control_port)
        except OSError:
            self.stream.close()
            raise
        reach = f"[{host}]" if ":" in host else host
        self.url = f"http://{reach}:{self._control.port}"
        self.endpoints = [f"tcp://{reach}:{port}" for port in self.stream.ports]
        self.endpoint = self.endpoints[0]

    @property
    def control_port(self) -> int:
        """Where HTTP is answered."""
        return self._control.port

    def open(self) -> None:
        """Answer requests from here on."""
        self._control.start()

    def close(self) -> None:
        """Hand over what is under way and close both."""
        self._control.stop()
        self.stream.close()

    def die(self) -> None:
        """Close both without answering anybody, as a process that is killed."""
        self.died.set()
        self.stream.close()
        self._control.stop_at_once()

    def description(self, name: str) -> dict[str, Any]:
        """Return where a simulator of this name can be reached."""
        where = {
            "simulator": name,
            "control_port": self.control_port,
            "stream_port": self.stream.port,
            "url": self.url,
            "endpoint": self.endpoint,
        }
        if len(self.endpoints) == 1:
            return where
        ports = {"stream_ports": self.stream.ports, "endpoints": self.endpoints}
        return where | ports


class Simulator(Protocol):
    """A fake detector: an HTTP control and a stream."""

    ports: Ports

    def start(self) -> Self:
        """Answer requests from here on."""
        ...

    def stop(self) -> None:
        """Close ports and threads."""
        ...


def run(name: str, simulator: Simulator) -> int:
    """Serve until a signal (exit code 0) or until the simulated detector dies (1)."""
    with stop_signals() as stop:
        simulator.start()
        try:
            print_line(simulator.ports.description(name))
            while not simulator.ports.died.is_set():
                if stop.wait(0.05):
                    return 0
            return 1
        finally:
            simulator.stop()


def add_arguments(parser: argparse.ArgumentParser, shape: str) -> None:
    """Declare the options that all simulators have."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for all")
    port = within(int, 0, 65535)
    add("--control-port", type=port, default=0, help="HTTP; 0: any free one, printed")
    add("--stream-port", type=port, default=0, help="images; 0: any free one, printed")
    axes = shape.count(",") + 1
    names = "Y,X" if axes == 2 else "M,Y,X"
    read_shape = functools.partial(shape_of, axes=axes)
    add("--shape", type=read_shape, default=shape, metavar=names, help="in pixels")
    rate = within(float, 0.0, 1e9)
    add("--rate", type=rate, metavar="HZ", help="frames a second; 0: no pauses")
    add("--faults", type=_faults, default=Faults(), help=ALLOWED)
    add(
        "--send-timeout",
        type=within(float, 0.0, 3600.0),
        default=SEND_TIMEOUT_S,
        dest="send_timeout_s",
        metavar="S",
        help="a message that nobody takes for so long is dropped",
    )
    add(
        "--seed",
        type=within(int, 0, 2**32),
        default=0,
        help="of pictures and of faults",
    )


def shape_of(text: str, axes: int = 2) -> tuple[int, ...]:
    """Read `1065,1030`: rows, then columns; with 3 axes `4,256,256`: modules first."""
    form = "Y,X as 1065,1030" if axes == 2 else "M,Y,X as 4,256,256"
    try:
        shape = tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        shape = ()
    if len(shape) != axes:
        raise argparse.ArgumentTypeError(f"{text!r}: give {form}")
    if not all(0 < size <= 65536 for size in shape):
        raise argparse.ArgumentTypeError(f"{text!r}: 1 to 65536 pixels each way")
    return shape


def _faults(text: str) -> Faults:
    try:
        return Faults.parse(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
