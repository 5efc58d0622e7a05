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
from typing import Self, Unpack

from srx_service.errors import RequestError
from srx_service.messages import End, Message, Start
from srx_service.simulators import eiger_messages, simplon_rest
from srx_service.simulators.answers import BadAnswers
from srx_service.simulators.control import Ports
from srx_service.simulators.faults import Died
from srx_service.simulators.parameters import (
    API_VERSION,
    OLD_API_VERSION,
    Value,
    stream_parameters,
    threshold_parameters,
)
from srx_service.simulators.simplon import DetectorConfig, exposure_of
from srx_service.simulators.stream import Sending, StreamOptions

EIGER_1M = (1065, 1030)


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
        thresholds: Enabled at first: channels of an image in stream v2; v1 has one.
        difference: Enabled at first, one channel more.
        fixed: Values of `detector/config` that another model has otherwise.
        api_version: "1.6.0" knows neither the key `format` nor further thresholds.
        fail_at: Before this frame of a series it comes into state `error`.
        answers: Those that go wrong.
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
        api_version: str = API_VERSION,
        fail_at: int | None = None,
        answers: BadAnswers | None = None,
        **stream: Unpack[StreamOptions],
    ) -> None:
        self.state = "idle" if is_initialized else "na"
        self.series = 0
        self.seed = seed
        self.api_version = api_version
        is_old = api_version == OLD_API_VERSION
        more = {} if is_old else threshold_parameters(thresholds, difference)
        self.config = DetectorConfig(shape, dtype, wide_above_s, more)
        self.config.fix({"software_version": api_version, **(fixed or {})})
        self.stream_config = stream_parameters("legacy" if is_old else stream_format)
        if is_old:
            del self.stream_config["format"]
        self.errors: list[str] = []
        """What `detector/status/error` says."""
        self.answers = answers or BadAnswers()
        app = simplon_rest.create_app(self)
        self.ports = Ports(app, host, control_port, stream_port, seed, **stream)
        self.stream_port = self.ports.stream.port
        self.control_port = self.ports.control_port
        self.url = self.ports.url
        self.endpoint = self.ports.endpoint
        self._rate = rate
        self._fail_at = fail_at
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

    @property
    def channels(self) -> dict[str, float]:
        """Channels of an image in stream v2, by name, with their energies."""
        return self.config.channels()

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
            self.state, self.errors = "idle", []

    def _arm(self) -> dict[str, int]:
        with self._exposing:
            self._require("arm", "idle")
            if self._is_cbor and not self.channels:
                raise RequestError(400, "not allowed", "no threshold is enabled")
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
        self._expose(exposure_of(value) if takes_time else None)

    def _expose(self, exposure_s: float | None) -> None:
        if not self._exposing.acquire(blocking=False):
            raise RequestError(400, "not allowed", "the detector is exposing already")
        try:
            self._require("trigger", "ready")
            self.state = "acquire"
            self._send_images(exposure_s)
            if self.errors:
                self.state = "error"
                raise RequestError(500, "failed", self.errors[0])
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
            if self._frames_sent == self._fail_at:
                self.errors = ["the simulator was told to fail"]
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
        return eiger_messages.is_cbor(self.stream_config)

    def _sending(self, message: Message) -> Sending:
        return eiger_messages.sending(message, self.stream_config, self.channels)

    def _stream_text(self, key: str) -> str:
        return str(self.stream_config[key].value)
