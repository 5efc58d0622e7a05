"""A fly scan: python fly_scan.py SERVICE_URL SIMPLON_URL FOLDER TILED_URL.

FOLDER lies below the service's `write_root`, and Tiled may read it. TILED_API_KEY in
the environment lets us write to Tiled.
"""

import sys
from typing import Any

from bluesky import RunEngine
from bluesky.utils import ProgressBarManager
from bluesky_tiled_plugins import TiledWriter
from tiled.client import from_uri

from srx_ophyd.device import SrxDetector
from srx_ophyd.drivers import SimplonDriver
from srx_ophyd.plans import srx_fly


def main(service: str, simplon: str, folder: str, tiled: str) -> None:
    """Take 100 frames; print where they are, how many are missing, the run's uid."""
    eiger = SrxDetector(
        service,
        name="eiger",
        driver=SimplonDriver(simplon),
        write_path_template=f"{folder}/{{name}}_{{uid8}}.h5",
        exposure_s=0.01,
    )
    engine: Any = RunEngine({})
    engine.waiting_hook = ProgressBarManager()
    # batch_size=1: frames can be read while it flies, a moment after they came.
    engine.subscribe(TiledWriter(from_uri(tiled), batch_size=1))
    (uid,) = engine(srx_fly([eiger], 100))
    print("file", eiger.file.get())
    print("missing", eiger.frames_missing.get())
    print("run", uid)


if __name__ == "__main__":
    main(*sys.argv[1:])
