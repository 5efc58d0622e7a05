"""Files as a crash, a disk or a person may damage them."""

import random
import re
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np

from srx_service.errors import WriteError
from srx_service.repair import Unrepairable, repair
from srx_service.superblock import SIZE, Superblock, lookup3
from tests.fuzz.apart import Apart
from tests.fuzz.mutations import mutated

GROUP = "/entry/instrument/eiger"
HEADER = b"OHDR"
"""What the header of an object begins with."""
MAX_FILE_BYTES = 1 << 20


class RepairTarget:
    """A damaged file is repaired, or left as it is and told about."""

    def __init__(self) -> None:
        self._apart = Apart()

    def seeds(self) -> Iterator[tuple[str, bytes]]:
        """Yield files as they are found: closed, open, with rows to come off."""
        for name in ("closed", "open", "behind"):
            yield name, made(name)

    def mutate(self, rng: random.Random, text: bytes) -> bytes:
        """Damage some bytes, with or without the checksums that would tell it."""
        text = text[:MAX_FILE_BYTES]
        for _ in range(rng.randint(1, 3)):
            match rng.randrange(6):
                case 0:
                    text = text[: rng.randrange(len(text) + 1)]
                case 1 if len(text) > SIZE:
                    text = _with_other_superblock(rng, text)
                case 2 | 3:
                    text = _with_other_bytes(rng, text)
                case _:
                    text = mutated(rng, text)
        return text

    def run(self, text: bytes) -> str:
        """Repair it, in a process of its own."""
        return self._apart.run(text)

    def close(self) -> None:
        """End that process."""
        self._apart.close()


def repaired(text: bytes) -> str:
    """Repair a file that holds an input; what is told must be true."""
    with tempfile.TemporaryDirectory(prefix="srx-fuzz-") as folder:
        path = Path(folder) / "a.h5"
        path.write_bytes(text)
        try:
            report = repair(path)
        except Unrepairable:
            assert path.read_bytes() == text, "told to be left, but changed"
            assert [*path.parent.iterdir()] == [path]
            return "left as it is"
        except WriteError:
            return "broken off"
        assert [*path.parent.iterdir()] == [path]
        if not report.was_open:
            assert path.read_bytes() == text, "told to be whole, but changed"
            return "whole"
        again = repair(path)
        assert (again.was_open, again.rows) == (False, report.rows)
        with h5py.File(path):
            return "repaired"


def made(name: str) -> bytes:
    """Return a small file like those that the service writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        with closing(h5py.File(path, "w", libver="latest")) as file:
            _fill(file, rows=4)
            file.swmr_mode = True
            _grow(file, 2, has_sequence=name != "behind")
            file.flush()
            left_open = path.read_bytes()
        return path.read_bytes() if name == "closed" else left_open


def _fill(file: h5py.File, rows: int) -> None:
    group = file.create_group(GROUP)
    group.attrs["NX_class"] = "NXdetector"
    group["count_time"] = 0.5
    group["description"] = "a text"
    shapes = {"data": (rows, 3, 4), "sequence_number": (rows,), "timestamp": (rows,)}
    for name, shape in shapes.items():
        dataset = group.create_dataset(
            name,
            data=np.ones(shape, "u2"),
            maxshape=(None, *shape[1:]),
            chunks=(1, 3, 4) if name == "data" else (16,),
        )
        dataset.attrs["rows"] = "one per frame"
    missing = group.create_dataset("missing_frames", (1,), "u8", maxshape=(None,))
    missing[0] = 2
    file["/entry/data/data"] = group["data"]


def _grow(file: h5py.File, rows: int, *, has_sequence: bool) -> None:
    for name in ("data", "timestamp", *["sequence_number"] * has_sequence):
        dataset = file[GROUP][name]
        assert isinstance(dataset, h5py.Dataset)
        dataset.resize(len(dataset) + rows, axis=0)
        dataset[-rows:] = 1


def _with_other_superblock(rng: random.Random, text: bytes) -> bytes:
    """Return the file with one field of its superblock changed, its checksum right."""
    try:
        block = Superblock.from_bytes(text[:SIZE])
    except ValueError:
        return text
    fields = {name: getattr(block, name) for name in block.__struct_fields__}
    name = rng.choice(sorted(fields))
    value = rng.choice([0, 1, 5, 48, len(text), 2**64 - 1, rng.randrange(len(text))])
    fields[name] = value & (255 if name == "flags" else 2**64 - 1)
    return Superblock(**fields).as_bytes() + text[SIZE:]


def _with_other_bytes(rng: random.Random, text: bytes) -> bytes:
    """Return the file with a byte of an object's header changed, its checksum right.

    HDF5 finds what is wrong by checksums; only so does it get to see more than those.
    """
    places = [found.start() for found in re.finditer(HEADER, text)]
    if not places:
        return text
    begin = rng.choice(places)
    end = _end_of_header(text, begin)
    if not begin + 6 < end <= len(text) - 4:
        return text
    body = bytearray(text[begin:end])
    body[rng.randrange(6, len(body))] = rng.choice([0, 1, 255, rng.randrange(256)])
    return (
        text[:begin]
        + body
        + lookup3(bytes(body)).to_bytes(4, "little")
        + text[end + 4 :]
    )


def _end_of_header(text: bytes, begin: int) -> int:
    """Return where the checksum of an object header stands (HDF5's IV.A.1.b)."""
    flags = text[begin + 5] if begin + 5 < len(text) else 0
    at = begin + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    return at + width + int.from_bytes(text[at : at + width], "little")
