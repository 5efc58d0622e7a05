"""The counts that a file keeps of its acquisitions: read; completed after a crash."""

from collections.abc import Mapping

import h5py
import numpy as np

from srx_service.counts import COUNTS, RECEIVED_AS, settle
from srx_service.layout import COUNTS_PATH


def counts_in(file: h5py.File) -> list[dict[str, int]] | None:
    """Return the counts of each acquisition; None where the file keeps none."""
    found = file.get(COUNTS_PATH)
    if not isinstance(found, h5py.Dataset):
        return None
    names = [str(name) for name in found.attrs.get("names", ())]
    if not set(COUNTS).issubset(names) or found.shape[1:] != (len(names),):
        return None
    return [dict(zip(names, row, strict=True)) for row in found[:].tolist()]


def expected_of(counts: dict[str, int]) -> int | None:
    """Return how many images were expected; None: nobody said, or an older file."""
    expected = counts.get("expected", -1)
    return None if expected < 0 else expected


def complete_counts(
    file: h5py.File, images: int, holes: Mapping[str, int] | None = None
) -> None:
    """Let counts add up in a file that was not closed.

    What was received and is not in the file counts as unsaved.

    Args:
        file: Open for writing.
        images: Rows in it that are no holes, and none of another program.
        holes: Rows of the last acquisition that were not told of yet, by reason.
    """
    every, kept = counts_in(file), file.get(COUNTS_PATH)
    if not every or not isinstance(kept, h5py.Dataset):
        return
    for index, counts in enumerate(every):
        is_last = index == len(every) - 1
        counts["written"] = images if is_last else min(images, counts["written"])
        images -= counts["written"]
        for reason, count in (holes or {}).items() if is_last else ():
            counts[reason] += count
        # a kill in a flush may have left more rows than counts
        accounted = sum(counts[name] for name in RECEIVED_AS)
        counts["received"] = max(counts["received"], accounted)
        settle(counts, expected_of(counts))
    kept[...] = np.array([[*counts.values()] for counts in every])
