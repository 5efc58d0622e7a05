"""`srx simulate eiger` and `pilatus4`: models of DECTRIS detectors and their options.

An EIGER 1M has the size recorded at MAX IV, a PILATUS4 1M that of Pilatus4_1M in pyFAI
(src/pyFAI/detectors/_dectris.py): 4 × 2 modules of 255 × 513 pixels, 150 µm each, 20
rows and 7 columns between them.
"""

import argparse
from typing import NamedTuple

from srx_service.errors import ConfigError
from srx_service.simulators import answers
from srx_service.simulators.answers import BadAnswers
from srx_service.simulators.control import add_arguments, run
from srx_service.simulators.eiger import EIGER_1M, EigerSimulator
from srx_service.simulators.parameters import (
    API_VERSION,
    API_VERSIONS,
    FORMATS,
    MAX_THRESHOLDS,
    Shape,
    Value,
)

DTYPES = ("uint8", "uint16", "uint32")
PILATUS4_PIXEL_M = 150e-6


class Model(NamedTuple):
    """What tells one simulated detector from another."""

    name: str
    shape: Shape
    stream_format: str
    fixed: dict[str, Value]
    """Of `detector/config`."""


EIGER = Model("eiger", EIGER_1M, "legacy", {})
PILATUS4 = Model(
    "pilatus4",
    (1080, 1033),
    "cbor",
    {
        "description": "simulated Dectris PILATUS4 Si 1M",
        "x_pixel_size": PILATUS4_PIXEL_M,
        "y_pixel_size": PILATUS4_PIXEL_M,
    },
)


def eiger(argv: list[str]) -> int:
    """Run `srx simulate eiger`."""
    return _serve(EIGER, argv)


def pilatus4(argv: list[str]) -> int:
    """Run `srx simulate pilatus4`."""
    return _serve(PILATUS4, argv)


def _serve(model: Model, argv: list[str]) -> int:
    options = vars(_parser(model).parse_args(argv))
    is_initialized = not options.pop("power_on")
    simulator = EigerSimulator(
        **options, is_initialized=is_initialized, fixed=model.fixed
    )
    return run(model.name, simulator)


def _parser(model: Model) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        f"srx simulate {model.name}",
        description="A DECTRIS control unit: SIMPLON REST and stream v1 or v2.",
    )
    add_arguments(parser, shape=",".join(map(str, model.shape)))
    add = parser.add_argument
    add("--dtype", choices=DTYPES, help="default: by exposure time")
    add("--power-on", action="store_true", help="begin in state na, to be initialized")
    add(
        "--format",
        choices=FORMATS,
        default=model.stream_format,
        dest="stream_format",
        help="of the stream: legacy (v1) or cbor (v2)",
    )
    counts = range(1, MAX_THRESHOLDS + 1)
    add("--thresholds", type=int, choices=counts, default=1, help="with cbor")
    add("--difference", action="store_true", help="one channel more, with cbor")
    add("--api", choices=API_VERSIONS, default=API_VERSION, dest="api_version")
    add("--fail-at", type=int, metavar="K", help="state error before frame K")
    add("--answers", type=_bad_answers, help=f"that go wrong: {answers.ALLOWED}")
    return parser


def _bad_answers(text: str) -> BadAnswers:
    try:
        return BadAnswers(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
