"""What is counted of the line, in figures for /metrics and for the page."""

from collections.abc import Mapping
from typing import Any

from srx_service.acquisitions import Acquisitions
from srx_service.status import Status

STATES = ("idle", "running", "error")
"""What /status may say."""
Figures = dict[str, float | dict[str, float]]
"""By name; a mapping holds one for each of several kinds."""


def figures(
    status: Status,
    acquisitions: Acquisitions,
    *,
    state: str,
    timings: Mapping[str, dict[str, float]],
    others: Mapping[str, Any],
) -> Figures:
    """Return all of them.

    Args:
        status: What reception sees.
        acquisitions: What became of the images.
        state: What /status says.
        timings: How long things took, by class.
        others: What else is counted; those that are no numbers are left out.
    """
    numbers = {k: float(v) for k, v in others.items() if isinstance(v, int | float)}
    return (
        _of_reception(status)
        | _of(acquisitions)
        | {
            "state": {name: float(name == state) for name in STATES},
            **timings,
            **numbers,
        }
    )


def _of_reception(status: Status) -> Figures:
    return {
        "messages": float(status.messages),
        "images": float(status.images),
        "image_bytes": float(status.image_bytes),
        "undecodable": _floats(status.undecodable),
        # of all kinds, since a kind is not there before its first
        "undecodable_messages": float(sum(_floats(status.undecodable).values())),
        "ignored": _floats(status.ignored),
        "decoder_faults": float(status.decoder_faults),
        "held_seconds": status.held_s,
    }


def _of(acquisitions: Acquisitions) -> Figures:
    newest = next(iter(acquisitions), None)
    counts = {} if newest is None else newest.counts.as_dict()
    totals = {name: _floats(sums) for name, sums in acquisitions.totals().items()}
    return {"acquisition_frames": _floats(counts), **totals}


def _floats(counts: Mapping[str, int]) -> dict[str, float]:
    # copied first: another thread may add a kind
    return {kind: float(number) for kind, number in dict(counts).items()}
