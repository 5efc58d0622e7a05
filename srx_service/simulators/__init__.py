"""Fake detectors, one per protocol, on the protocols' own `encode`."""

import argparse
from collections.abc import Callable

from srx_service.console import complain
from srx_service.simulators import detector, eiger

SIMULATORS: dict[str, Callable[[list[str]], int]] = {
    "eiger": eiger.main,
    "detector": detector.main,
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
