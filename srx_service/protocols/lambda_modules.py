"""X-Spectrum Lambda: four modules, each a generic stream of its own, made one image.

Source: class Lambda of github.com/maxiv-science/streaming-receiver (detector.py); what x,
y and rotation mean: github.com/areaDetector/ADLambda (ADLambda.cpp). Four sockets PUSH,
ports 9010 to 9013, and a PULL connects to each.

| message | part 0, JSON, as in the generic stream | further parts |
|---|---|---|
| header | htype "header", filename, msg_number | JSON: x, y, rotation, full_shape, … |
| image | htype "image", shape [4, h, w] (or [h, w]), chunks [1, h, w], … | one module |
| end | htype "series_end", msg_number | none |

`msg_number` is the same on all four, and by it their messages are put together. x and y
are the first column and row of a module in an image of `full_shape`, [rows, columns];
`rotation` is in degrees. A Start has x, y and rotation of all modules as lists, every
image has them too. Where headers tell different things, module 0 is believed.
"""  # noqa: E501 - rows of a table

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, cast

import msgspec
from msgspec.structs import replace

from srx_service.codecs import geometry
from srx_service.codecs.fields import MAX_PIXELS
from srx_service.codecs.geometry import BY_MODULE, GEOMETRY, Place
from srx_service.codecs.jsontext import excerpt
from srx_service.errors import ProtocolError
from srx_service.messages import Buffer, End, Image, Message, Start, extras_of
from srx_service.protocols import stins

MODULES = 4
WINDOW_NUMBERS = 2048
"""Numbers that may wait for a module. Beyond, the one that waits longest is given up:
an image is dropped, the rest of the line finds it missing; a Start or an End passes."""
WINDOW_BYTES = 256 << 20
"""What may wait, in bytes; beyond, the same. The newest number always may."""
ENOUGH = 2
"""A Start or an End of so many modules passes, though the others lost theirs. Of one
alone it may be a repetition."""


class _Kind(msgspec.Struct):
    htype: str = ""


@dataclass(slots=True)
class _Waiting:
    """What came of one number so far."""

    messages: dict[int, Message | None] = field(default_factory=dict)
    """By module; None: it came, but cannot be read."""
    size_bytes: int = 0

    @property
    def is_spoilt(self) -> bool:
        """True where a module's message cannot be read."""
        return None in self.messages.values()


