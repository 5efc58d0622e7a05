"""A line and a last frame without threads, sockets or files."""

import asyncio
import io
import math
import threading

import numpy as np

from srx_service.counts import COUNTS
from srx_service.errors import ProtocolError, RequestError

ACQUISITION = {
    "id": "a1",
    "origin": "api",
    "state": "armed",
    "error": None,
    "note": None,
    "file": "/data/scan.h5",
    "dataset": "/entry/instrument/eiger/data",
    "shape": (2, 3),
    "dtype": "uint16",
    "chunk": None,
    "encoding": None,
    "columns": {},
    "series": 1,
    "series_seen": 0,
    "series_id": None,
    "expected": None,
    "announced": None,
    "rows": 0,
    "holes": [],
    "is_idle": True,
    "counts": dict.fromkeys(COUNTS, 0),
    "created_s": 1.0,
    "finished_s": None,
    "lease_s": None,
    "metadata": {},
}


class FakeLine:
    """Answers as it is told and remembers what it was asked."""

    def __init__(self):
        self.calls = []
        self.renewals = []
        self.shown = {"state": "idle"}
        self.ready = True
        self.receiving = False
        self.over_after_s = math.inf
        self.fault = None

    def _called(self, *call):
        self.calls.append(call)
        if self.fault:
            raise self.fault
        return ACQUISITION

    def status(self):
        self._called("status")
        return self.shown

    def received_frames(self):
        return 7

    def is_receiving(self):
        return self.receiving

    async def wait_while_receiving(self, timeout_s):
        await asyncio.sleep(min(timeout_s, self.over_after_s))
        self.receiving = timeout_s < self.over_after_s

    def detector(self):
        return {"class": "Eiger"}

    def is_ready(self):
        return self.ready

    def about(self):
        return {"detector": "eiger", "class": "Eiger", "version": "1"}

    def metrics(self):
        return {"messages": 3, "undecodable": {"not JSON": 2}}

    def acquisitions(self, limit):
        return [ACQUISITION][:limit]

    async def acquisition(self, id, wait_frames=None, timeout_s=0.0, *, renews=True):
        self.renewals.append(renews)
        if id != "a1":
            raise RequestError(404, "unknown acquisition", f"no acquisition {id!r}")
        if wait_frames:
            await asyncio.sleep(timeout_s)
        return self._called("acquisition", wait_frames, timeout_s)

    async def arm(self, request):
        return self._called("arm", request)

    async def patch(self, id, *, expected, series_id):
        return self._called("patch", id, expected, series_id)

    async def stop(self, id, timeout_s):
        return self._called("stop", id, timeout_s)

    async def abort(self, id):
        return self._called("abort", id)

    async def rewind(self, id, rows):
        return self._called("rewind", id, rows)


class FakeLatest:
    """Shows the array it is given."""

    def __init__(self):
        self.serial = 0
        self.downsample = 1
        self.rests_until_s = 0.0
        self.shown = None
        self.fault = None
        self.threads = set()

    def show(self, array):
        self.shown = array
        self.serial += 1

    def rest_after(self, took_s):
        self.rests_until_s = 0.0

    def header(self):
        if self.shown is None:
            return {}
        return {"frame": self.serial, "shape": list(self.shown.shape), "hash": b"\0"}

    def total(self):
        return self.header() | {"total_counts": self.array().sum().item()}

    def parts(self):
        return [self.header(), b"" if self.shown is None else self.shown]

    def array(self, downsample=None):
        self.threads.add(threading.current_thread())
        if self.fault:
            raise self.fault
        step = downsample or self.downsample
        return self.shown[::step, ::step]

    def png(self, scale="linear", downsample=None, *, low=None, high=None):
        return f"png {scale} {low} {high} {self.array(downsample).shape}".encode()

    def jpg(self, scale="linear", downsample=None, *, low=None, high=None):
        return f"jpg {scale} {low} {high} {self.array(downsample).shape}".encode()

    def npy(self, downsample=None):
        stream = io.BytesIO()
        np.save(stream, self.array(downsample))
        return stream.getvalue()


def undecodable():
    """What a frame that cannot be unpacked raises."""
    return ProtocolError("blob too short", "8 bytes, 12 wanted")
