"""Bluesky without Tiled: python read_databroker.py SERVICE_URL SIMPLON_URL FOLDER.

Takes a scan with the other flavour of documents, Resource and Datum, into a catalog of
databroker in memory, and reads it back. FOLDER lies below the service's `write_root`.
"""

import sys
from typing import Any

import bluesky.plans as bp
import numpy as np
from bluesky import RunEngine
from databroker.v1 import temp
from ophyd.sim import SynAxis

from srx_ophyd.device import SrxDatumDetector
from srx_ophyd.drivers import SimplonDriver


def main(service: str, simplon: str, folder: str) -> None:
    """Take 5 points; print position and counts of each, as databroker has them."""
    eiger = SrxDatumDetector(
        service,
        name="eiger",
        driver=SimplonDriver(simplon),
        write_path_template=f"{folder}/{{name}}_{{uid8}}.h5",
        exposure_s=0.01,
    )
    motor = SynAxis(name="motor")
    broker: Any = temp()
    engine: Any = RunEngine({})
    engine.subscribe(broker.insert)
    (uid,) = engine(bp.scan([eiger], motor, -1, 1, 5))
    positions = broker[uid].table()["motor"]
    images = broker[uid].data("eiger_image")
    for position, image in zip(positions, images, strict=True):
        frames = np.asarray(image)  # (1, y, x): frames of one event
        # The highest value marks pixels that cannot count, such as those in gaps.
        counts = frames[frames < np.iinfo(frames.dtype).max].sum()
        print("motor", position, "shape", *frames.shape, "counts", counts)


if __name__ == "__main__":
    main(*sys.argv[1:])
