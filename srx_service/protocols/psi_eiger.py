"""PSI Eiger: the stream of slsDetectorPackage's receivers, a socket for each port.

Source: github.com/slsdetectorgroup/slsDetectorPackage, ZmqSocket.cpp, DataStreamer.cpp
and "ZMQ: Json Header Format" of its documentation. PUB binds at 30001 + port, SUB
connects. Each port sends its own part of every frame, and an end.

| message | part 0, JSON | part 1 |
|---|---|---|
| image | data 1, bitmode, detshape, shape, size, row, column, flipRows, frameIndex, … | pixels |
| end | data 0, all else 0 | none |

`detshape` ([x, y]) is how many ports there are, `shape` ([x, y]) what each has in
pixels. `frameNumber` is the detector's and joins the ports; `frameIndex` begins with 0
in each acquisition, `acqIndex` does not: it is `frameNumber` once more. `bitmode` is 4,
8, 12, 16 or 32. Gaps between chips are 0 in the joined picture.
"""  # noqa: E501 - rows of a table

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np

from srx_service.codecs import jsontext, psi_modules
from srx_service.codecs.fields import MAX_PIXELS
from srx_service.codecs.psi_frames import Acquisition, Frames, Header, Part
from srx_service.codecs.psi_modules import PIXELS, Layout
from srx_service.errors import ProtocolError
from srx_service.messages import (
    NO_PIXELS,
    Buffer,
    End,
    Image,
    Message,
    Start,
    extras_of,
)

MAX_PORTS = 256
"""More are taken for a damaged header: the Eiger of 9 million pixels has 72."""

PER_PORT = ("timestamp", "expLength", "packetNumber", "detSpec1", "bunchId")
"""What each port says anew of each frame; kept as lists, by row and column."""
_PER_FRAME = {
    *PER_PORT,
    *("acqIndex", "frameIndex", "frameNumber", "progress", "data", "completeImage"),
}

QUAD = Layout((2, 1), (256, 512))
"""One half module, its four chips in a square: a picture of (514, 514)."""


class PsiEigerDecoder:
    """Joins what the ports of a PSI Eiger send to frames and series."""

    socket: ClassVar[Literal["pull", "sub"]] = "sub"
    ports: ClassVar[tuple[int, ...]] = (30001, 30002)
    order: ClassVar[Literal["counter", "series"]] = "counter"

    def __init__(self) -> None:
        self._frames = Frames()

    def decode(self, parts: Sequence[Buffer], module: int = 0) -> Iterator[Message]:
        """Yield what these parts complete; nothing while ports are missing.

        Raises:
            ProtocolError: They are not what the module's table says, or frames had to
                be dropped because ports are missing.
        """
        fields = _fields(parts)
        if _is_end(fields):
            if len(parts) != 1:
                raise ProtocolError("part count", f"{len(parts)} parts, an end has 1")
            self._frames.leave(module)
            problem = None
        else:
            problem = self._frames.add(_part(fields, parts), module)
        for acquisition, frame in self._frames.take():
            if frame is not None:
                yield from _images(acquisition, frame)
            elif acquisition.is_open:
                yield End()
        if problem is not None:
            raise problem


def _fields(parts: Sequence[Buffer]) -> dict[str, Any]:
    if not parts:
        raise ProtocolError("part count", "a message without parts")
    return jsontext.read_object(parts[0], "part 0", jsontext.MAX_HEADER_BYTES)


def _is_end(fields: dict[str, Any]) -> bool:
    """Headers before version 4 may lack `data`; their end has no size."""
    return fields.get("data", fields.get("size")) == 0


def _part(fields: dict[str, Any], parts: Sequence[Buffer]) -> Part:
    if len(parts) != 2:
        raise ProtocolError(
            "part count", f"{len(parts)} parts; an image has 2, an end says data 0"
        )
    try:
        header = msgspec.convert(fields, Header)
    except msgspec.ValidationError as error:
        text = f"part 0: {error}: {jsontext.excerpt(parts[0])}"
        raise ProtocolError("bad field", text) from error
    _check_place(header)
    sizes = psi_modules.wire_sizes(header.bitmode, header.layout.port_shape)
    if not sizes:
        text = f"bitmode {header.bitmode}; {', '.join(map(str, PIXELS))} are known"
        raise ProtocolError("unknown bitmode", header.told(text))
    if header.size != len(parts[1]) or header.size not in sizes:
        text = f"{len(parts[1])} bytes came, size tells {header.size}, bitmode and"
        text = f"{text} shape make {' or '.join(map(str, sizes))}"
        raise ProtocolError("wrong size", header.told(text))
    return Part(header, fields, parts[1], len(parts[0]) + len(parts[1]))


def _check_place(header: Header) -> None:
    rows, columns = header.layout.ports
    if rows * columns > MAX_PORTS:
        text = f"{rows * columns} ports, at most {MAX_PORTS} are allowed"
        raise ProtocolError("too many ports", header.told(text))
    if header.row >= rows or header.column >= columns:
        text = f"not within detshape, {rows} rows and {columns} columns of ports"
        raise ProtocolError("bad place", header.told(text))
    height, width = header.layout.port_shape
    if rows * columns * height * width > MAX_PIXELS:
        text = f"{header.shape} in each port, at most {MAX_PIXELS} are allowed in all"
        raise ProtocolError("too many pixels", header.told(text))


