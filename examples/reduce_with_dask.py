"""Reduce a scan that fits into no memory: python reduce_with_dask.py TILED_URL UID.

Tiled sends the frames one by one, Dask reduces each as it comes, in several threads.
TILED_API_KEY in the environment, unless Tiled lets everybody read.
"""

import sys
from typing import Any

import dask.array as da
import numpy as np
from dask.base import compute
from tiled.client import from_uri

REGION = (slice(10, 20), slice(15, 35))
"""Of interest: rows and columns."""


def main(tiled: str, uid: str) -> None:
    """Print the mean image's brightest pixel, and counts against the motor."""
    catalog: Any = from_uri(tiled, "dask")
    primary = catalog[uid]["primary"]
    frames = primary["eiger_image"].read()  # nothing is read yet
    # The highest value marks pixels that cannot count, such as those in gaps.
    counts = da.where(frames < np.iinfo(frames.dtype).max, frames, 0)
    axes = (1, 2)
    # All at once: each frame is read once.
    mean, whole, region = compute(
        counts.mean(axis=0), counts.sum(axis=axes), counts[:, *REGION].sum(axis=axes)
    )
    y, x = np.unravel_index(mean.argmax(), mean.shape)
    print("brightest", y, x, f"{mean.max():.3f}")
    print("motor whole region")
    for row in zip(np.asarray(primary["motor"].read()), whole, region, strict=True):
        print(*row)


if __name__ == "__main__":
    main(*sys.argv[1:])
