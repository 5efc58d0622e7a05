"""The consumer of README.md as functions, for the programs beside it."""

import json
from collections.abc import Iterator

import bitshuffle
import numpy as np
import zmq


def images(
    endpoint: str, patience_s: float | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each image's frame number and pixels (y, x) until the series ends.

    Raises:
        zmq.Again: Nothing came for so long.
    """
    with zmq.Context.instance().socket(zmq.PULL) as pull:
        pull.rcvtimeo = -1 if patience_s is None else int(patience_s * 1000)
        pull.connect(endpoint)
        htype = ""
        while htype != "series_end":
            parts = pull.recv_multipart()
            head = json.loads(parts[0])
            htype = head["htype"]
            if htype == "image":
                yield head["frame"], decode(head, parts[1])


def decode(head: dict, blob: bytes) -> np.ndarray:
    """Return the pixels of an image."""
    pixels, dtype = np.frombuffer(blob, np.uint8), np.dtype(head["type"])
    if head["compression"] == "bslz4":
        # 8 bytes: the size of it all; 4 bytes: the size of a block; then the blocks
        block = int.from_bytes(blob[8:12], "big") // dtype.itemsize
        pixels = bitshuffle.decompress_lz4(pixels[12:], head["shape"], dtype, block)
    return pixels.view(dtype).reshape(head["shape"])


def counts(pixels: np.ndarray) -> np.ndarray:
    """Return pixels with NaN where they cannot count, such as in gaps."""
    if pixels.dtype.kind != "u":
        return pixels
    # The highest value marks them.
    return np.where(pixels == np.iinfo(pixels.dtype).max, np.nan, pixels)