def _images(acquisition: Acquisition, frame: list[Part]) -> Iterator[Message]:
    """Yield a frame; before the first one its Start, and a hole for each one lost."""
    header = frame[0].header
    # a port that lost its first frames counts from a later one
    index = max(part.header.frame_index for part in frame)
    if not acquisition.is_open:
        acquisition.is_open = True
        yield Start(filename=_filename(header.fname), metadata=_metadata(frame))
        lost = min(acquisition.lost_before, index)
        yield from (_hole(index - k) for k in range(lost, 0, -1))
    images = {(part.header.row, part.header.column): _pixels(part) for part in frame}
    dtype = PIXELS[header.bitmode]
    picture = psi_modules.join(header.layout, dtype, images)
    yield Image(
        number=None,
        frame=index,
        shape=picture.shape,
        dtype=dtype,
        encoding="none",
        blobs=(picture.reshape(-1).view(np.uint8).data,),
        extras=_extras(frame),
    )


def _hole(index: int) -> Image:
    """Return what keeps the place of a frame some ports lost before any was whole."""
    return Image(
        number=None,
        frame=index,
        shape=(),
        dtype="",
        encoding=NO_PIXELS,
        blobs=(),
        discard=True,
    )


def _pixels(part: Part) -> np.ndarray:
    header = part.header
    shape = header.layout.port_shape
    pixels = psi_modules.unpack(part.blob, header.bitmode, shape)
    return pixels[::-1] if header.flip_rows else pixels


def _filename(fname: str) -> str:
    """Return the file a client asks for; the package's own default, /run, is none."""
    path = PurePosixPath(fname)
    is_meant = path.is_absolute() and len(path.parts) > 2
    return fname if is_meant else ""


def _metadata(frame: list[Part]) -> dict[str, Any]:
    """Return what holds for the series; a list where the ports differ."""
    metadata: dict[str, Any] = {}
    for key in frame[0].fields:
        values = [part.fields.get(key) for part in frame]
        if key not in _PER_FRAME:
            is_same = all(value == values[0] for value in values)
            metadata[key] = values[0] if is_same else values
    return metadata


def _extras(frame: list[Part]) -> dict[str, Any]:
    extras: dict[str, Any] = {
        "frameNumber": frame[0].header.frame_number,
        "completeImage": min(part.header.complete_image for part in frame),
    }
    for key in PER_PORT:
        if key in frame[0].fields:
            extras[key] = [part.fields.get(key) for part in frame]
    return extras


def encode(
    message: Message, start: Start, layout: Layout = QUAD
) -> list[tuple[int, list[Buffer]]]:
    """Return what the ports send for a message: (module, parts) each.

    Args:
        message: A Start is not sent: its images tell it.
        start: Of the series; its metadata are the headers' fields.
        layout: Of the detector; flipRows is 1 for every other row.

    Raises:
        ValueError: The message has what the protocol has no word for.
    """
    places = [
        (row, column)
        for row in range(layout.ports[0])
        for column in range(layout.ports[1])
    ]
    if isinstance(message, Start):
        return []
    if isinstance(message, End):
        end = jsontext.write({"jsonversion": 4, "size": 0, "data": 0}) + b"\n"
        return [(module, [end]) for module in range(len(places))]
    return [
        (module, _encode_port(message, start, layout, place, module))
        for module, place in enumerate(places)
    ]


def _encode_port(
    image: Image, start: Start, layout: Layout, place: tuple[int, int], module: int
) -> list[Buffer]:
    if image.encoding != "none" or image.dtype not in PIXELS.values():
        raise ValueError(f"{image.encoding} of {image.dtype}: plain unsigned is sent")
    if image.shape != layout.shape:
        raise ValueError(f"a picture of {image.shape}, {layout.shape} is due")
    picture = np.frombuffer(image.blobs[0], image.dtype).reshape(image.shape)
    is_flipped = place[0] % 2 > 0
    pixels = psi_modules.cut(layout, picture, *place)
    blob = pixels[::-1].tobytes() if is_flipped else pixels.tobytes()
    extras, frame = extras_of(image), image.frame
    fields = {
        "jsonversion": 4,
        "bitmode": 8 * picture.itemsize,
        "fileIndex": 0,
        "detshape": layout.ports[::-1],
        "shape": layout.port_shape[::-1],
        "size": len(blob),
        "acqIndex": extras.get("frameNumber", frame + 1),
        "frameIndex": frame,
        "fname": start.filename,
        "data": 1,
        "completeImage": extras.get("completeImage", 1),
        "frameNumber": extras.get("frameNumber", frame + 1),
        "modId": 0,
        "detType": 1,
        "version": 2,
        "quad": 0,
    }
    fields |= start.metadata or {}
    fields |= {key: extras[key][module] for key in PER_PORT if key in extras}
    fields |= {"row": place[0], "column": place[1], "flipRows": int(is_flipped)}
    return [jsontext.write(fields) + b"\n", blob]