class LambdaDecoder:
    """Puts the messages of four modules together, by their numbers.

    A message of one module that is missing or broken costs one frame, and never the
    series: its Start passes without it.
    """

    socket: ClassVar[Literal["pull", "sub"]] = "pull"
    ports: ClassVar[tuple[int, ...]] = (9010, 9011, 9012, 9013)
    order: ClassVar[Literal["counter", "series"]] = "counter"
    modules: ClassVar[int] = MODULES

    def __init__(self) -> None:
        self._stins = stins.StinsDecoder()
        self._waiting: dict[int, _Waiting] = {}
        """By number, in the order in which they began to wait."""
        self._starts: set[int] = set()
        """Those of them that are a Start or an End."""
        self._waiting_bytes = 0
        self._last = [-1] * MODULES
        """The number that came last of each module."""
        self._places: list[Place | None] = [None] * MODULES
        """Where each module was last said to be."""
        self._geometry: dict[str, Any] = {}
        """Of the series: what every image gets."""
        self._complaints: list[ProtocolError] = []

    def decode(self, parts: Sequence[Buffer], module: int = 0) -> Iterator[Message]:
        """Yield what these parts complete; nothing while modules are missing.

        Raises:
            ProtocolError: They are not what the module's table says, or do not fit to
                those of other modules. It has a number where the frame is lost by it.
        """
        if module not in range(MODULES):
            text = f"there is no module {module}, a Lambda has 0 to {MODULES - 1}"
            raise ProtocolError("unknown module", text)
        try:
            (message,) = self._stins.decode(parts)
            number = _checked(message, parts[0])
        except ProtocolError as error:
            self._spoil(error, parts, module)
            raise
        if isinstance(message, Start):
            self._begin(message, number, module)
        self._last[module] = number
        self._add(number, module, message, sum(map(len, parts)))
        yield from self._complete(number)
        yield from self._bound()
        complaints, self._complaints = self._complaints, []
        if complaints:
            raise complaints[0]

    def _add(self, number: int, module: int, message: Message, size: int) -> None:
        waiting = self._waiting.setdefault(number, _Waiting())
        if module in waiting.messages:
            text = f"module {module} sent number {number} twice; the first is kept"
            raise ProtocolError("duplicate message", text)
        waiting.messages[module] = message
        waiting.size_bytes += size
        self._waiting_bytes += size
        if not isinstance(message, Image):
            self._starts.add(number)

    def _take(self, number: int) -> tuple[_Waiting, bool]:
        waiting, is_frame = self._waiting.pop(number), number not in self._starts
        self._waiting_bytes -= waiting.size_bytes
        self._starts.discard(number)
        return waiting, is_frame

    def _spoil(
        self, error: ProtocolError, parts: Sequence[Buffer], module: int
    ) -> None:
        """Let the frame be lost, once; a Start or an End may pass without a module."""
        number, error.number = error.number, None
        if number is None or not _is_image(parts[0]):
            return
        waiting = self._waiting.setdefault(number, _Waiting())
        if module in waiting.messages:
            return
        if not waiting.is_spoilt:
            error.number = number
        waiting.messages[module] = None
        if len(waiting.messages) == MODULES:
            self._take(number)

    def _begin(self, start: Start, number: int, module: int) -> None:
        """Learn where the module is; forget what it sent before it was restarted."""
        self._places[module] = _place_in(start) or self._places[module]
        if number >= self._last[module]:
            return
        for old, waiting in list(self._waiting.items()):
            if old > number and module in waiting.messages:
                self._take(old)

    def _complete(self, number: int) -> Iterator[Message]:
        """Yield what all modules have sent, and before it what not all will send."""
        if len(self._waiting[number].messages) < MODULES:
            return
        complete, is_frame = self._take(number)
        # Each connection keeps the order: what a module has not sent by now, it lost.
        overdue = self._starts if is_frame else self._waiting
        yield from self._give_up(sorted(n for n in overdue if n < number))
        if not complete.is_spoilt:
            yield from self._join(number, complete)

    def _bound(self) -> Iterator[Message]:
        waiting = self._waiting
        while len(waiting) > WINDOW_NUMBERS or (
            self._waiting_bytes > WINDOW_BYTES and len(waiting) > 1
        ):
            yield from self._give_up([next(iter(waiting))])

    def _give_up(self, numbers: Sequence[int]) -> Iterator[Message]:
        """Yield Starts and Ends of enough modules; drop all else."""
        for number in numbers:
            waiting, is_frame = self._take(number)
            if not is_frame and len(waiting.messages) >= ENOUGH:
                yield from self._join(number, waiting)
            elif not waiting.is_spoilt:
                silent = [k for k in range(MODULES) if k not in waiting.messages]
                text = f"number {number} is given up: it never came of modules {silent}"
                self._complaints.append(ProtocolError("incomplete frame", text))

    def _join(self, number: int, waiting: _Waiting) -> Iterator[Message]:
        found = dict(sorted(waiting.messages.items()))
        told = [_told(message) for message in found.values()]
        first = next(iter(found.values()))
        if len(set(told)) > 1:
            text = f"number {number}: {told}; all modules must send the same"
            error = ProtocolError("modules disagree", text, number=number)
            self._complaints.insert(0, error)
        elif isinstance(first, Start):
            yield self._start(cast("dict[int, Start]", found))
        elif isinstance(first, Image):
            yield self._image(cast("list[Image]", list(found.values())))
        else:
            yield End(number=number)

    def _start(self, starts: dict[int, Start]) -> Start:
        first = next(iter(starts.values()))
        places = [
            _place_in(starts[k]) if k in starts else self._places[k]
            for k in range(MODULES)
        ]
        names = {start.filename for start in starts.values()}
        shapes = {place and place.full_shape for place in places}
        if len(names) > 1 or len(shapes) > 1:
            text = f"headers of number {first.number}: {shapes}, {names}"[:1000]
            self._complaints.append(ProtocolError("modules disagree", text))
        self._geometry = geometry.as_fields(places)
        told = (first.metadata or {}).items()
        metadata = {key: value for key, value in told if key not in GEOMETRY}
        return replace(first, metadata=metadata | self._geometry or None)

    def _image(self, images: list[Image]) -> Image:
        first = images[0]
        extras = extras_of(first) | self._geometry
        extras.pop("chunks", None)
        return replace(
            first,
            shape=(MODULES, *first.shape[-2:]),
            blobs=tuple(image.blobs[0] for image in images),
            extras=extras,
            discard=any(image.discard for image in images),
        )


