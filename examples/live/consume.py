"""The consumer of README.md: python consume.py tcp://localhost:26001."""

import json
import sys

import bitshuffle
import numpy as np
import zmq

pull = zmq.Context.instance().socket(zmq.PULL)
pull.connect(sys.argv[1])
while (head := json.loads((part := pull.recv_multipart())[0]))["htype"] != "series_end":
    if head["htype"] == "image":
        image, dtype = np.frombuffer(part[1], np.uint8), np.dtype(head["type"])
        if head["compression"] == "bslz4":  # 8 bytes: size of all, 4 bytes: of a block
            block = int.from_bytes(part[1][8:12], "big") // dtype.itemsize
            image = bitshuffle.decompress_lz4(image[12:], head["shape"], dtype, block)
        print(head["frame"], image.view(dtype).reshape(head["shape"]).max())
