"""The first 48 bytes of an HDF5 file, which tell whether it is open for writing.

Source: HDF5 File Format Specification 3.0, II.A, superblock version 3.

| bytes | content |
|---|---|
| 0-7 | signature |
| 8 | version |
| 9, 10 | bytes of an address, bytes of a length: 8 and 8 |
| 11 | flags: 1 open for writing, 4 open for SWMR |
| 12-19, 20-27 | base address, address of the superblock's extension |
| 28-35 | address of the end of the file, little-endian like all |
| 36-43 | address of the root group |
| 44-47 | Jenkins' lookup3 of what stands before |
"""

import io
import os
import struct
from pathlib import Path
from typing import Self

import msgspec

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SIZE = 48
VERSION = 3
"""The one that has flags; version 2 looks the same, but never sets them."""
_FIELDS = struct.Struct("<8s4B4Q")
_SUM = struct.Struct("<I")
_MASK = 0xFFFFFFFF


class Superblock(msgspec.Struct, frozen=True, kw_only=True):
    """What stands there."""

    base: int
    extension: int
    end: int
    """Bytes of the file, as far as HDF5 knows."""
    root: int
    flags: int

    @classmethod
    def from_bytes(cls, head: bytes) -> Self:
        """Read it.

        Raises:
            ValueError: No superblock of version 3, or a damaged one.
        """
        if len(head) < SIZE or head[:8] != SIGNATURE:
            raise ValueError("not an HDF5 file")
        fields = _FIELDS.unpack_from(head)
        _, version, address, length, flags, base, extension, end, root = fields
        if (version, address, length) != (VERSION, 8, 8):
            raise ValueError(f"superblock version {version}, which has no flags")
        if _SUM.unpack_from(head, _FIELDS.size)[0] != lookup3(head[: _FIELDS.size]):
            raise ValueError("the superblock's checksum is wrong: the file is damaged")
        return cls(base=base, extension=extension, end=end, root=root, flags=flags)

    def as_bytes(self) -> bytes:
        """Return it as it stands in a file."""
        fields = (self.flags, self.base, self.extension, self.end, self.root)
        head = _FIELDS.pack(SIGNATURE, VERSION, 8, 8, *fields)
        return head + _SUM.pack(lookup3(head))


class _Patched(io.RawIOBase):
    """A file as it would read with other first bytes."""

    def __init__(self, path: Path, head: bytes) -> None:
        self._file = path.open("rb")
        self._head = head

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        place = self._file.tell()
        count = self._file.readinto(buffer)
        if place < len(self._head):
            part = self._head[place : place + count]
            buffer[: len(part)] = part
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()


def open_patched(path: Path, head: bytes) -> io.RawIOBase:
    """Open a file to be read as if it began with other bytes; h5py takes it."""
    return _Patched(path, head)


def write_head(path: Path, head: bytes) -> None:
    """Write the first bytes of a file, to the disk itself."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, head, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lookup3(text: bytes) -> int:
    """Return Bob Jenkins' hash `hashlittle` with seed 0 (burtleburtle.net, lookup3.c).

    HDF5 calls it H5_checksum_metadata.
    """
    a = b = c = (0xDEADBEEF + len(text)) & _MASK
    if not text:
        return c
    padded = text + bytes(-len(text) % 12)
    words = struct.unpack(f"<{len(padded) // 4}I", padded)
    for k in range(0, len(words) - 3, 3):
        a, b, c = _mix(a + words[k], b + words[k + 1], c + words[k + 2])
    return _final(a + words[-3], b + words[-2], c + words[-1])


def _turn(value: int, bits: int) -> int:
    value &= _MASK
    return (value << bits | value >> (32 - bits)) & _MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    a = (a - c) ^ _turn(c, 4)
    c += b
    b = (b - a) ^ _turn(a, 6)
    a += c
    c = (c - b) ^ _turn(b, 8)
    b += a
    a = (a - c) ^ _turn(c, 16)
    c += b
    b = (b - a) ^ _turn(a, 19)
    a += c
    c = (c - b) ^ _turn(b, 4)
    b += a
    return a & _MASK, b & _MASK, c & _MASK


def _final(a: int, b: int, c: int) -> int:
    target, source, other = c, b, a
    for bits in (14, 11, 25, 16, 4, 14, 24):
        changed = ((target ^ source) - _turn(source, bits)) & _MASK
        target, source, other = other, changed, source
    return source
