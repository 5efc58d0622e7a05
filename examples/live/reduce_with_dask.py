"""Share a live series among Dask workers: python reduce_with_dask.py ENDPOINT.

On this machine, or with --scheduler tcp://HOST:8786 on a cluster, each worker connects
to the secondary port and takes its share of the images; so none passes through this
program. It takes `announce: all`, so that each worker learns where the series ends.
"""

import argparse
from typing import Any

import numpy as np
import stream
from distributed import Client, LocalCluster

PATIENCE_S = 600
"""A worker that gets nothing for so long gives up, and is no client any more."""

Reduced = tuple[np.ndarray | float, dict[int, float]]
"""The sum of all images, and the counts in each by its frame number."""


def reduce_share(endpoint: str) -> Reduced:
    """Take images until the series ends; runs on a worker."""
    total: np.ndarray | float = 0.0
    by_frame = {}
    for frame, pixels in stream.images(endpoint, PATIENCE_S):
        counts = np.nan_to_num(stream.counts(pixels))
        total = total + counts
        by_frame[frame] = float(counts.sum())
    return total, by_frame


def merge(shares: list[Reduced]) -> Reduced:
    """Put together what several workers found; runs on one of them."""
    by_frame = {frame: n for _, found in shares for frame, n in found.items()}
    return sum(total for total, _ in shares), dict(sorted(by_frame.items()))


def main(client: Client, endpoint: str) -> None:
    """Print the mean image's brightest pixel, and the counts in each frame."""
    client.wait_for_workers(1)
    client.upload_file(stream.__file__)  # workers elsewhere do not have it
    workers: Any = client.nthreads()
    print("workers", len(workers), flush=True)
    shares = [
        client.submit(reduce_share, endpoint, workers=[worker], pure=False)
        for worker in workers
    ]
    total, by_frame = client.submit(merge, shares).result()
    mean = np.atleast_2d(total) / max(1, len(by_frame))
    y, x = np.unravel_index(mean.argmax(), mean.shape)
    print("brightest", y, x, f"{mean.max():.3f}")
    for frame, counts in by_frame.items():
        print(frame, counts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint", help="tcp://localhost:26001")
    parser.add_argument("--scheduler", help="of Dask; without: one is started here")
    given = parser.parse_args()
    cluster = given.scheduler or LocalCluster(threads_per_worker=1)
    with Client(cluster) as client:
        main(client, given.endpoint)
    if isinstance(cluster, LocalCluster):
        cluster.close()
