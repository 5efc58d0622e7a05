"""Take one series from the secondary port: python consume.py tcp://localhost:26001."""

import json
import sys

import bitshuffle
import numpy as np
import zmq


def decode(head: dict, blob: bytes) -> np.ndarray:
    """Return the pixels (y, x) of an image."""
    dtype, shape = np.dtype(head["type"]), tuple(head["shape"])
    if head["compression"] == "none":
        return np.frombuffer(blob, dtype).reshape(shape)
    # 8 bytes: the size of it all; 4 bytes: the size of a block; then the blocks
    block = int.from_bytes(blob[8:12], "big") // dtype.itemsize
    packed = np.frombuffer(blob, np.uint8)[12:]
    return bitshuffle.decompress_lz4(packed, shape, dtype, block)


def main(endpoint: str) -> None:
    """Print the mean of every image until the series ends."""
    pull = zmq.Context.instance().socket(zmq.PULL)
    pull.connect(endpoint)
    while True:
        parts = pull.recv_multipart()
        head = json.loads(parts[0])
        if head["htype"] == "series_end":
            break
        if head["htype"] == "image":
            pixels = decode(head, parts[1])
            print(head["frame"], round(float(pixels.mean()), 3), flush=True)
    pull.close(0)


if __name__ == "__main__":
    main(sys.argv[1])
