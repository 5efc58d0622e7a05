"""Reads recordings: what was on the wire, message by message, as lists of parts."""

import io
import zipfile
from pathlib import Path

import cbor2


def messages(path: Path) -> list[list[bytes]]:
    """Return the messages of a `.cbors` file, or of the one that a zip file holds."""
    raw = path.read_bytes()
    if path.suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            raw = archive.read(archive.namelist()[0])
    stream, found = io.BytesIO(raw), []
    while stream.tell() < len(raw):
        item = cbor2.CBORDecoder(stream, read_size=1).decode()
        if isinstance(item, list):  # nothing but the parts
            found.append(item)
            continue
        _, streams, *_ = item.value
        found += [list(tag.value[1]) for tag in streams.values()]
    return found