def _checked(message: Message, raw: Buffer) -> int:
    """Return the number of a message that is such as a module sends."""
    number = message.number
    if number is None:
        text = f"modules are put together by msg_number: {excerpt(raw)}"
        raise ProtocolError("no msg_number", text)
    if isinstance(message, Start):
        _place_in(message)
    elif isinstance(message, Image):
        shape = message.shape
        if len(shape) != 2 and (len(shape) != 3 or shape[0] != MODULES):
            text = f"shape {list(shape)}; allowed are [h, w] and [{MODULES}, h, w]"
            raise ProtocolError("bad shape", text, number=number)
        if len(message.blobs) != 1:
            text = f"{len(message.blobs)} blobs, a module sends one"
            raise ProtocolError("part count", text, number=number)
        if MODULES * math.prod(shape[-2:]) > MAX_PIXELS:
            text = f"{MODULES} modules {shape}, at most {MAX_PIXELS} pixels are allowed"
            raise ProtocolError("too many pixels", text, number=number)
    return number


def _place_in(start: Start) -> Place | None:
    """Return where a header says its module is; None where it does not say."""
    try:
        return geometry.place_in(start.metadata or {})
    except ValueError as error:
        text = f"{error}; x, y, rotation and full_shape, [rows, columns], are known"
        raise ProtocolError("bad geometry", text, number=start.number) from error


def _is_image(raw: Buffer) -> bool:
    try:
        return msgspec.json.decode(raw, type=_Kind).htype == "image"
    except (ValueError, RecursionError):
        return False


def _told(message: Message | None) -> tuple[object, ...]:
    if isinstance(message, Image):
        shape = message.shape[-2:]
        return message.frame, shape, message.dtype, message.encoding
    return (type(message).__name__,)


def encode(message: Message) -> list[list[Buffer]]:
    """Return the parts of a message by module, as a Lambda sends it.

    Raises:
        ValueError: An image that is not of four modules cannot be sent.
    """
    return [_encode_one(message, module) for module in range(MODULES)]


def _encode_one(message: Message, module: int) -> list[Buffer]:
    if isinstance(message, Start) and message.metadata is not None:
        metadata = dict(message.metadata)
        for key in BY_MODULE:
            if key in metadata:
                metadata[key] = metadata[key][module]
        message = replace(message, metadata=metadata)
    elif isinstance(message, Image):
        if len(message.blobs) != MODULES or message.shape[0] != MODULES:
            raise ValueError(f"an image of a Lambda has {MODULES} modules")
        told = extras_of(message).items()
        extras = {key: value for key, value in told if key not in GEOMETRY}
        extras["chunks"] = [1, *message.shape[1:]]
        message = replace(message, blobs=(message.blobs[module],), extras=extras)
    return stins.encode(message, message.number or 0)
