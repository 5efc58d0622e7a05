"""A step scan: python step_scan.py SERVICE_URL SIMPLON_URL FOLDER TILED_URL.

FOLDER lies below the service's `write_root`, and Tiled may read it. TILED_API_KEY in
the environment lets us write to Tiled, SRX_TOKEN control a service that asks for one.
"""

import os
import sys
from typing import Any

import bluesky.plans as bp
from bluesky import RunEngine
from bluesky_tiled_plugins import TiledWriter
from ophyd.sim import SynAxis
from tiled.client import from_uri

from srx_ophyd.device import SrxDetector
from srx_ophyd.drivers import SimplonDriver


def main(service: str, simplon: str, folder: str, tiled: str) -> None:
    """Take 5 points; print where the frames are, and the run's uid."""
    eiger = SrxDetector(
        service,
        name="eiger",
        driver=SimplonDriver(simplon),
        write_path_template=f"{folder}/{{name}}_{{uid8}}.h5",
        exposure_s=0.01,
        token=os.environ.get("SRX_TOKEN"),
    )
    motor = SynAxis(name="motor")
    engine: Any = RunEngine({})
    engine.subscribe(TiledWriter(from_uri(tiled), batch_size=1))
    (uid,) = engine(bp.scan([eiger], motor, -1, 1, 5))
    print("file", eiger.file.get())
    print("run", uid)


if __name__ == "__main__":
    main(*sys.argv[1:])
