"""What a viewer wants to see: sent as JSON, key by key, at any time."""

from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta

from srx_service.picture import MASK_LEVEL, PERCENTILES, Scale
from srx_service.regions import Region

MAX_RATE_HZ = 20.0
"""More than an eye sees; who wants every frame connects to the secondary port."""
MAX_SIDE = 4096
"""Of a picture, in pixels: as many as a screen has."""
MAX_REGIONS = 8
MAX_BINS = 256

Side = Annotated[int, Meta(ge=1, le=MAX_SIDE)]
Place = Annotated[int, Meta(ge=0, le=2**31)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Box = tuple[Place, Place, Place, Place]


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is shown to one viewer."""

    rate_hz: Annotated[float, Meta(gt=0, le=MAX_RATE_HZ)] = 5.0
    """Pictures a second at most."""
    max_rows: Side = 1024
    """Of the picture; a larger frame is reduced."""
    max_columns: Side = 1024
    region: Box | None = None
    """The part of the frame that is shown; null: all of it."""
    scale: Scale = "linear"
    """Of the levels."""
    low: float | None = None
    """What becomes level 0; null: by percentiles."""
    high: float | None = None
    """What becomes the last level."""
    percentiles: tuple[Percent, Percent] = PERCENTILES
    """Of the pixels that are shown."""
    cursor: tuple[Place, Place] | None = None
    """A pixel whose value is told: [y, x]."""
    sums: Annotated[list[Box], Meta(max_length=MAX_REGIONS)] = []
    """Regions that are summed up."""
    histogram: Annotated[int, Meta(ge=0, le=MAX_BINS)] = 0
    """How many bins it has at most; 0: none is made."""
    paused: bool = False
    """True: no pictures come."""

    def __post_init__(self) -> None:
        """Refuse what no frame can meet."""
        regions: list[Region] = [*self.sums, *([self.region] if self.region else [])]
        for y0, x0, y1, x1 in regions:
            if y1 <= y0 or x1 <= x0:
                text = f"region [{y0}, {x0}, {y1}, {x1}] is empty: [y0, x0, y1, x1]"
                raise ValueError(f"{text}, the last row and column not in it")
        if self.percentiles[1] <= self.percentiles[0]:
            raise ValueError("percentiles: the first has to be below the second")

    def changed(self, text: str) -> Self:
        """Return what is wanted after a message of the viewer's.

        Raises:
            ValueError: It is no JSON object, has an unknown key or a bad value.
        """
        changes = msgspec.json.decode(text, type=dict[str, Any])
        return msgspec.convert(msgspec.structs.asdict(self) | changes, type(self))

    @property
    def picture(self) -> tuple[Any, ...]:
        """What makes its picture another one."""
        shown = (self.region, self.max_rows, self.max_columns)
        return *shown, self.scale, self.low, self.high, self.percentiles


LEVELS = MASK_LEVEL
"""Of a picture: from 0 to one less; what has this one is masked."""
