"""Good messages of every protocol, to be damaged: headers, images, ends."""

from tests.hostile.case import Sent
from tests.wire import (
    dectris_stream1,
    dectris_stream2,
    jungfraujoch,
    lambda_modules,
    psi_eiger,
    stins,
    xspress3,
)


def _alone(*tables: dict) -> list[Sent]:
    """Return the messages of tables of (parts, what they mean)."""
    return [(0, list(parts)) for table in tables for parts, _ in table.values()]


VALID: dict[str, list[Sent]] = {
    "Detector": _alone(stins.CASES),
    "Eiger": _alone(
        dectris_stream1.STARTS, dectris_stream1.IMAGES, dectris_stream1.ENDS
    ),
    "DectrisStream2": _alone(
        dectris_stream2.STARTS, dectris_stream2.IMAGES, dectris_stream2.ENDS
    ),
    "Jungfrau": [
        *_alone(jungfraujoch.STARTS, jungfraujoch.IMAGES, jungfraujoch.ENDS),
        *((0, parts) for parts in jungfraujoch.IGNORED.values()),
        (0, jungfraujoch.OLD_START),
        (0, jungfraujoch.old_image(jungfraujoch.PLAIN)),
        (0, jungfraujoch.OLD_END),
    ],
    "Lambda": [
        (module, list(parts))
        for messages, _ in lambda_modules.CASES.values()
        for module, parts in enumerate(messages)
    ],
    "PsiEiger": [s for sent, _ in psi_eiger.CASES.values() for s in sent],
    "Xspress3": [(0, p) for messages, _ in xspress3.CASES.values() for p in messages],
}
"""By `class:` in detectors.yaml."""
