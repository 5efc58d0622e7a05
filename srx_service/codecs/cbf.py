"""CBF files as PILATUS detectors write them: a text, a MIME header, packed pixels.

Source: IUCr, International Tables for Crystallography G, 5.6 (CBF), and DECTRIS,
"CBF header specification" 1.4 (miniCBF); fabio reads and writes the same.

| part | content |
|---|---|
| text | `###CBF: VERSION …`, `# Exposure_time 0.1 s` and the like |
| MIME header | after `--CIF-BINARY-FORMAT-SECTION--`; a line per field, any case |
| marker | 0C 1A 04 D5 |
| pixels | so many bytes as `X-Binary-Size` says |
| rest | padding and the closing lines, which nobody needs |

`x-CBF_BYTE_OFFSET` packs each pixel as its difference to the one before: 1 byte, or
80 and 2 bytes, or 80 00 80 and 4 bytes, or 80 00 80 00 00 00 80 and 8 bytes, all signed
and little-endian. `Content-MD5` is not compared: it takes longer than the decoding.
"""

import base64
import hashlib
import re
from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import numpy as np

from srx_service.codecs.library import as_bytes
from srx_service.messages import Buffer

MARKER = b"\x0c\x1a\x04\xd5"
SECTION = b"--CIF-BINARY-FORMAT-SECTION--"
MAX_TEXT_BYTES = 64 << 10
"""The marker is looked for so far; real texts have 2 KiB."""
PADDING_BYTES = 4095
ELEMENT_TYPE = "signed 32-bit integer"
BYTE_OFFSET = "x-cbf_byte_offset"
ALLOWED: dict[str, tuple[str, ...]] = {
    "x-binary-element-type": (ELEMENT_TYPE,),
    "x-binary-element-byte-order": ("little_endian",),
    "content-transfer-encoding": ("binary",),
    "conversions": ("", "x-cbf_none", BYTE_OFFSET),
}
"""What fields may say, where they are given."""

