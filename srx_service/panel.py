"""Where the pixels of an image are, before and after it was turned.

DECTRIS counts pixels from the upper left, seen from the sample. Lengths are in metres,
in NeXus' frame: z along the beam, y upwards, x to the left of who looks along the beam.
"""

from collections.abc import Mapping
from typing import NamedTuple

from srx_service.nxmx import Told, Vector, amount


class Panel(NamedTuple):
    """The pixels of an image, seen from where the beam hits the detector."""

    origin: Vector
    """The outer corner of the first pixel, in metres."""
    fast: Vector
    slow: Vector
    sizes: tuple[float, float]
    """Of a pixel, in metres: fast, slow."""
    shape: tuple[int, int]
    """(y, x) in pixels."""
    center: tuple[float, float]
    """Where the beam hits: x, y in pixels."""

    def turned(self) -> "Panel":
        """Return it for the image turned by a quarter, counter-clockwise."""
        rows, columns = self.shape
        length = columns * self.sizes[0]
        return Panel(
            _plus(self.origin, self.fast, length),
            self.slow,
            _plus((0.0, 0.0, 0.0), self.fast, -1.0),
            (self.sizes[1], self.sizes[0]),
            (columns, rows),
            (self.center[1], columns - self.center[0]),
        )


def _plus(start: Vector, direction: Vector, length: float) -> Vector:
    x, y, z = (a + b * length for a, b in zip(start, direction, strict=True))
    return x, y, z


def panel_of(
    found: Mapping[str, Told], shape: tuple[int, int], turns: int
) -> Panel | None:
    """Return where the pixels are; None where nobody said how large they are.

    Args:
        found: As `fields_of` returns it, for the image as the detector sent it.
        shape: (y, x) of the image as it is written.
        turns: By so many quarters it was turned, counter-clockwise.
    """
    try:
        dx, dy = (amount(found, f"detector/{axis}_pixel_size") for axis in "xy")
    except KeyError:
        return None
    unset = {f"detector/beam_center_{axis}": Told(0.0) for axis in "xy"}
    x, y = (amount({**unset, **found}, path) for path in unset)
    size = shape if turns % 2 == 0 else (shape[1], shape[0])
    made = Panel(
        (x * dx, y * dy, 0.0),
        (-1.0, 0.0, 0.0),
        (0.0, -1.0, 0.0),
        (dx, dy),
        size,
        (x, y),
    )
    for _ in range(turns % 4):
        made = made.turned()
    return made
