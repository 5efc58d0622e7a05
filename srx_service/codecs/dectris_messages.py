"""Whole messages in CBOR: what DECTRIS stream v2 and Jungfraujoch have alike.

`dectris_cbor` reads the values in them.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
import numpy as np

from srx_service.codecs import cbor, dectris_cbor
from srx_service.errors import ProtocolError
from srx_service.messages import Buffer

_T = TypeVar("_T")


def convert(fields: dict[str, Any], kind: type[_T]) -> _T:
    """Return the fields of a message that have to be there, checked.

    Raises:
        ProtocolError: One is missing or of another type.
    """
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        keys = ", ".join(map(str, fields))[:200]
        text = f"{error}: a message {fields['type']!r} of {keys}"
        place = dectris_cbor.place_of(fields)
        raise ProtocolError("bad field", text, **place) from None


def by_label(name: str, found: object, channel: str) -> list[tuple[str, object]]:
    """Return tables with their names in Start.tables.

    Args:
        name: Of the only one; of several, the channel stands behind it.
        found: One table, or several by channel.
        channel: Whose one is that is not by channel.
    """
    tables = found if isinstance(found, dict) else {channel: found}
    is_alone = len(tables) == 1
    return [(name if is_alone else f"{name}_{k}", each) for k, each in tables.items()]


def read_tables(
    tables: Iterable[tuple[str, object]], series: int | None
) -> dict[str, np.ndarray]:
    """Return the tables of a start by their labels, bounded all together.

    Raises:
        ProtocolError: One is none, or they are too large.
    """
    found: dict[str, np.ndarray] = {}
    room = dectris_cbor.MAX_TABLE_BYTES
    for label, value in tables:
        table = dectris_cbor.read_table(value, label[:80], room, series=series)
        room -= table.nbytes
        found[label] = table
    return found


def write(fields: dict[str, Any], appendix: bytes = b"") -> list[Buffer]:
    """Return the part that a message is.

    Args:
        fields: `type` first; those that end in `_date` get the tag of a date.
        appendix: The user's own bytes, left out where there are none.

    Raises:
        ValueError: There is no CBOR for a value.
    """
    if appendix:
        fields = fields | {"user_data": dectris_cbor.write_user_data(appendix)}
    dated = {
        key: cbor.tagged(0, value) if key.endswith("_date") else value
        for key, value in fields.items()
    }
    return [cbor.MAGIC + cbor.dumps(dated)]