_FOLD = re.compile(r"\r?\n[ \t]+")
_FIELD = re.compile(r"^([\w-]+):[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)
_CONVERSIONS = re.compile(r'conversions\s*=\s*"?([^";\s]*)', re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,18}")


class _Section(NamedTuple):
    """Where the pixels are and how they are packed."""

    start: int
    size: int
    is_packed: bool


def decode(blob: Buffer, shape: tuple[int, ...]) -> np.ndarray:
    """Return the pixels of a whole CBF file as int32; read-only if they are not packed.

    Raises:
        ValueError: The file does not hold an image of this shape.
    """
    section = _find(blob, shape)
    source = as_bytes(blob)[section.start : section.start + section.size]
    if not section.is_packed:
        return source.view("<i4").reshape(shape)
    # Not at the top: numba is imported only where something is to be decoded.
    from srx_service.codecs import kernels

    pixels = np.empty(shape, np.int32)
    made, used, value = kernels.byte_offsets(source, pixels.reshape(-1))
    if made == pixels.size and used == section.size:
        return pixels
    raise ValueError(f"cbf: {_fault(made, used, value, pixels.size, section.size)}")


def _fault(made: int, used: int, value: int, count: int, size: int) -> str:
    if not -(2**31) <= value < 2**31:
        return f"pixel {made} of {count} is {value}, 32 bits with sign are allowed"
    if used > size:
        return f"the {size} bytes of X-Binary-Size end within pixel {made} of {count}"
    if made < count:
        return f"the {size} bytes of X-Binary-Size make {made} pixels, not {count}"
    return f"its {count} pixels take {used} bytes, X-Binary-Size is {size}"


def _find(blob: Buffer, shape: tuple[int, ...]) -> _Section:
    """Read and check the MIME header; all that is too short or too long is refused."""
    text = bytes(blob[:MAX_TEXT_BYTES])
    end = text.find(MARKER)
    if end < 0:
        found = f"no marker 0C 1A 04 D5 in the first {len(text)} of {len(blob)} bytes"
        raise ValueError(f"cbf: {found}, which begin with {text[:40]!r}")
    fields = _fields(text[max(0, text.rfind(SECTION, 0, end)) : end])
    for name, allowed in ALLOWED.items():
        value = fields.get(name, allowed[0])
        if value.lower() not in allowed:
            found = f"{name} {value[:80]!r}, allowed is {allowed[-1]!r}"
            raise ValueError(f"cbf: {found}")
    size = _number(fields, "x-binary-size")
    start = end + len(MARKER)
    if size is None or size > len(blob) - start:
        found = "is missing" if size is None else str(size)
        left = len(blob) - start
        raise ValueError(f"cbf: X-Binary-Size {found}, {left} bytes follow the marker")
    _check_shape(fields, shape)
    is_packed = fields["conversions"].lower() == BYTE_OFFSET
    if not is_packed and size != 4 * prod(shape):
        found = f"{size} bytes that are not packed"
        raise ValueError(f"cbf: {found}, shape {shape} makes {4 * prod(shape)}")
    return _Section(start, size, is_packed)


def _fields(section: bytes) -> dict[str, str]:
    """Return the fields by their names in small letters, the values without quotes."""
    text = _FOLD.sub(" ", section.decode("latin-1"))
    fields = {name.lower(): value.strip('"') for name, value in _FIELD.findall(text)}
    conversions = _CONVERSIONS.search(fields.get("content-type", ""))
    fields["conversions"] = str(conversions[1]) if conversions else ""
    return fields


def _number(fields: dict[str, str], name: str) -> int | None:
    if name not in fields:
        return None
    if not _NUMBER.fullmatch(fields[name]):
        raise ValueError(f"cbf: {name} {fields[name][:80]!r} is no number")
    return int(fields[name])


def _check_shape(fields: dict[str, str], shape: tuple[int, ...]) -> None:
    for name, wanted in _dimensions(shape):
        found = _number(fields, name.lower())
        if found is not None and found != wanted:
            raise ValueError(f"cbf: {name} {found}, shape {shape} makes {wanted}")


def _dimensions(shape: tuple[int, ...]) -> Iterator[tuple[str, int]]:
    yield "X-Binary-Number-of-Elements", prod(shape)
    for order, size in zip(("Fastest", "Second", "Third"), shape[::-1], strict=False):
        yield f"X-Binary-Size-{order}-Dimension", size


def encode(pixels: np.ndarray, name: str = "image", exposure_s: float = 0.1) -> bytes:
    """Return a whole CBF file, as a PILATUS's control software writes it.

    Args:
        pixels: Integers that 32 bits with sign can hold, slowest axis first.
        name: Of the data block.
        exposure_s: Told in the text.
    """
    packed = _pack(np.asarray(pixels, np.int32).reshape(-1).astype(np.int64))
    digest = base64.b64encode(hashlib.md5(packed, usedforsecurity=False).digest())
    lines = [
        f"###CBF: VERSION 1.5\r\ndata_{name}\r\n",
        '_array_data.header_convention "PILATUS_1.2"',
        "_array_data.header_contents\r\n;\r\n# Detector: PILATUS",
        f"# Exposure_time {exposure_s} s\r\n;\r\n",
        "_array_data.data\r\n;",
        SECTION.decode(),
        "Content-Type: application/octet-stream;",
        '     conversions="x-CBF_BYTE_OFFSET"',
        "Content-Transfer-Encoding: BINARY",
        f"X-Binary-Size: {len(packed)}",
        "X-Binary-ID: 1",
        f'X-Binary-Element-Type: "{ELEMENT_TYPE}"',
        "X-Binary-Element-Byte-Order: LITTLE_ENDIAN",
        f"Content-MD5: {digest.decode()}",
        *(f"{field}: {size}" for field, size in _dimensions(pixels.shape)),
        f"X-Binary-Size-Padding: {PADDING_BYTES}",
    ]
    text = "\r\n".join(lines).encode() + b"\r\n\r\n"
    rest = bytes(PADDING_BYTES) + b"\r\n" + SECTION + b"--\r\n;\r\n"
    return text + MARKER + packed + rest


def _pack(values: np.ndarray) -> bytes:
    """Return the byte offsets of int64 values."""
    changes = np.diff(values, prepend=0)
    widths = np.ones(changes.size, np.int64)
    for width in (1, 2, 4):
        widths[abs(changes) >= 1 << (8 * width - 1)] += 2 * width
    ends = np.cumsum(widths)
    packed = np.zeros(int(ends[-1]) if ends.size else 0, np.uint8)
    for width in (1, 2, 4, 8):
        is_wide = widths == 2 * width - 1
        wide = changes[is_wide].astype(f"<i{width}").view(np.uint8)
        first = ends[is_wide] - width
        packed[first[:, None] + np.arange(width)] = wide.reshape(-1, width)
        is_wider = widths > 2 * width - 1
        # an escape is the least number of its width: its highest byte is 80
        packed[(ends - widths)[is_wider] + 2 * width - 2] = 0x80
    return packed.tobytes()
