"""What dranspose, the usual client of the secondary port, demands of part 0.

After its public description, github.com/felix-engelmann/dranspose, data/stream1.py.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter


class Stream1(BaseModel):
    model_config = ConfigDict(extra="allow")
    msg_number: int


class Stream1Start(Stream1):
    htype: Literal["header"] = "header"
    filename: str


class Stream1Data(Stream1):
    htype: Literal["image"] = "image"
    frame: int
    shape: list[int]
    type: str
    compression: str


class Stream1End(Stream1):
    htype: Literal["series_end"] = "series_end"


DRANSPOSE = TypeAdapter(Stream1Start | Stream1Data | Stream1End)
