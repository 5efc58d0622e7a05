"""Which of the awaited frames are missing: counted, and told so that one finds them."""

from srx_ophyd.client import Acquisition

MAX_TOLD = 10
"""Frames that are told by their numbers."""


def count_in(acquisition: Acquisition, start: int, target: int, before: int) -> int:
    """Return how many rows from `start` to before `target` hold no frame.

    Args:
        acquisition: As the service told it last.
        start: The first row.
        target: The row behind the last.
        before: Holes of the file when the first of them was awaited.
    """
    rows = acquisition.hole_rows
    if rows and (len(rows) == acquisition.holes or rows[0] <= start):
        return sum(start <= row < target for row in rows)
    # More than are told one by one, or an older service, which tells none.
    return max(0, acquisition.holes - before)


def words(acquisition: Acquisition, start: int, target: int, count: int) -> str:
    """Return which frames of an exposure are missing, and where in the file.

    Frames are counted from 1, as people do, rows from 0, as HDF5 does.

    Args:
        acquisition: As the service told it last.
        start: The first row of the exposure.
        target: The row behind its last.
        count: How many are missing.
    """
    cause = _cause(acquisition)
    rows = [row for row in acquisition.hole_rows if start <= row < target][:MAX_TOLD]
    if not rows:
        return f"{count} of {target - start} frames {cause}"
    more = f" and {count - len(rows)} more" if count > len(rows) else ""
    frames = ", ".join(str(row - start + 1) for row in rows)
    plural = "s" if count > 1 else ""
    return (
        f"frame{plural} {frames}{more} of {target - start} {cause} "
        f"(row{plural} {', '.join(map(str, rows))}{', …' if more else ''} of the file)"
    )


def _cause(acquisition: Acquisition) -> str:
    counts = acquisition.counts
    causes = {"missing": "never came", "rejected": "could not be read"}
    found = [text for name, text in causes.items() if counts.get(name)]
    return " or ".join(found or causes.values())
