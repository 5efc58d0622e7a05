"""Ports of a PSI Eiger to one picture and back: places, gaps, pixels of 4 and 12 bits.

Source: slsDetectorPackage, github.com/slsdetectorgroup. DetectorImpl.cpp places the
ports and the gaps between them, qDrawPlot.cpp unpacks pixels. A port sends half of a
half module, 512 x 256 pixels of two chips.
"""

import functools
from math import prod
from typing import NamedTuple

import numpy as np

from srx_service.messages import Buffer

CHIP = 256
"""Pixels of a chip, each way."""
CHIP_GAP = 2
"""Pixels without a sensor of their own between two chips of a module."""
MODULE_PORTS = 2
"""Ports of a module, each way."""
MODULE_GAP = (36, 8)
"""Pixels between two modules: rows, columns."""

PIXELS = {4: "uint8", 8: "uint8", 12: "uint16", 16: "uint16", 32: "uint32"}
"""Type of the pixels in a picture, by bits of a pixel on the wire (`bitmode`)."""


class _Piece(NamedTuple):
    """A chip along one axis."""

    here: slice
    """In the picture."""
    there: slice
    """In the image of its port."""


class Layout(NamedTuple):
    """A detector: how many ports, and of which shape."""

    ports: tuple[int, int]
    """Rows and columns of ports: (2, 1) for a quad."""
    port_shape: tuple[int, int]
    """In pixels, slowest axis first: (256, 512)."""

    @property
    def shape(self) -> tuple[int, int]:
        """Of the picture, in pixels, gaps included: (514, 514)."""
        rows, columns = self._axes()
        return rows[-1][-1].here.stop, columns[-1][-1].here.stop

    def _axes(self) -> tuple[list[list[_Piece]], list[list[_Piece]]]:
        rows, columns = zip(self.ports, self.port_shape, MODULE_GAP, strict=True)
        return _axis(*rows), _axis(*columns)

    def pieces(self, row: int, column: int) -> list[tuple[_Piece, _Piece]]:
        """Return where the chips of a port are; row 0 is at the end of the picture."""
        rows, columns = self._axes()
        return [(y, x) for y in rows[self.ports[0] - 1 - row] for x in columns[column]]


@functools.lru_cache(maxsize=32)
def _axis(ports: int, size: int, module_gap: int) -> list[list[_Piece]]:
    """Return the chips of each port; a port of another size is taken for one chip."""
    chip = size if size % CHIP else CHIP
    pieces: list[list[_Piece]] = []
    at = 0
    for port in range(ports):
        if port:
            at += CHIP_GAP if port % MODULE_PORTS else module_gap
        pieces.append([])
        for begin in range(0, size, chip):
            at += CHIP_GAP if begin else 0
            piece = _Piece(slice(at, at + chip), slice(begin, begin + chip))
            pieces[port].append(piece)
            at += chip
    return pieces


def layout_for(ports: tuple[int, int], shape: tuple[int, ...]) -> Layout:
    """Return the layout whose picture has this shape.

    Raises:
        ValueError: There is none.
    """
    sizes = [_size_for(*axis) for axis in zip(ports, shape, MODULE_GAP, strict=True)]
    return Layout(ports, (sizes[0], sizes[1]))


@functools.lru_cache(maxsize=32)
def _size_for(ports: int, total: int, module_gap: int) -> int:
    sizes = range(total // ports, 0, -1)
    for size in sorted(sizes, key=lambda size: size % CHIP > 0):  # whole chips first
        if _axis(ports, size, module_gap)[-1][-1].here.stop == total:
            return size
    raise ValueError(f"{total} pixels cannot be {ports} ports and the gaps between")


def join(
    layout: Layout, dtype: str, images: dict[tuple[int, int], np.ndarray]
) -> np.ndarray:
    """Return the picture of all ports; gaps are 0.

    Args:
        layout: Of the detector.
        dtype: Of the pixels.
        images: By row and column of the port.
    """
    picture = np.zeros(layout.shape, dtype)
    for place, image in images.items():
        for y, x in layout.pieces(*place):
            picture[y.here, x.here] = image[y.there, x.there]
    return picture


def cut(layout: Layout, picture: np.ndarray, row: int, column: int) -> np.ndarray:
    """Return the image of one port: the inverse of `join`."""
    image = np.empty(layout.port_shape, picture.dtype)
    for y, x in layout.pieces(row, column):
        image[y.there, x.there] = picture[y.here, x.here]
    return image


def wire_sizes(bitmode: int, shape: tuple[int, int]) -> tuple[int, ...]:
    """Return how many bytes an image of a port may have; empty: no such bitmode.

    Of 12 bits there are two: packed, and in 16 bits each.
    """
    if bitmode not in PIXELS:
        return ()
    count = prod(shape)
    exact = -(-count * bitmode // 8)
    return (exact, 2 * count) if bitmode == 12 else (exact,)


def unpack(blob: Buffer, bitmode: int, shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels of a blob, which has one of `wire_sizes`."""
    count = prod(shape)
    if bitmode == 4:
        # the left pixel in the high bits, as qDrawPlot.cpp has it
        octets = np.frombuffer(blob, np.uint8)
        pixels = np.stack([octets >> 4, octets & 15], axis=-1)
    elif bitmode == 12 and len(blob) != 2 * count:
        pixels = _unpack_12(np.frombuffer(blob, np.uint8))
    else:
        pixels = np.frombuffer(blob, np.dtype(PIXELS[bitmode]).newbyteorder("<"))
    return pixels.reshape(-1)[:count].reshape(shape)


def _unpack_12(octets: np.ndarray) -> np.ndarray:
    """Return two pixels for each three bytes, the lowest bits first.

    Not the kernel of mono12p: the receive thread cannot wait until that is compiled.
    """
    padded = np.zeros(-(-len(octets) // 3) * 3, np.uint16)
    padded[: len(octets)] = octets
    first, middle, last = padded.reshape(-1, 3).T
    return np.stack([first | (middle & 15) << 8, middle >> 4 | last << 4], axis=-1)
