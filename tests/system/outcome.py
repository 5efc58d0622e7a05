"""What comes out of a service, read without any code of ours: file, port, live view."""

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import bitshuffle
import h5py
import hdf5plugin  # noqa: F401 - registers the filters
import httpx
import numpy as np
import zmq

from tests.system.conftest import Program

RECEIVE_TIMEOUT_MS = 60_000


class Series(NamedTuple):
    """A series as live processing got it from the secondary port."""

    header: dict[str, Any]
    metadata: dict[str, Any] | None
    images: list[dict[str, Any]]
    """The JSON of each image."""
    pixels: list[np.ndarray]
    end: dict[str, Any]


@contextlib.contextmanager
def client_of(service: Program) -> Iterator[zmq.Socket[bytes]]:
    """A client of the secondary port, which the service knows of."""
    with zmq.Context() as context, context.socket(zmq.PULL) as pull:
        pull.rcvtimeo = RECEIVE_TIMEOUT_MS
        pull.connect(f"tcp://127.0.0.1:{service.ports['data_port']}")
        service.wait_until(lambda: service.get("/status")["clients"] == 1)
        yield pull


def receive_series(pull: zmq.Socket[bytes]) -> Series:
    """Return the next series, all of it."""
    messages = [pull.recv_multipart()]
    while json.loads(messages[-1][0])["htype"] != "series_end":
        messages.append(pull.recv_multipart())
    heads = [json.loads(parts[0]) for parts in messages]
    first, *images, _ = messages
    return Series(
        header=heads[0],
        metadata=json.loads(first[1]) if len(first) > 1 else None,
        images=heads[1:-1],
        pixels=[_pixels(parts) for parts in images],
        end=heads[-1],
    )


def _pixels(parts: list[bytes]) -> np.ndarray:
    head = json.loads(parts[0])
    dtype = np.dtype(head["type"])
    shape = head["chunks"] if "chunks" in head else head["shape"]
    unpacked = [unpack(blob, shape, dtype, head["compression"]) for blob in parts[1:]]
    return np.concatenate(unpacked).reshape(head["shape"])


def unpack(
    blob: bytes, shape: list[int] | tuple[int, ...], dtype: np.dtype, compression: str
) -> np.ndarray:
    """Return the pixels of a blob, decoded by somebody else's codec."""
    if compression == "none":
        return np.frombuffer(blob, dtype).reshape(shape)
    assert compression == "bslz4"
    block = int.from_bytes(blob[8:12], "big") // dtype.itemsize
    packed = np.frombuffer(blob, np.uint8)[12:]
    return bitshuffle.decompress_lz4(packed, tuple(shape), dtype, block)


def wait_for_file(service: Program, file: Path) -> dict[str, Any]:
    """Wait until an acquisition into a file is done; return what the API says."""

    def told() -> dict[str, Any]:
        listed = service.get("/api/v1/acquisitions")["acquisitions"]
        return next((one for one in listed if one["file"] == str(file)), {})

    service.wait_until(lambda: told().get("state") in ("done", "failed"))
    assert told()["state"] == "done", told()["error"]
    service.wait_until(lambda: service.get("/status")["state"] == "idle")
    return told()


def last_frame(service: Program) -> np.ndarray:
    """Return the pixels of the live view."""
    shown = httpx.get(f"{service.url}/api/v1/frame/latest.npy").raise_for_status()
    return np.load(io.BytesIO(shown.content))


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    """Return True when shape, type and every pixel agree; NaN is itself."""
    return (
        found.shape == expected.shape
        and found.dtype == expected.dtype
        and np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f")
    )


@contextlib.contextmanager
def opened(file: Path, dataset: str) -> Iterator[tuple[h5py.Dataset, h5py.Group]]:
    """The images of a file, and the detector's group around them."""
    with h5py.File(file) as root:
        yield root[dataset], root[dataset].parent


def take_series(simulator: Program, file: Path | str, **settings: Any) -> None:
    """Let a simulator take a series; one that publishes waits until it is heard."""
    with httpx.Client(base_url=simulator.url, timeout=60) as control:
        settings = {"filename": str(file), **settings}
        control.put("/config", json=settings).raise_for_status()
        control.post("/arm").raise_for_status()
        control.post("/trigger").raise_for_status()
