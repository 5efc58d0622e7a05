"""Read a run back: python read_tiled.py TILED_URL UID.

TILED_API_KEY in the environment, unless Tiled lets everybody read.
"""

import sys
from typing import Any

import numpy as np
from tiled.client import from_uri


def main(tiled: str, uid: str) -> None:
    """Print what the run is, its streams, and the counts in each of its frames."""
    catalog: Any = from_uri(tiled)
    run = catalog[uid]
    start, stop = run.metadata["start"], run.metadata["stop"]
    print(start["plan_name"], stop["exit_status"], "streams", *sorted(run))
    primary = run["primary"]
    image = primary["eiger_image"]
    print(*image.shape, image.dtype, *image.dims)
    arrived = primary["eiger_timestamp"].read()
    for k in range(len(image)):
        frame = image[k]  # this frame alone is read, and sent to us
        # The highest value marks pixels that cannot count, such as those in gaps.
        counts = frame[frame < np.iinfo(frame.dtype).max].sum()
        print(
            "frame", k, "counts", counts, "after", f"{arrived[k] - start['time']:.3f}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
