"""All of dranspose in one process, for tests, with redis beside it.

python -m tests.system.dranspose_stack UPSTREAM HTTP_PORT INGESTER_PORT REDUCER_PORT,
with REDIS_URL in the environment. Prints what its reducer is given, a JSON text a line.
"""

import asyncio
import json
import sys

import bitshuffle
import numpy as np
import uvicorn
from dranspose.controller import app
from dranspose.ingesters.zmqpull_single import (
    ZmqPullSingleIngester,
    ZmqPullSingleSettings,
)
from dranspose.middlewares import stream1
from dranspose.reducer import Reducer, ReducerSettings
from dranspose.worker import Worker, WorkerSettings
from pydantic_core import Url

STREAM = "det"
HERE = "tests.system.dranspose_stack"


class Sum:
    """What a site writes: decodes an image and adds up its pixels."""

    def __init__(self, *_, **__):
        pass

    def process_event(self, event, *_, **__):
        packet = stream1.parse(event.streams[STREAM])
        if packet.htype != "image":
            return packet.htype, packet.model_dump()
        pixels = getattr(packet, "data", None)
        if pixels is None:
            pixels = decompress(packet, bytes(event.streams[STREAM].frames[1]))
        return packet.htype, {"frame": packet.frame, "sum": int(pixels.sum())}


def decompress(packet, blob):
    dtype = np.dtype(packet.type)
    block = int.from_bytes(blob[8:12], "big") // dtype.itemsize
    packed = np.frombuffer(blob, np.uint8)[12:]
    return bitshuffle.decompress_lz4(packed, tuple(packet.shape), dtype, block)


class Print:
    """The reducer."""

    def __init__(self, *_, **__):
        pass

    def process_result(self, result, *_, **__):
        kind, content = result.payload
        told = {"event": result.event_number, "kind": kind, **content}
        sys.stdout.write(json.dumps(told, default=str) + "\n")
        sys.stdout.flush()


def url(port):
    return Url(f"tcp://127.0.0.1:{port}")


async def main(upstream, http, ingester, reducer):
    parts = [
        ZmqPullSingleIngester(
            settings=ZmqPullSingleSettings(
                ingester_streams=[STREAM],
                ingester_url=url(ingester),
                upstream_url=Url(upstream),
                build_meta_file=None,
            )
        ),
        Reducer(
            ReducerSettings(
                reducer_url=url(reducer),
                reducer_class=f"{HERE}:Print",
                build_meta_file=None,
            )
        ),
        *[
            Worker(
                WorkerSettings(
                    worker_name=f"worker{k}",
                    worker_class=f"{HERE}:Sum",
                    build_meta_file=None,
                )
            )
            for k in range(2)
        ],
    ]
    tasks = [asyncio.create_task(part.run()) for part in parts]
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=int(http), log_level="warning")
    )
    await server.serve()
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
