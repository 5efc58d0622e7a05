"""`python -m benchmarks.codecs`: the pipelines' codecs, as ratios to what others take.

Both run in turn, and the best of each is compared: noise only slows down.
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from fabio.ext.byte_offset import comp_cbf32, dec_cbf32

from srx_service.codecs import cbf, mono12p
from srx_service.messages import Image
from srx_service.transforms.pilatus import PilatusPipeline

PILATUS_2M = (1679, 1475)
MODULE, GAP = (195, 487), (17, 7)
"""Of a PILATUS, (y, x) in pixels."""
HOT_PIXELS = 500
ORCA = (2304, 4096)
FRAMES = 8
"""Through the whole pipeline, for each number of threads."""


def main() -> int:
    """Print the table; 1 when a row misses its figure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.codecs", description=__doc__
    )
    parser.add_argument("--repeat", type=int, default=20, help="runs of each (20)")
    repeat = parser.parse_args().repeat
    misses = 0
    for name, slow, fast, least in rows():
        slow_ms, fast_ms = measure(slow, fast, repeat)
        ratio = slow_ms / fast_ms
        misses += ratio < least
        print(f"{name:44} {slow_ms:7.2f} ms {fast_ms:7.2f} ms {ratio:6.2f} ≥ {least}")
    return int(misses > 0)


def rows() -> list[tuple[str, Callable[[], object], Callable[[], object], float]]:
    """Return what is measured: name, the other, ours, and the ratio asked for."""
    counts = picture()
    file = cbf.encode(counts)
    packed = bytes(comp_cbf32(counts.reshape(-1)))
    camera = np.random.default_rng(1).integers(0, 4096, ORCA).astype(np.uint16)
    raw = mono12p.encode(camera)
    if not np.array_equal(cbf.decode(file, PILATUS_2M), counts):
        raise SystemExit("cbf: the pixels are not those that were packed")
    return [
        (
            "cbf 1679x1475: fabio, ours",
            lambda: dec_cbf32(packed, counts.size),
            lambda: cbf.decode(file, PILATUS_2M),
            1.4,
        ),
        (
            "mono12p 2304x4096: numpy, ours",
            lambda: unpack_by_numpy(raw, camera.size),
            lambda: mono12p.decode(raw, ORCA),
            10.0,
        ),
        (
            f"PilatusPipeline, {FRAMES} frames: 1 thread, 2",
            lambda: through(file, 1),
            lambda: through(file, 2),
            1.7,
        ),
    ]


def measure(
    slow: Callable[[], object], fast: Callable[[], object], repeat: int
) -> tuple[float, float]:
    """Return the best time of each in milliseconds."""
    best = [float("inf"), float("inf")]
    for _ in range(repeat):
        for index, work in enumerate((slow, fast)):
            begin = time.perf_counter()
            work()
            best[index] = min(best[index], time.perf_counter() - begin)
    return best[0] * 1e3, best[1] * 1e3


def picture() -> np.ndarray:
    """Return a weak exposure: 1 to 5 counts, hot pixels, gaps of -1."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.uniform(1, 5, PILATUS_2M)).astype(np.int32)
    hot = rng.integers(0, counts.size, HOT_PIXELS)
    counts.reshape(-1)[hot] = rng.integers(1000, 1_000_000, HOT_PIXELS)
    for axis, (module, gap) in enumerate(zip(MODULE, GAP, strict=True)):
        is_gap = np.arange(PILATUS_2M[axis]) % (module + gap) >= module
        counts[is_gap if axis == 0 else (slice(None), is_gap)] = -1
    return counts


def unpack_by_numpy(raw: bytes, count: int) -> np.ndarray:
    """Decode Mono12p with whole-array steps alone."""
    low, middle, high = np.frombuffer(raw, np.uint8).reshape(-1, 3).T.astype(np.uint16)
    pixels = np.empty(count, np.uint16)
    pixels[::2] = low | (middle & 0x0F) << 8
    pixels[1::2] = middle >> 4 | high << 4
    return pixels


def through(file: bytes, threads: int) -> None:
    """Decode, rotate, mask and compress FRAMES files."""
    pipeline = PilatusPipeline(rotate=True, mask=((0, 195), (487, 981)))
    image = Image(
        number=0,
        frame=0,
        shape=PILATUS_2M,
        dtype="int32",
        encoding="cbf",
        blobs=(file,),
    )
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(pipeline.apply, FRAMES * [image], FRAMES * [None]))


if __name__ == "__main__":
    raise SystemExit(main())
