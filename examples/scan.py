"""A step scan and a fly scan: python scan.py SERVICE_URL SIMPLON_URL FOLDER.

FOLDER lies below the service's `write_root`.
"""

import sys

import bluesky.plans as bp
from bluesky import RunEngine
from ophyd.sim import SynAxis

from srx_ophyd.device import SrxDetector
from srx_ophyd.drivers import SimplonDriver
from srx_ophyd.plans import srx_fly


def main(service: str, simplon: str, folder: str) -> None:
    """Take 5 points, then 20 frames, and print where they are."""
    eiger = SrxDetector(
        service,
        name="eiger",
        driver=SimplonDriver(simplon),
        write_path_template=f"{folder}/{{name}}_{{uid8}}.h5",
        exposure_s=0.01,
    )
    motor = SynAxis(name="motor")
    engine = RunEngine({})
    engine(bp.scan([eiger], motor, -1, 1, 5))
    print("step scan:", eiger.file.get())
    engine(srx_fly([eiger], 20))
    print("fly scan:", eiger.file.get())


if __name__ == "__main__":
    main(*sys.argv[1:])
