"""`srx simulate detector` and its like: any Wire, with arm and trigger over HTTP.

| state   | means               | what leads on                |
|---------|---------------------|------------------------------|
| idle    | may be configured   | POST /arm                    |
| armed   | waits for a trigger | POST /trigger, POST /disarm  |
| running | sends images        | the last image, POST /disarm |

`msg_number` counts all messages of the process, as the generic stream wants it; POST
/restart puts it back to 0, as a process that was started again. A detector that
publishes waits at `arm` until somebody subscribes, `send_timeout_s` at most.
"""

import argparse
import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Literal, Self, Unpack

from srx_service.errors import RequestError
from srx_service.messages import End, Image, Start
from srx_service.simulators import detector_rest, pictures
from srx_service.simulators.control import Ports, add_arguments, run
from srx_service.simulators.detector_rest import DetectorConfig
from srx_service.simulators.faults import Died
from srx_service.simulators.stream import StreamOptions
from srx_service.simulators.wire import (
    StinsWire,
    Wire,
    blobs,
    checked,
    first_config,
)

State = Literal["idle", "armed", "running"]


class DetectorSimulator:
    """A fake detector: start(), talk to `url`, receive from `endpoints`, stop().

    Args:
        wire: The protocol; None: the generic stream.
        shape: In pixels, as the wire has it; None: its default.
        dtype: numpy's name of the pixels; None: the wire's default.
        rate: Frames a second; 0: no pauses; None: one after each exposure.
        control_port: For HTTP; 0: any free one, see the attribute.
        stream_port: For the images; likewise; modules have consecutive ones.
        seed: Of pictures and faults.
        stream: `faults`, `high_water`, `send_timeout_s`.
    """

    def __init__(
        self,
        *,
        wire: Wire | None = None,
        shape: tuple[int, ...] | None = None,
        dtype: str | None = None,
        rate: float | None = None,
        host: str = "127.0.0.1",
        control_port: int = 0,
        stream_port: int = 0,
        seed: int = 0,
        **stream: Unpack[StreamOptions],
    ) -> None:
        self.wire = wire or StinsWire()
        values = {"shape": shape and list(shape), "dtype": dtype, "frame_rate": rate}
        self.config = first_config(self.wire, values)
        self.state: State = "idle"
        self.series = 0
        self.seed = seed
        stream["kind"], stream["modules"] = self.wire.kind, self.wire.modules
        app = detector_rest.create_app(self)
        self.ports = Ports(app, host, control_port, stream_port, seed, **stream)
        self.stream_port = self.ports.stream.port
        self.control_port = self.ports.control_port
        self.url = self.ports.url
        self.endpoint = self.ports.endpoint
        self.endpoints = self.ports.endpoints
        self._exposing = threading.Lock()
        self._halt = threading.Event()
        self._next_number = 0
        self._frames_sent = 0
        self._is_open = False

    def start(self) -> Self:
        """Answer requests from here on."""
        self.ports.open()
        return self

    def stop(self) -> None:
        """Stop sending, close ports and threads; no End is sent."""
        self._halt.set()
        with self._exposing:
            self.ports.close()

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def status(self) -> dict[str, Any]:
        """Return what GET /status shows."""
        return {
            "state": self.state,
            "series": self.series,
            "shape": self.config.shape,
            "dtype": self.config.dtype,
            "frame_rate": self._rate(),
            "frames": self.config.frames,
            "frames_sent": self._frames_sent,
            "dropped": self.ports.stream.dropped,
            "msg_number": self._next_number,
        }

    def configure(self, changes: dict[str, Any]) -> DetectorConfig:
        """Change the configuration; the rest stays.

        Raises:
            RequestError: Not in this state, or not of this protocol.
            pydantic.ValidationError: A key is not known or has not such a value.
        """
        self._require("a change of configuration", "idle")
        self.config = checked(self.wire, self.config.model_dump() | changes)
        return self.config

    def arm(self) -> int:
        """Send the header; return the number of the series, counted from 1.

        Raises:
            RequestError: It is armed or running already.
        """
        with self._exposing:
            self._require("arm", "idle")
            self._halt.clear()
            self._frames_sent = 0
            for frame in range(pictures.POOL_MAX):
                blobs(
                    frame, self.config, self.seed, self.wire
                )  # so that the first frames are not late
            self.ports.stream.wait_for_receivers(self._halt)
            if self.config.series_per_trigger:
                self.state = "armed"
                return self.series + 1
            self._begin()
            self.state = "armed"
            return self.series

    def trigger(self, frames: int | None = None, *, wait: bool = True) -> None:
        """Send images; the last one of the series brings its End.

        Args:
            frames: None: all that are missing to the configured number.
            wait: Return when they are out; False: at once.

        Raises:
            RequestError: It is not armed, or has not so many frames left.
        """
        if not self._exposing.acquire(blocking=False):
            raise RequestError(409, "not allowed", "the detector is running already")
        try:
            self._require("trigger", "armed")
            if self.config.series_per_trigger:
                self._frames_sent = 0
            count = self._frames_for(frames)
            self.state = "running"
        except RequestError:
            self._exposing.release()
            raise
        if wait:
            self._expose(count)
        else:
            threading.Thread(target=self._expose_alone, args=(count,)).start()

    def disarm(self) -> None:
        """End the series at once; harmless when idle."""
        self._halt.set()
        with self._exposing:
            self._finish()
            self.state = "idle"

    def restart(self) -> None:
        """Be as a process that was started again: no End, numbers from 0."""
        self._halt.set()
        with self._exposing:
            self._is_open = False
            self._next_number = 0
            self.state = "idle"

    def _require(self, what: str, state: State) -> None:
        if self.state != state:
            text = f"{what} is allowed in state {state} only, it is {self.state}"
            raise RequestError(409, "not allowed", text)

    def _rate(self) -> float:
        rate = self.config.frame_rate
        return 1 / self.config.exposure_s if rate is None else rate

    def _frames_for(self, frames: int | None) -> int:
        left = self.config.frames - self._frames_sent
        if frames is not None and not 0 < frames <= left:
            raise RequestError(409, "not allowed", f"frames: 1 to {left}, not {frames}")
        return left if frames is None else frames

    def _begin(self) -> None:
        self.series += 1
        self._frames_sent = 0
        self._is_open = True
        metadata = dict(self.config.metadata)
        if self.config.save_raw is not None:
            metadata["save_raw"] = self.config.save_raw
        start = Start(
            series=self.series,
            number=self._numbered(self._next_number),
            filename=self.config.filename,
            metadata=metadata or None,
            announced=self.config.frames,
        )
        self._send(start)

    def _expose_alone(self, count: int) -> None:
        with contextlib.suppress(RequestError):  # its death shows in `died`
            self._expose(count)

    def _expose(self, count: int) -> None:
        try:
            if self.config.series_per_trigger:
                self._begin()
            self._send_images(count)
            if (
                self._frames_sent == self.config.frames
                or self.config.series_per_trigger
            ):
                self._finish()
            waits = self._is_open or self.config.series_per_trigger
            self.state = "armed" if waits else "idle"
        except Died as death:
            self.ports.die()
            raise RequestError(500, "died", str(death)) from None
        finally:
            self._exposing.release()

    def _send_images(self, count: int) -> None:
        base = self._next_number - self._frames_sent
        rate = self._rate()
        self.ports.stream.send_images(
            self._frames(count),
            lambda k: self.wire.messages(self._image(k, base + k), self.config),
            1 / rate if rate else 0.0,
            self._halt,
        )

    def _frames(self, count: int) -> Iterator[int]:
        for _ in range(count):
            yield self._frames_sent
            self._frames_sent += 1
            self._next_number += 1

    def _image(self, k: int, number: int) -> Image:
        config = self.config
        frame = config.first_frame + k
        return Image(
            series=self.series,
            number=self._numbered(number),
            frame=frame,
            shape=tuple(config.shape),
            dtype=config.dtype,
            encoding=config.compression,
            blobs=blobs(k, config, self.seed, self.wire),
            extras={},
            discard=frame in config.discard,
        )

    def _finish(self) -> None:
        if self._is_open and self.config.end:
            number = self._numbered(self._next_number)
            self._send(End(series=self.series, number=number))
        self._is_open = False

    def _send(self, message: Start | End) -> None:
        self.ports.stream.send(self.wire.messages(message, self.config))
        self._next_number += 1

    def _numbered(self, number: int) -> int | None:
        return number if self.config.msg_number else None


def serve(name: str, description: str, wire: Wire, argv: list[str]) -> int:
    """Run `srx simulate <name>`: this wire, with arm and trigger over HTTP."""
    parser = argparse.ArgumentParser(f"srx simulate {name}", description=description)
    add_arguments(parser, shape=",".join(map(str, wire.shape)))
    parser.add_argument("--dtype", choices=wire.dtypes, default=wire.dtypes[0])
    options = vars(parser.parse_args(argv))
    return run(name, DetectorSimulator(wire=wire, **options))


def main(argv: list[str]) -> int:
    """Run `srx simulate detector`."""
    text = "The generic stream, with arm and trigger over HTTP."
    return serve("detector", text, StinsWire(), argv)
