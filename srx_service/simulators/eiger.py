"""A DECTRIS control unit that is not there: SIMPLON REST, stream v1 or v2.

Commands and states as the SIMPLON API reference 1.8 has them:

| command         | allowed in      | does                                         |
|-----------------|-----------------|----------------------------------------------|
| initialize      | all but acquire | idle; a series that was armed ends           |
| arm             | idle            | header; ready                                |
| trigger         | ready           | images, blocks; after the last trigger: idle |
| disarm, cancel  | all but na      | ends after the image under exposure; idle    |
| abort           | all but na      | ends at once; idle                           |
| status_update   | all             | nothing                                      |
"""

import threading
from collections.abc import Iterator
from typing import Annotated, Self, Unpack, cast

import msgspec

from srx_service.errors import RequestError
from srx_service.messages import End, Message, Start
from srx_service.protocols import dectris_stream1
from srx_service.protocols.dectris_stream1 import HeaderDetail
from srx_service.simulators import eiger_cbor, eiger_messages, simplon_rest
from srx_service.simulators.control import Ports
from srx_service.simulators.faults import Died
from srx_service.simulators.simplon import (
    DetectorConfig,
    Value,
    stream_parameters,
)
from srx_service.simulators.stream import Sending, StreamOptions

EIGER_1M = (1065, 1030)
Exposure = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class EigerSimulator:
    """A fake EIGER: start(), talk to `url`, pull from `endpoint`, stop().

    Args:
        shape: (y, x) in pixels.
        dtype: Of all images; None: 16 bits up to `wide_above_s` of exposure, 32 above.
        rate: Frames a second; 0: no pauses; None: as `frame_time` says.
        control_port: For HTTP; 0: any free one, see the attribute.
        stream_port: For the images; likewise.
        seed: Of pictures and faults.
        is_initialized: False: begins in state `na`, as after power-on.
        stream_format: "legacy" (stream v1) or "cbor" (v2), until `stream/config/format`
            is set.
        thresholds: Channels of each image in stream v2; v1 has but the first.
        difference: One channel more in stream v2.
        fixed: Values of `detector/config` that another model has otherwise.
        stream: `faults`, `high_water`, `send_timeout_s`.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, int] = EIGER_1M,
        dtype: str | None = None,
        rate: float | None = None,
        host: str = "127.0.0.1",
        control_port: int = 0,
        stream_port: int = 0,
        seed: int = 0,
        wide_above_s: float = 0.1,
        is_initialized: bool = True,
        stream_format: str = "legacy",
        thresholds: int = 1,
        difference: bool = False,
        fixed: dict[str, Value] | None = None,
        **stream: Unpack[StreamOptions],
    ) -> None:
        self.state = "idle" if is_initialized else "na"
        self.series = 0
        self.seed = seed
        self.config = DetectorConfig(shape, dtype, wide_above_s)
        self.config.fix(fixed or {})
        self.stream_config = stream_parameters(stream_format)
        self.channels = eiger_cbor.channels_of(thresholds, difference)
        app = simplon_rest.create_app(self)
        self.ports = Ports(app, host, control_port, stream_port, seed, **stream)
        self.stream_port = self.ports.stream.port
        self.control_port = self.ports.control_port
        self.url = self.ports.url
        self.endpoint = self.ports.endpoint
        self._rate = rate
        self._exposing = threading.Lock()
        self._is_cancelled = False
        self._halt = threading.Event()
        self._frames_sent = 0
        self._triggers_left = 0

    def start(self) -> Self:
        """Answer requests from here on."""
        self.ports.open()
        return self

    def stop(self) -> None:
        """Stop exposing, close ports and threads; no End is sent."""
        self._halt.set()
        with self._exposing:
            self.ports.close()

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    @property
    def dropped(self) -> int:
        """Images that nobody took."""
        return self.ports.stream.dropped

    def command(self, name: str, value: object = None) -> dict[str, int] | None:
        """Do what a PUT to `detector/command/<name>` does; may block while exposing.

        Raises:
            RequestError: There is no such command, or not in this state.
        """
        match name:
            case "initialize":
                return self._initialize()
            case "arm":
                return self._arm()
            case "trigger":
                return self._trigger(value)
            case "disarm" | "cancel" | "abort":
                return self._finish(name)
            case "status_update":
                return None
        raise RequestError(404, "unknown", f"detector/command has no {name!r}")

    def pulse(self, count: int = 1) -> None:
        """Give pulses on the trigger input, which the modes exts and exte wait for.

        Raises:
            RequestError: The detector does not wait for a pulse.
        """
        self._require_mode("a pulse", "exts", "exte")
        for _ in range(count):
            self._require("a pulse", "ready")
            self._expose(None)

    def _require(self, what: str, *states: str) -> None:
        if self.state not in states:
            raise RequestError(
                400,
                "not allowed",
                f"{what} is not allowed in state {self.state}, only in "
                + " or ".join(states),
            )

    def _require_mode(self, what: str, *modes: str) -> None:
        mode = self.config.text("trigger_mode")
        if mode not in modes:
            text = f"{what} needs trigger_mode {' or '.join(modes)}, it is {mode}"
            raise RequestError(400, "not allowed", text)

    def _initialize(self) -> None:
        self._require("initialize", "na", "idle", "ready", "error")
        with self._exposing:
            if self.state == "ready":
                self._end()
            self.state = "idle"

    def _arm(self) -> dict[str, int]:
        with self._exposing:
            self._require("arm", "idle")
            self.series += 1
            self._frames_sent = 0
            self._triggers_left = self.config.count("ntrigger")
            self._is_cancelled = False
            self._halt.clear()
            self.ports.stream.is_enabled = self._stream_text("mode") == "enabled"
            eiger_messages.prepare(self.config, self.seed)
            appendix = self._stream_text("header_appendix")
            self._send(eiger_messages.start(self.series, self.config, appendix))
            self.state = "ready"
        return {"sequence id": self.series}

    def _trigger(self, value: object) -> None:
        self._require("trigger", "ready")
        self._require_mode("trigger", "ints", "inte")
        takes_time = self.config.text("trigger_mode") == "inte"
        self._expose(_seconds(value) if takes_time else None)

    def _expose(self, exposure_s: float | None) -> None:
        if not self._exposing.acquire(blocking=False):
            raise RequestError(400, "not allowed", "the detector is exposing already")
        try:
            self._require("trigger", "ready")
            self.state = "acquire"
            self._send_images(exposure_s)
            self._triggers_left -= 1
            self.state = "ready"
            if self._triggers_left == 0 and not self._is_cancelled:
                self._end()
        except Died as death:
            self._die()
            raise RequestError(500, "died", str(death)) from None
        finally:
            self._exposing.release()

    def _send_images(self, exposure_s: float | None) -> None:
        count_time_s = exposure_s or self.config.number("count_time")

        def messages_of(frame: int) -> Sending:
            image = eiger_messages.image(
                self.series,
                frame,
                config=self.config,
                seed=self.seed,
                exposure_s=count_time_s,
                appendix=self._stream_text("image_appendix"),
                channels=len(self.channels) if self._is_cbor else 1,
            )
            return self._sending(image)

        period_s = self._period_s(exposure_s)
        stream = self.ports.stream
        stream.send_images(self._frames(), messages_of, period_s, self._halt)

    def _frames(self) -> Iterator[int]:
        for _ in range(self.config.images_per_trigger):
            if self._is_cancelled:
                return
            yield self._frames_sent
            self._frames_sent += 1

    def _period_s(self, exposure_s: float | None) -> float:
        if self._rate is not None:
            return 1 / self._rate if self._rate > 0 else 0.0
        return self.config.number("frame_time") if exposure_s is None else exposure_s

    def _finish(self, name: str) -> dict[str, int]:
        self._require(name, "idle", "ready", "acquire", "error")
        self._is_cancelled = True
        if name == "abort":
            self._halt.set()
        with self._exposing:
            if self.state == "ready":
                self._end()
        return {"sequence id": self.series}

    def _end(self) -> None:
        self._send(End(series=self.series))
        self.state = "idle"

    def _die(self) -> None:
        self.state = "na"
        self.ports.die()

    def _send(self, message: Start | End) -> None:
        self.ports.stream.send(self._sending(message))

    @property
    def _is_cbor(self) -> bool:
        return self._stream_text("format") == "cbor"

    def _sending(self, message: Message) -> Sending:
        detail = cast(HeaderDetail, self._stream_text("header_detail"))
        if self._is_cbor:
            with_tables = detail == "all"
            parts = eiger_cbor.parts(message, self.channels, with_tables=with_tables)
        else:
            parts = dectris_stream1.encode(message, header_detail=detail)
        return [(0, parts)]

    def _stream_text(self, key: str) -> str:
        return str(self.stream_config[key].value)


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    try:
        return msgspec.convert(value, Exposure)
    except msgspec.ValidationError:
        text = f"trigger takes the exposure in seconds, not {value!r}"
        raise RequestError(400, "bad value", text) from None
