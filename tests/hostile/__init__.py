"""Messages that no decoder may take: by protocol, as detectors.yaml calls it, and kind.

Each must raise ProtocolError and nothing else, with the place where that can still be
read; and the next good message must be decoded as if nothing had been.
"""

from tests.hostile import (
    dectris_stream1,
    dectris_stream2,
    jungfraujoch,
    lambda_modules,
    psi_eiger,
    stins,
    xspress3,
)
from tests.hostile.case import Hostile, Sent

HOSTILE: dict[str, dict[str, Hostile]] = {
    "Detector": stins.HOSTILE,
    "Eiger": dectris_stream1.HOSTILE,
    "DectrisStream2": dectris_stream2.HOSTILE,
    "Lambda": lambda_modules.HOSTILE,
    "Xspress3": xspress3.HOSTILE,
    "PsiEiger": psi_eiger.HOSTILE,
    "Jungfrau": jungfraujoch.HOSTILE,
}
"""By `class:` in detectors.yaml, then by what is wrong."""
GOOD: dict[str, list[Sent]] = {
    "Detector": stins.GOOD,
    "Eiger": dectris_stream1.GOOD,
    "DectrisStream2": dectris_stream2.GOOD,
    "Lambda": lambda_modules.GOOD,
    "Xspress3": xspress3.GOOD,
    "PsiEiger": psi_eiger.GOOD,
    "Jungfrau": jungfraujoch.GOOD,
}
"""The messages that make one good image of each."""
