"""What past acquisitions tell before a new one: who is in the way, how frames look."""

from typing import Any

from srx_ophyd.client import Acquisition, ServiceClient, ServiceFacts
from srx_ophyd.documents import FrameLayout
from srx_ophyd.driver import Driver
from srx_ophyd.watch import AcquisitionError

CLOSING_S = 10.0
"""How long a file that is just being closed is waited for: fsync may take a while."""

CLIENT_GONE = "client gone"
"""How the service's words begin when a lease has ended."""


def past_acquisitions(client: ServiceClient) -> list[Acquisition]:
    """Return them, newest first, once those that are finishing are over."""
    past = client.acquisitions()
    if client.abort_lost(past):
        past = client.acquisitions()
    closing = [one for one in past if one.state == "finishing"]
    for one in closing:
        # Answered when it is over: more rows it will not have.
        client.acquisition(one.id, one.rows + 1, CLOSING_S)
    return client.acquisitions() if closing else past


def refuse_if_in_use(past: list[Acquisition], url: str) -> None:
    """Raise AcquisitionError when another client's acquisition is not over."""
    for other in past:
        if other.origin == "api" and not other.is_over:
            raise AcquisitionError(
                f"srx service {url} is in use: acquisition {other.id} is "
                f"{other.state}, file {other.file}; wait until it is over, or end it: "
                f"POST {url}/api/v1/acquisitions/{other.id}/stop"
            )


def refuse_other_stream(driver: Driver, service: ServiceFacts) -> None:
    """Raise DriverError when the service cannot receive what the detector sends.

    Not every driver can tell.
    """
    check = getattr(driver, "check_decoder", None)
    if check is not None:
        check(service.detector_class)


def was_abandoned(past: list[Acquisition], device: str) -> bool:
    """True when the last one was this device's, and its client has vanished."""
    last = past[0] if past else None
    return (
        last is not None
        and (last.error or "").startswith(CLIENT_GONE)
        and last.metadata.get("device") == device
    )


def layout_of(past: list[Acquisition], labels: dict[str, Any]) -> FrameLayout:
    """Return how frames looked when they were last taken with the same metadata.

    Raises:
        AcquisitionError: Never yet; the text says what to set.
    """
    for one in past:
        if all(one.metadata.get(key) == value for key, value in labels.items()):
            layout = _layout(one)
            if layout is not None:
                return layout
    raise AcquisitionError(_unknown(past))


def words(layout: FrameLayout) -> str:
    """Return shape and dtype as a user may read them."""
    return f"{' x '.join(map(str, layout.shape))} {layout.dtype}"


def _layout(acquisition: Acquisition) -> FrameLayout | None:
    shape, dtype = acquisition.shape, acquisition.dtype
    # Without a row they are what a client claimed, not what came.
    if not acquisition.rows or dtype is None or shape is None:
        return None
    return FrameLayout(shape, dtype)


def _unknown(past: list[Acquisition]) -> str:
    text = (
        "shape and dtype of the frames cannot be known before the first one: give the "
        "device shape=(y, x) and dtype='uint32', or a driver that can tell"
    )
    layouts = [layout for layout in map(_layout, past) if layout is not None]
    if not layouts:
        return text
    return f"{text}; the service's last frames were {words(layouts[0])}"
