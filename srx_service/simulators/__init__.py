"""Fake detectors, one per protocol, on the protocols' own `encode`."""

import argparse
from collections.abc import Callable

from srx_service.console import complain
from srx_service.simulators import (
    dectris,
    detector,
    jungfrau,
    lambda_modules,
    orca,
    pilatus,
    psi_eiger,
    xspress3,
)

SIMULATORS: dict[str, Callable[[list[str]], int]] = {
    "eiger": dectris.eiger,
    "pilatus4": dectris.pilatus4,
    "detector": detector.main,
    "orca": orca.main,
    "pilatus": pilatus.main,
    lambda_modules.NAME: lambda_modules.main,
    xspress3.NAME: xspress3.main,
    psi_eiger.NAME: psi_eiger.main,
    jungfrau.NAME: jungfrau.main,
}
"""What `srx simulate` can be."""


def main(argv: list[str]) -> int:
    """Run `srx simulate NAME [options]`; return the exit code."""
    parser = argparse.ArgumentParser(
        "srx simulate", description="A detector that is not there."
    )
    parser.add_argument("name", choices=SIMULATORS)
    options = parser.parse_args(argv[:1])
    try:
        return SIMULATORS[options.name](argv[1:])
    except OSError as error:  # a port that is taken, an address that is not ours
        return complain(f"srx simulate {options.name}", error)
