"""The exposure time, which live processing finds in each image."""

from srx_service.messages import Start


def exposure_of(start: Start | None) -> float | None:
    """Return the exposure time of a series in seconds; None where it was not told."""
    metadata = (start and start.metadata) or {}
    value = metadata.get("exptime", metadata.get("count_time"))  # generic, DECTRIS
    return value if type(value) in (int, float) else None
