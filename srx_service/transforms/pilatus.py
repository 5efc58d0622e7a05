"""PILATUS: CBF files to pixels, energies, rotation, mask and compression.

The pixels are those of PilatusPipeline in github.com/maxiv-science/streaming-receiver,
whose keys of detectors.yaml these are. Images that are no CBF go the same way.
"""

import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from srx_service import codecs
from srx_service.codecs import bslz4, cbf, kernels
from srx_service.errors import ConfigError, ProtocolError
from srx_service.messages import Buffer, Image, Start, extras_of

TABLE = "tot_to_energy_tensor"
Rectangle = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class PilatusPipeline:
    """Decode → energies → rotate → mask → compress, each but the first if wanted.

    Raises:
        ConfigError: The table of energies cannot be used.
    """

    compress: bool = True
    """With bitshuffle and LZ4; else the pixels stay as they are."""
    rotate: bool = False
    """By 90 degrees, clockwise."""
    mask: Rectangle | None = None
    """Set to -1 after the rotation: first row, last row + 1; the same of columns."""
    tot: str | None = None
    """Path of an .npz file with TABLE: (rows, columns, counts), before the rotation."""
    _energies: np.ndarray | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Load the table."""
        energies = None if self.tot is None else _load(Path(self.tot))
        object.__setattr__(self, "_energies", energies)

    def apply(self, image: Image, start: Start | None) -> Image:
        """Return the image with its pixels decoded and changed.

        Raises:
            ProtocolError: The pixels cannot be read; it carries series and number.
        """
        try:
            pixels = self._changed(_decode(image))
            blob = bslz4.compress(pixels) if self.compress else _plain(pixels)
        except ValueError as error:
            raise ProtocolError(
                "unreadable pixels",
                str(error),
                series=image.series,
                number=image.number,
            ) from error
        order = pixels.dtype.byteorder
        # The source's JSON text tells the image as it was, and `chunks` its blobs.
        extras = {k: v for k, v in extras_of(image).items() if k != "chunks"}
        return replace(
            image,
            shape=pixels.shape,
            dtype=pixels.dtype.str if order == ">" else pixels.dtype.name,
            encoding="bslz4" if self.compress else "none",
            blobs=(blob,),
            extras=extras,
        )

    def _changed(self, pixels: np.ndarray) -> np.ndarray:
        if pixels.ndim < 2 and (self.rotate or self.mask):
            raise ValueError(f"shape {pixels.shape} has no rows to rotate or mask")
        if self._energies is not None:
            pixels = _energies_of(pixels, self._energies)
        if self.rotate:
            pixels = np.rot90(pixels, -1, axes=(-2, -1))
        if self.mask is not None:
            pixels = np.require(pixels, requirements=["C", "W"])
            rows, columns = (slice(*span) for span in self.mask)
            # all bits set where there is no sign, as DECTRIS masks
            pixels[..., rows, columns] = np.array(-1).astype(pixels.dtype)
        return np.ascontiguousarray(pixels)


def _decode(image: Image) -> np.ndarray:
    if image.encoding != "cbf":
        return codecs.decode(image)
    if len(image.blobs) != 1:
        raise ValueError(f"cbf: {len(image.blobs)} blobs, one file is allowed")
    return cbf.decode(image.blobs[0], image.shape)


def _plain(pixels: np.ndarray) -> Buffer:
    return pixels.reshape(-1).view(np.uint8).data


def _energies_of(counts: np.ndarray, energies: np.ndarray) -> np.ndarray:
    rows, columns, known = energies.shape
    if counts.shape != (rows, columns) or counts.dtype != np.int32:
        found = f"{counts.dtype} {counts.shape}, int32 {(rows, columns)} is allowed"
        raise ValueError(f"tot: the table of energies does not fit {found}")
    table = energies.reshape(rows * columns, known)
    out = np.empty(counts.shape, np.float32)
    # raw pixels of a message may begin anywhere, and may be big-endian
    flat = np.require(counts, np.int32, ["C", "A"]).reshape(-1)
    kernels.look_up(flat, table, out.reshape(-1))
    return out


def _load(path: Path) -> np.ndarray:
    """Return the table as float32, which is what it is used as.

    Raises:
        ConfigError: There is no such table in this file.
    """
    allowed = f"allowed is an .npz file with {TABLE} (rows, columns, counts)"
    try:
        with zipfile.ZipFile(path) as archive:
            table = _member(archive)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        text = f"tot: {path} cannot be read: {error}; {allowed}"
        raise ConfigError(text) from error
    if table.ndim != 3 or not table.size or table.dtype.kind not in "iuf":
        found = f"is {table.dtype} {table.shape}"
        raise ConfigError(f"tot: {TABLE} in {path} {found}, {allowed}")
    return np.ascontiguousarray(table, np.float32)


def _member(archive: zipfile.ZipFile) -> np.ndarray:
    with archive.open(f"{TABLE}.npy") as member:
        return np.lib.format.read_array(member, allow_pickle=False)
