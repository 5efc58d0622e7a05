"""The tables in a DECTRIS stream v1 header, each a JSON part and a blob, as arrays.

Source: SIMPLON API reference of DECTRIS, chapter "Stream".

| table | htype | shape in the line |
|---|---|---|
| flatfield | dflatfield-1.0, float32 | (y, x) |
| pixel_mask | dpixelmask-1.0, uint32 | (y, x) |
| countrate_table | dcountrate_table-1.0, float32 | (n, 2) |
"""

import math
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from srx_service.codecs import jsontext
from srx_service.codecs.fields import PIXEL_TYPES, Size
from srx_service.errors import ProtocolError
from srx_service.messages import Buffer

WireShape = Annotated[tuple[Size, ...], Meta(min_length=2, max_length=3)]
"""[x, y]; numpy's in reverse."""

TABLES = {
    "flatfield": ("dflatfield-1.0", "float32"),
    "pixel_mask": ("dpixelmask-1.0", "uint32"),
    "countrate_table": ("dcountrate_table-1.0", "float32"),
}
"""In the order of the parts."""


class _Table(msgspec.Struct):
    htype: str
    shape: WireShape
    type: str


_read = msgspec.json.Decoder(_Table).decode


def read(name: str, raw: Buffer, blob: Buffer, **place: int | None) -> np.ndarray:
    """Return a table; it shows the blob itself.

    Raises:
        ProtocolError: It is another table, or its blob has another size.
    """
    table = jsontext.read_typed(_read, raw, name, **place)
    htype, _ = TABLES[name]
    if table.htype != htype:
        text = f"htype {table.htype[:80]!r} where {htype} is due"
        raise ProtocolError("unknown htype", text, **place)
    if PIXEL_TYPES.get(table.type) != table.type:
        text = f"{name} of type {table.type[:80]!r}"
        raise ProtocolError("unknown type", text, **place)
    dtype, shape = np.dtype(table.type), table.shape[::-1]
    nbytes = math.prod(shape) * dtype.itemsize
    if len(blob) != nbytes:
        text = f"{name} of {len(blob)} bytes, shape {shape} of {dtype} makes {nbytes}"
        raise ProtocolError("wrong size", text, **place)
    return np.frombuffer(blob, dtype).reshape(shape)


def write(name: str, tables: dict[str, np.ndarray]) -> list[Buffer]:
    """Return the two parts of a table.

    Raises:
        ValueError: It is not there.
    """
    if name not in tables:
        raise ValueError(f"header_detail all needs the table {name}")
    htype, dtype = TABLES[name]
    table = np.ascontiguousarray(tables[name], np.dtype(dtype))
    header = {"htype": htype, "shape": table.shape[::-1], "type": dtype}
    return [jsontext.write(header), table.tobytes()]
