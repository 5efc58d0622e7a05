"""How an acquisition ends, whatever still works: what fails hides no earlier error."""

import logging
from collections.abc import Callable
from typing import Any

from srx_ophyd.client import Acquisition, ServiceClient
from srx_ophyd.endpoint import RemoteError

logger = logging.getLogger(__name__)


def end(
    client: ServiceClient, known: Acquisition, *, complete: bool, keep: int | None
) -> None:
    """End an acquisition; logs what fails.

    Args:
        client: The service.
        known: What it said last of the acquisition.
        complete: False: it is aborted.
        keep: Rows that stay in the file; None: all.
    """
    try:
        # Asked once more: what is known may be from before the last frames came.
        acquisition = client.acquisition(known.id)
    except RemoteError as error:
        logger.warning("%s", error)
        if not error.may_be_done and error.status is None:  # nobody there to be told
            return
        acquisition = known
    if acquisition.is_over:
        return
    if surplus := acquisition.counts.get("surplus"):
        logger.warning(
            "acquisition %s: %d frames came beyond those that were asked for; they are "
            "not in %s",
            acquisition.id,
            surplus,
            acquisition.file,
        )
    if keep is not None and (acquisition.rows > keep or not complete):
        quietly(lambda: client.rewind(known.id, keep))
    if complete:
        quietly(lambda: client.stop(known.id, client.timeout_s))
    else:
        quietly(lambda: client.abort(known.id))


def quietly(do: Callable[[], Any]) -> None:
    """Do it; what fails is logged."""
    try:
        do()
    except RemoteError as error:
        logger.warning("%s", error)
    except Exception:
        logger.exception("while cleaning up")
